"""Full-size exports: seconds, verdicts, peak memory and file sizes, each in a process of its own.

    python benchmarks/full_size.py --minilm FOLDER [--only dinov2-b14 ...] [--json]
    python benchmarks/full_size.py --precisions fp32 fp16 bf16 --rtx

Weights are random, but for all-MiniLM-L6-v2 where FOLDER with its official files is given. With
--rtx every graph also becomes a TensorRT-RTX engine. Seconds are the clock's; the peak is the
largest resident set of the process, above that of one that has imported torch, onnx and ONNX
Runtime, in units of the float32 weights.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import zoo
from zoo.spec import ModelSpec

MINILM = "all-minilm-l6-v2"
# name, and what is asked beside it
MODELS: dict[str, tuple[str, ...]] = {
    "dinov2-b14": ("dinov2-b14", "--size", "224"),
    "dinov2-b14 at 518": ("dinov2-b14", "--size", "518", "--batch", "1:1:2"),
    "dinov2-s14-reg": ("dinov2-s14-reg", "--size", "224"),
    "clip-b16-image": ("clip-b16-image",),
    "clip-b16-text": ("clip-b16-text",),
    "resnet-50": ("resnet-50",),
    "bert-base-uncased": ("bert-base-uncased",),
    MINILM: (MINILM,),
}
PARTS = ("load", "export", "parity", "precision", "engine", "pack")
BASE = "import torch, onnx, onnxruntime, onnxscript, zoo_export.build"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minilm", type=Path, help="the official files of all-MiniLM-L6-v2")
    parser.add_argument("--only", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument(
        "--precisions", nargs="+", choices=["fp32", "fp16", "bf16"], default=["fp32"]
    )
    parser.add_argument("--rtx", action="store_true", help="build engines too")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    base = run([sys.executable, "-c", BASE])[1]
    found = []
    if not options.json:
        print(f"base process: {base / 1e6:.0f} MB")
        print(f"{'':20}{'':6}" + "".join(f"{part:>10}" for part in PARTS)
              + f"{'peak':>7}{'MB':>8}  verdict")  # fmt: skip
    for label in options.only:
        for precision in options.precisions:
            one = measure(label, precision, options, base)
            found.append(one)
            if not options.json:
                print(line(one), flush=True)
    if options.json:
        print(json.dumps({"base": base, "exports": found}, indent=2))


def measure(label: str, precision: str, options: argparse.Namespace, base: int) -> dict[str, Any]:
    """Export one model in one precision."""
    name, *asked = MODELS[label]
    weights = str(options.minilm) if name == MINILM and options.minilm else "random"
    target = "tensorrt-rtx" if options.rtx else "onnx"
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "bundle"
        text, peak = run([
            sys.executable, "-m", "zoo", "export", name, "-o", str(place), "--weights", weights,
            "--precision", precision, "--to", target, "--json", *asked,
        ])  # fmt: skip
        one: dict[str, Any] = {"label": label, "precision": precision, "weights": weights}
        try:
            (done,) = json.loads(text)
        except ValueError:  # it was refused, and says why
            return {**one, "verdict": text.strip()[:200]}
        row = zoo.info(name)
        assert isinstance(row, ModelSpec), "towers are named one by one"
        files = {path.name: path.stat().st_size for path in place.iterdir()}
    return {
        **one,
        "seconds": done["seconds"],
        "nodes": done["nodes"],
        "verdict": done["verdict"],
        "peak": peak,
        "peak_of_weights": (peak - base) / (4 * row.params),
        "files": files,
    }


def line(one: dict[str, Any]) -> str:
    """Return a line of the table."""
    start = f"{one['label']:20}{one['precision']:6}"
    if "seconds" not in one:
        return f"{start}{one['verdict']}"
    parts = "".join(f"{one['seconds'].get(part, 0):>10.1f}" for part in PARTS)
    size = sum(one["files"].values()) / 1e6
    return f"{start}{parts}{one['peak_of_weights']:>7.2f}{size:>8.0f}  {one['verdict']}"


def run(command: Sequence[str]) -> tuple[str, int]:
    """Run a process; return what it said and the largest memory that it held, bytes."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        return said.read(), usage.ru_maxrss * 1024


if __name__ == "__main__":
    main()
