"""A random sample of timm's models through the bridge: which export, and pass the gate?

    python benchmarks/timm_sample.py [--count 60] [--seed 0] [--out results.json] [--table]

Needs encoder-zoo-timm. Live random weights, each model at its own image size, batches of 1 and 2
(`--batch 1:1:2`), each in a process of its own. What is in the file already is not run again;
--table only prints it.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from references import allow_torchvision

LIMIT = 3600  # seconds for one model

ONE = """
import json, sys, tempfile, time
from pathlib import Path
from references import allow_torchvision
schemas = allow_torchvision()
import zoo
from zoo_export.binding import profile_for
from zoo_export.build import build_bundle
name = sys.argv[1]
row = zoo.resolve(f"timm:{name}")[0]
print(json.dumps({"params": row.params}), flush=True)
if row.params > float(sys.argv[2]):
    raise SystemExit(f"larger than {float(sys.argv[2]) / 1e6:.0f}M parameters")
with tempfile.TemporaryDirectory() as folder:
    built = build_bundle(row, Path(folder, "bundle"), profile=profile_for(row, batch=(1, 1, 2)),
                         weights="random", progress=False)
print(json.dumps({"line": built.report.line(), "nodes": built.nodes}), flush=True)
"""


def main() -> None:
    """Run what has not been run, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("timm_sample.json"))
    parser.add_argument("--largest", type=float, default=1e8, help="parameters that are run")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    found: dict[str, Any] = json.loads(options.out.read_text()) if options.out.exists() else {}
    if not options.table:
        for name in sample(options.count, options.seed):
            if name not in found:
                found[name] = run(name, options.largest)
                options.out.write_text(json.dumps(found, indent=1))
                print(name, found[name], flush=True)
    print_table(found)


def sample(count: int, seed: int) -> list[str]:
    """Return the names; every architecture of timm is as likely as any other."""
    _schemas = allow_torchvision()
    import timm

    return random.Random(seed).sample(sorted(timm.list_models()), count)


def run(name: str, largest: float) -> dict[str, Any]:
    """Export one model in a process of its own; return what came of it."""
    start = time.perf_counter()
    try:
        done = subprocess.run(
            [sys.executable, "-c", ONE, name, str(largest)],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT,
        )
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        error = (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]
    except subprocess.TimeoutExpired as late:
        lines, error = [], f"not done after {late.timeout:.0f} s"
    facts = {key: value for line in lines for key, value in line.items()}
    outcome = "passed" if "line" in facts else _outcome(error)
    reason = "" if outcome == "passed" else error[:300]
    return {**facts, "outcome": outcome, "reason": reason, "seconds": time.perf_counter() - start}


def _outcome(error: str) -> str:
    """Return the kind of a failure, by the class of the error."""
    kinds = {
        "ParityError": "refused by the gate",
        "ExportError": "cannot be traced",
        "UnsupportedCheckpointError": "preprocessing not supported",
        "not done after": "too slow",
        "larger than": "not run",
    }
    return next((kind for word, kind in kinds.items() if word in error), "failed")


def print_table(found: dict[str, Any]) -> None:
    """Print Markdown: counts, then every model that did not pass."""
    counts = Counter(one["outcome"] for one in found.values())
    print(f"\n{len(found)} models: " + ", ".join(f"{n} {kind}" for kind, n in counts.most_common()))
    print("\n| model | parameters | outcome | reason |\n|---|---|---|---|")
    for name, one in sorted(found.items()):
        if one["outcome"] != "passed":
            params = f"{one['params'] / 1e6:.1f}M" if "params" in one else ""
            print(f"| {name} | {params} | {one['outcome']} | {one['reason'].replace('|', '/')} |")


if __name__ == "__main__":
    main()
