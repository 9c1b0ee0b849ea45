"""Every backend on one GPU, in one run: eager, torch.compile, ONNX Runtime, TensorRT.

    NVIDIA_TF32_OVERRIDE=0 python benchmarks/gpu.py [--device cuda] [--seconds 2] [--json]

Networks of full size with random weights; a batch of arrays to vectors, without preprocessing. The
ratio is eager's median in the same precision to the backend's: above 1 is faster than eager. TF32
is off everywhere, torch's convolutions included. What cannot run is listed with the reason. The
GPU's clocks are read before and after: a run whose clocks differ much is no measurement.

`--device cpu --model hog` shows that the script works where there is no GPU.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from typing import Any

import torch

from zoo.bench import Plan, Result, bench, facts_of_machine
from zoo.cli.bench import machine_line

MODELS = ("all-minilm-l6-v2", "bert-base-uncased", "vit-b16", "dinov2-b14", "resnet-50")
PRECISIONS = ("float32", "float16", "bfloat16")
BATCHES = (1, 8)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--model", action="append", help=f"default: {', '.join(MODELS)}")
    parser.add_argument("--precision", action="append", choices=PRECISIONS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("There is no CUDA device here that torch can use. See `zoo doctor`.", file=sys.stderr)
        return 1
    torch.backends.cudnn.allow_tf32 = False  # torch rounds convolutions by default
    torch.backends.cuda.matmul.allow_tf32 = False
    plan = Plan(
        precisions=tuple(options.precision or PRECISIONS),
        batches=BATCHES,
        seconds=options.seconds,
        device=options.device,
        weights="random",
    )
    before = facts_of_machine(plan)
    results = [
        result
        for name in options.model or MODELS
        for result in bench(name, plan, lambda line: print(line, file=sys.stderr))
    ]
    after = facts_of_machine(plan)
    if options.json:
        plain = [plain_of(result, results) for result in results]
        print(json.dumps({"before": before, "after": after, "results": plain}, indent=1))
        return 0
    print(f"before: {machine_line(before)}\nafter:  {machine_line(after)}\n")
    print(f"{'model':20}{'precision':>10}{'batch':>6}{'backend':>15}{'p50 ms':>10}{'p99 ms':>10}"
          f"{'per second':>12}{'ratio':>7}  clock")  # fmt: skip
    for one in results:
        if one.milliseconds:
            ratio = ratio_of(one, results)
            print(f"{one.model:20}{one.precision:>10}{one.batch:>6}{one.backend:>15}"
                  f"{one.percentile(50):>10.3f}{one.percentile(99):>10.3f}{one.per_second:>12.1f}"
                  f"{'' if ratio is None else f'{ratio:.2f}':>7}  {one.clock}")  # fmt: skip
    for reason in dict.fromkeys(f"{one.model}, {one.backend}, {one.precision}: {one.reason}"
                                for one in results if not one.milliseconds):  # fmt: skip
        print(f"not run: {reason}")
    return 0


def ratio_of(one: Result, results: Sequence[Result]) -> float | None:
    """Return how many times faster than eager in the same setting, None without eager's figure."""
    for other in results:
        if other.milliseconds and (other.model, other.precision, other.batch, other.backend) == (
            one.model, one.precision, one.batch, "eager",
        ):  # fmt: skip
            return statistics.median(other.milliseconds) / statistics.median(one.milliseconds)
    return None


def plain_of(one: Result, results: Sequence[Result]) -> dict[str, Any]:
    """Return a result for JSON."""
    plain: dict[str, Any] = {"model": one.model, "backend": one.backend,
                             "precision": one.precision, "batch": one.batch}  # fmt: skip
    if not one.milliseconds:
        return plain | {"reason": one.reason}
    return plain | {
        "p50_ms": one.percentile(50),
        "p99_ms": one.percentile(99),
        "per_second": one.per_second,
        "clock": one.clock,
        "ratio": ratio_of(one, results),
        "runs": len(one.milliseconds),
    }


if __name__ == "__main__":
    sys.exit(main())
