"""zoo's export beside torch.onnx.export of the transformers module, in one run.

    python benchmarks/export.py [--rounds 9] [--json]

Networks of the size of all-MiniLM-L6-v2 and ViT-S/16, random weights. Plain is what users write:
the transformers module, its last hidden states, `dynamo=True`, all else by default; it neither
pools nor normalises and is not held against anything. zoo's graph pools, normalises and has passed
its gate, which its seconds include. Latency is CPU time of one thread, so that what else the
machine does counts little; the runs alternate and the medians are shown.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import onnxruntime
import torch
from references import allow_torchvision

import zoo
from zoo.bundle import MODEL
from zoo.encoder import Encoder
from zoo_export.build import build_bundle
from zoo_export.parity import default_profile

ROWS = ("all-minilm-l6-v2", "vit-s16")
TOKENS = 128
BATCHES = (1, 8)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    _schemas = allow_torchvision()
    with tempfile.TemporaryDirectory() as folder:
        found = [measure(name, Path(folder), options.rounds) for name in ROWS]
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for one in found:
        print(f"\n{one['model']}")
        print(f"{'':8}{'nodes':>8}{'seconds':>9}" + "".join(f"{f'batch {b}':>10}" for b in BATCHES))
        for kind in ("zoo", "plain", "eager"):
            cells = one[kind]
            print(
                f"{kind:8}{cells.get('nodes', ''):>8}{cells.get('seconds', 0):>9.1f}"
                + "".join(f"{cells[f'batch {b}'] * 1e3:>8.1f}ms" for b in BATCHES)
            )


def measure(name: str, folder: Path, rounds: int) -> dict[str, Any]:
    """Return nodes, seconds of the export and of a batch, for zoo, plain and eager."""
    plain_export(name, folder / "warm.onnx")  # the first export of a process imports a lot
    clock = time.perf_counter()
    row = cast(Any, zoo.info(name))
    built = build_bundle(row, folder / name, profile=default_profile(row), weights="random")
    ours = time.perf_counter() - clock
    clock = time.perf_counter()
    plain = folder / f"{name}.onnx"
    plain_export(name, plain)
    theirs = time.perf_counter() - clock
    encoder = cast(Encoder, zoo.load(name, weights="random"))
    result: dict[str, Any] = {
        "model": name,
        "zoo": {"nodes": built.nodes, "seconds": ours, "steps": dict(built.seconds)},
        "plain": {"nodes": len(onnx.load(plain).graph.node), "seconds": theirs},
        "eager": {},
    }
    for size in BATCHES:
        batch = make_batch(name, size)
        runs: dict[str, Callable[[], object]] = {
            "zoo": session(folder / name / MODEL, batch),
            "plain": session(plain, batch),
            "eager": lambda batch=batch: encoder.backend.run(batch, normalize=row.normalize),  # type: ignore[misc]  # bound here
        }
        for kind, seconds in alternate(runs, rounds).items():
            result[kind][f"batch {size}"] = seconds
    return result


def alternate(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median CPU seconds of each."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 1):  # the first warms up
        for name, run in runs.items():
            start = time.thread_time()
            run()
            times[name].append(time.thread_time() - start)
    return {name: statistics.median(measured[1:]) for name, measured in times.items()}


def session(path: Path, batch: dict[str, Any]) -> Callable[[], object]:
    """Return a call that runs a graph on a batch with one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    opened = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feeds = dict(zip([i.name for i in opened.get_inputs()], batch.values(), strict=True))
    return lambda: opened.run(None, feeds)


def make_batch(name: str, size: int) -> dict[str, Any]:
    """Return inputs in the order of the arguments; a batch without padding."""
    rng = np.random.default_rng(0)
    if name == ROWS[0]:
        ids = rng.integers(5, 30_000, (size, TOKENS))
        return {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    return {"pixels": rng.standard_normal((size, 3, 224, 224)).astype(np.float32)}


class Hidden(torch.nn.Module):
    """The last hidden states of a transformers module, by positional inputs."""

    def __init__(self, module: torch.nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.module = module
        self.names = names

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        """Inputs -> (B, N, D)."""
        out: torch.Tensor = self.module(**dict(zip(self.names, tensors, strict=True)))[0]
        return out


def plain_export(name: str, path: Path) -> None:
    """Export the transformers module of the same size as a user would."""
    from transformers import BertConfig, BertModel, ViTConfig, ViTModel

    sizes = {"hidden_size": 384, "intermediate_size": 1536}
    batch = torch.export.Dim("batch", min=1, max=4096)
    module: Hidden
    inputs: tuple[torch.Tensor, ...]
    shapes: tuple[dict[int, Any], ...]
    if name == ROWS[0]:
        length = torch.export.Dim("length", min=2, max=512)
        config = BertConfig(num_hidden_layers=6, num_attention_heads=12, **sizes)
        bert = BertModel(config, add_pooling_layer=False)
        module = Hidden(bert, ("input_ids", "attention_mask"))
        ones = torch.ones(2, 16, dtype=torch.long)
        inputs, shapes = (ones, ones), ({0: batch, 1: length}, {0: batch, 1: length})
    else:
        vit = ViTModel(ViTConfig(num_attention_heads=6, **sizes), add_pooling_layer=False)
        module = Hidden(vit, ("pixel_values",))
        inputs, shapes = (torch.randn(2, 3, 224, 224),), ({0: batch},)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(), inputs, path, dynamo=True, dynamic_shapes=(shapes,), external_data=False
        )


if __name__ == "__main__":
    main()
