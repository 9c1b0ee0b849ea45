"""zoo's export beside torch.onnx.export of the transformers module and optimum-onnx, in one run.

    python benchmarks/export.py [--rounds 9] [--optimum PYTHON] [--systems] [--json]

Networks of the size of all-MiniLM-L6-v2 and ViT-S/16, random weights. Plain is what users write:
the transformers module, its last hidden states, `dynamo=True`, all else by default; it neither
pools nor normalises and is not held against anything. zoo's graph pools, normalises and has passed
its gate, which its seconds include. optimum-onnx needs transformers below 4.58, so it has an
environment of its own (see cold_start.py) and exports its version's module of the same size; its
graph runs here. Eager is zoo's network and transformers' module in torch, with as many threads as
ONNX Runtime has: one. Latency is CPU time of that thread, so that what else the machine does counts
little; runs alternate, medians are shown. The seconds of an export are the clock's, with torch's
own number of threads.
With --systems, which systems export at all: see export_systems.py.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import subprocess
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

GOALS = {"nodes": 0.7, "seconds": 1.3, "of plain": 1.0, "of eager": 0.8}
OPTIMUM = """
import sys, time, tempfile, transformers
from optimum.exporters.onnx import main_export
transformers.logging.set_verbosity_error()
kind, place = sys.argv[1:]
sizes = dict(hidden_size=384, intermediate_size=1536)
if kind == "text":
    config = transformers.BertConfig(num_hidden_layers=6, num_attention_heads=12, **sizes)
    module = transformers.BertModel(config, add_pooling_layer=False)
else:
    module = transformers.ViTModel(
        transformers.ViTConfig(num_attention_heads=6, **sizes), add_pooling_layer=False)
with tempfile.TemporaryDirectory() as folder:
    module.eval().save_pretrained(folder)
    clock = time.process_time()
    main_export(folder, place, task="feature-extraction", do_validation=False)
    print(time.process_time() - clock)
"""
ROWS = ("all-minilm-l6-v2", "vit-s16")
TOKENS = 128
THREADS = torch.get_num_threads()
BATCHES = (1, 8)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--optimum", help="Python that has optimum-onnx")
    parser.add_argument("--models", nargs="+", choices=ROWS, default=ROWS)
    parser.add_argument("--systems", action="store_true", help="try more systems, tiny")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    _schemas = allow_torchvision()
    with tempfile.TemporaryDirectory() as folder:
        found = [
            measure(name, Path(folder), options.rounds, options.optimum) for name in options.models
        ]
    systems: dict[str, dict[str, str]] = {}
    if options.systems:
        from export_systems import table

        systems = table(options.optimum)
    if options.json:
        print(json.dumps({"models": found, "systems": systems}, indent=2))
        return
    for one in found:
        print(f"\n{one['model']}")
        print(
            f"{'':13}{'nodes':>8}{'seconds':>9}" + "".join(f"{f'batch {b}':>10}" for b in BATCHES)
        )
        for kind in ("zoo", "plain", "optimum", "eager", "transformers"):
            if kind not in one:
                print(f"{kind:13}not installed: give --optimum")
                continue
            cells = one[kind]
            print(
                f"{kind:13}{cells.get('nodes', ''):>8}{cells.get('seconds', 0):>9.1f}"
                + "".join(f"{cells[f'batch {b}'] * 1e3:>8.1f}ms" for b in BATCHES)
            )
        print(f"zoo to plain: nodes {one['zoo']['nodes'] / one['plain']['nodes']:.2f}, "
              f"seconds {one['zoo']['seconds'] / one['plain']['seconds']:.2f}; goals "
              f"below {GOALS['nodes']}, at most {GOALS['seconds']}")  # fmt: skip
        for size in BATCHES:
            print(f"batch {size}: " + ", ".join(
                f"{one['zoo'][f'batch {size}'] / one[kind][f'batch {size}']:.2f} of {kind}"
                for kind in ("plain", "eager", "transformers")
            ) + f"; goals {GOALS['of plain']} of plain, {GOALS['of eager']} of eager")  # fmt: skip
    if systems:
        print()
        for name, answers in systems.items():
            print(f"{name:12}" + "  ".join(f"{who}: {what}" for who, what in answers.items()))


def measure(name: str, folder: Path, rounds: int, optimum: str | None) -> dict[str, Any]:
    """Return nodes, seconds of the export and of a batch, by who made the graph or runs eagerly."""
    torch.set_num_threads(THREADS)  # an export is timed as a user has it
    plain_export(name, folder / "warm.onnx")  # the first export of a process imports a lot
    clock = time.perf_counter()
    row = cast(Any, zoo.info(name))
    built = build_bundle(row, folder / name, profile=default_profile(row), weights="random")
    ours = time.perf_counter() - clock
    clock = time.perf_counter()
    plain = folder / f"{name}.onnx"
    plain_export(name, plain)
    theirs = time.perf_counter() - clock
    torch.set_num_threads(1)
    encoder = cast(Encoder, zoo.load(name, weights="random"))
    result: dict[str, Any] = {
        "model": name,
        "zoo": {"nodes": built.nodes, "seconds": ours, "steps": dict(built.seconds)},
        "plain": {"nodes": len(onnx.load(plain).graph.node), "seconds": theirs},
        "eager": {},
        "transformers": {},
    }
    if optimum is not None:
        kind = "text" if name == ROWS[0] else "image"
        place = folder / f"{name}-optimum"
        done = subprocess.run(
            [optimum, "-c", OPTIMUM, kind, str(place)], capture_output=True, text=True, check=True
        )
        result["optimum"] = {
            "nodes": len(onnx.load(place / "model.onnx").graph.node),
            "seconds": float(done.stdout.splitlines()[-1]),
        }
    reference, *_ = transformers_module(name)
    for size in BATCHES:
        batch = make_batch(name, size)
        runs: dict[str, Callable[[], object]] = {
            "zoo": session(folder / name / MODEL, batch),
            "plain": session(plain, batch),
            "transformers": eager(reference, batch),
            "eager": lambda batch=batch: encoder.backend.run(batch, normalize=row.normalize),  # type: ignore[misc]  # bound here
        }
        if optimum is not None:
            runs["optimum"] = session(folder / f"{name}-optimum" / "model.onnx", batch)
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
    # optimum's text graphs have a third input, the token types: zeros
    given = [*batch.values(), *(np.zeros_like(array) for array in batch.values())]
    feeds = dict(zip([i.name for i in opened.get_inputs()], given, strict=False))
    return lambda: opened.run(None, feeds)


def eager(module: torch.nn.Module, batch: dict[str, Any]) -> Callable[[], object]:
    """Return a call that runs a module on a batch."""
    tensors = [torch.from_numpy(array) for array in batch.values()]

    @torch.inference_mode()
    def run() -> object:
        return module(*tensors)

    return run


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


def transformers_module(
    name: str,
) -> tuple[Hidden, tuple[torch.Tensor, ...], tuple[dict[int, Any], ...]]:
    """Return the transformers module of the same size, an example and its dynamic axes."""
    from transformers import BertConfig, BertModel, ViTConfig, ViTModel

    sizes = {"hidden_size": 384, "intermediate_size": 1536}
    batch = torch.export.Dim("batch", min=1, max=4096)
    if name == ROWS[0]:
        length = torch.export.Dim("length", min=2, max=512)
        config = BertConfig(num_hidden_layers=6, num_attention_heads=12, **sizes)
        bert = BertModel(config, add_pooling_layer=False).eval()
        ones = torch.ones(2, 16, dtype=torch.long)
        axes = {0: batch, 1: length}
        return Hidden(bert, ("input_ids", "attention_mask")), (ones, ones), (axes, axes)
    vit = ViTModel(ViTConfig(num_attention_heads=6, **sizes), add_pooling_layer=False).eval()
    return Hidden(vit, ("pixel_values",)), (torch.randn(2, 3, 224, 224),), ({0: batch},)


def plain_export(name: str, path: Path) -> None:
    """Export the transformers module of the same size as a user would."""
    module, inputs, shapes = transformers_module(name)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, inputs, path, dynamo=True, dynamic_shapes=(shapes,), external_data=False
        )


if __name__ == "__main__":
    main()
