"""An export holds few copies of the weights; large ones lie beside the graph, whole and named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from tests.tiny_rows import tiny_row
from zoo.loading import random_module
from zoo_export import graph
from zoo_export.onnx import export_graph

# Above what a process holds that has exported before: the network itself, weights that are scaled
# for the graph, and what torch.export and a few large tensors take on their way.
MOST = 3.0  # times the weights

EXPORT = """
import gc, sys
from dataclasses import replace
from pathlib import Path
from tests.tiny_rows import tiny_row
from zoo.loading import random_module
from zoo.registry import default_registry
from zoo_export.onnx import export_graph

def memory(kind):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(kind))

def export(row, name):
    module = random_module(row)
    export_graph(row, module, Path(sys.argv[1], name), outputs=("pooled", "tokens"), facts={})
    return sum(value.nbytes for value in module.parameters())

export(tiny_row("bert-base-uncased"), "tiny.onnx")
gc.collect()
open("/proc/self/clear_refs", "w").write("5")  # the peak begins anew
base = memory("VmRSS")
row = default_registry().row("bert-base-uncased")
weights = export(row.with_config(depth=6), "large.onnx")
print(weights, memory("VmHWM") - base)
"""


@pytest.mark.slow
def test_the_peak_of_an_export_stays_below_three_times_the_weights(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EXPORT, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent.parent,
    )
    weights, peak = map(int, done.stdout.split())
    assert weights > 2.5e8
    assert peak < MOST * weights


def test_weights_beside_a_graph_are_found_by_its_folder_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "ONE_FILE", 1000)
    row = tiny_row("all-minilm-l6-v2")
    module = random_module(row)
    (tmp_path / "here").mkdir()
    export_graph(row, module, tmp_path / "here" / "x.onnx", outputs=("pooled",), facts={})

    moved = (tmp_path / "here").rename(tmp_path / "there")
    onnx.checker.check_model(str(moved / "x.onnx"), full_check=True)
    model = onnx.load(str(moved / "x.onnx"), load_external_data=False)
    outside = [value for value in model.graph.initializer if value.external_data]
    places = [{entry.key: entry.value for entry in value.external_data} for value in outside]
    assert {place["location"] for place in places} == {"x.onnx.data"}
    assert len(outside) > 10
    assert str(tmp_path).encode() not in (moved / "x.onnx").read_bytes()

    session = onnxruntime.InferenceSession(moved / "x.onnx", providers=["CPUExecutionProvider"])
    ids = np.full((2, 5), 7, np.int64)
    (pooled,) = session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})
    assert np.isfinite(pooled).all()
