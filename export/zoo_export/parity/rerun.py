"""Show a graph's error: `python run.py [OTHER.onnx]`. Needs numpy and onnxruntime, nothing else.

Runs the graph on inputs.npz and compares with expected.npz, which PyTorch computed in float64.
Exit code 0: as exact as PyTorch's float32; 1: not.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

HERE = Path(__file__).parent


def main(graph: Path) -> int:
    """Compare a graph with what was expected and say how far it is off."""
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    inputs: dict[str, Any] = dict(np.load(HERE / "inputs.npz"))
    names = [value.name for value in session.get_outputs()]
    wanted = {value.name for value in session.get_inputs()}
    found = dict(zip(names, session.run(names, {n: inputs[n] for n in wanted}), strict=True))
    expected = np.load(HERE / "expected.npz")
    good = True
    for key, limits in json.loads((HERE / "limits.json").read_text()).items():
        good &= compare(key, found.get(limits["output"]), expected[key], limits)
    write("as exact as float32" if good else "WRONG")
    return 0 if good else 1


def compare(key: str, output: Any, oracle: Any, limits: dict[str, Any]) -> bool:  # noqa: ANN401
    """Compare one sample's output, cut out of its batch and padding, by its limits."""
    if output is None:
        write(f"{key}: the graph has no output {limits['output']}")
        return False
    if str(output.dtype) != limits["dtype"]:
        write(f"{key}: {output.dtype}, not {limits['dtype']}")
        return False
    if limits["place"] is not None:
        if limits["place"] >= len(output):
            write(f"{key}: there are {len(output)} rows")
            return False
        output = output[limits["place"]]
    output = output[tuple(slice(0, size) for size in oracle.shape)]
    if output.shape != oracle.shape:
        write(f"{key}: shape {output.shape}, not {oracle.shape}")
        return False
    difference = np.asarray(output, np.float64) - oracle
    if limits["channels_first"]:
        difference = np.moveaxis(difference, 0, -1)
    vectors = np.linalg.norm(difference.reshape(-1, difference.shape[-1]), axis=1)
    measured = {
        "error": float(np.sqrt(np.mean(difference**2))) / limits["scale"],
        "vector": float(vectors.max()) / limits["scale"] / difference.shape[-1] ** 0.5,
        "peak": float(np.abs(difference).max()) / limits["scale"],
    }
    good = True
    for name, value in measured.items():
        if name not in limits:
            continue
        right = bool(value <= limits[name])  # so that NaN is wrong
        write(
            f"{key}: {name} {value:.3g}, limit {limits[name]:.3g}{'' if right else '  <-- beyond'}"
        )
        good &= right
    return good


def write(line: str) -> None:
    """Print a line."""
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "model.onnx"))
