"""How long a user waits for the first thing: medians of cold processes, one after another.

    python benchmarks/startup.py --model FOLDER      a folder with the files of all-MiniLM-L6-v2
    python benchmarks/startup.py --runs 15 --json

Without --model the demo's files are used: run `zoo demo` once before.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

TEXT = "This is an example sentence"
# torchvision's wheel does not load into every build of torch; its absence makes the peer faster.
SENTENCE_TRANSFORMERS = """
import sys
sys.modules["torchvision"] = None
from sentence_transformers import SentenceTransformer
vector = SentenceTransformer({folder!r}, device="cpu").encode({text!r})
assert vector.shape == (384,)
"""
ZOO = """
import zoo
vector = zoo.load("all-minilm-l6-v2", weights={folder!r}).encode({text!r})
assert vector.shape == (384,)
"""
GOALS = {"import zoo": 0.10, "zoo list": 0.30}  # seconds
FIRST_VECTOR_GOAL = 0.30  # of sentence-transformers


def main() -> None:
    """Measure, print a table, or JSON for machines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="folder with the files of all-MiniLM-L6-v2")
    parser.add_argument("--runs", type=int, default=7, help="cold processes a line (default 7)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    folder = str(options.model or demo_folder())
    seconds = measure(commands(folder), options.runs)
    report = {
        "runs": options.runs,
        "python": sys.version.split()[0],
        "processors": os.cpu_count(),
        "seconds": seconds,
        "ratio": {name: of(seconds, name) for name in seconds},
        "goals_met": goals(seconds),
    }
    print(json.dumps(report, indent=2) if options.json else table(report))


def commands(folder: str) -> dict[str, list[str]]:
    """Return what is measured: a name and a command line."""
    values = {"folder": folder, "text": TEXT}
    return {
        "python": [sys.executable, "-c", "pass"],
        "import zoo": [sys.executable, "-c", "import zoo"],
        "zoo list": [sys.executable, "-m", "zoo", "list"],
        "import torch": [sys.executable, "-c", "import torch"],
        "zoo, first vector": [sys.executable, "-c", ZOO.format(**values)],
        "sentence-transformers, first vector": [
            sys.executable, "-c", SENTENCE_TRANSFORMERS.format(**values),
        ],
    }  # fmt: skip


def measure(lines: dict[str, list[str]], runs: int) -> dict[str, float]:
    """Return the median wall-clock seconds of each line; rounds alternate, the first is dropped."""
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "2",
        "TOKENIZERS_PARALLELISM": "false",
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # installed packages are compiled
    times: dict[str, list[float]] = {name: [] for name in lines}
    for _ in range(runs + 1):  # the first round warms the file cache
        for name, line in lines.items():
            start = time.perf_counter()
            subprocess.run(line, env=environment, check=True, capture_output=True)
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(measured[1:]) for name, measured in times.items()}


def of(seconds: dict[str, float], name: str) -> float:
    """Return a line's time as a part of sentence-transformers'."""
    return seconds[name] / seconds["sentence-transformers, first vector"]


def goals(seconds: dict[str, float]) -> dict[str, bool]:
    """Return which goals are met."""
    met = {name: seconds[name] <= goal for name, goal in GOALS.items()}
    met["zoo, first vector"] = of(seconds, "zoo, first vector") <= FIRST_VECTOR_GOAL
    return met


def table(report: dict[str, object]) -> str:
    """Return the report for people."""
    seconds, met = report["seconds"], report["goals_met"]
    assert isinstance(seconds, dict)
    assert isinstance(met, dict)
    lines = [f"medians of {report['runs']} cold processes, python {report['python']}, "
             f"{report['processors']} processors", "",
             f"{'':38}seconds   of s-t   goal"]  # fmt: skip
    goal = {name: f"{limit:.2f} s" for name, limit in GOALS.items()}
    goal["zoo, first vector"] = f"{FIRST_VECTOR_GOAL:.2f} of s-t"
    for name, value in seconds.items():
        verdict = f"{goal[name]}: {'met' if met[name] else 'MISSED'}" if name in goal else ""
        lines.append(f"{name:38}{value:7.3f}{of(seconds, name):9.3f}   {verdict}".rstrip())
    return "\n".join(lines)


def demo_folder() -> Path:
    """Return where `zoo demo` keeps its files."""
    from zoo.demo import package_folder

    folder = package_folder()
    if not folder.is_dir():
        sys.exit("There are no files of all-MiniLM-L6-v2 here. Run `zoo demo`, or give --model.")
    return folder


if __name__ == "__main__":
    main()
