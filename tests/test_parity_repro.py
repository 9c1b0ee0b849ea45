"""A refused graph's repro runs anywhere: it shows the error, and a right graph passes it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.bundle_tools import (
    BundleOf,
    bundle_of as bundle_of,  # a fixture
)
from tests.test_parity_onnx import IMAGE, TEXT, Change, frozen_batch, lost_bias, tanh_gelu
from tests.tiny_rows import tiny_row
from zoo.loading import random_module
from zoo.preprocess import preprocessor_for
from zoo_export.parity import OnnxCandidate, default_profile, judge_against, prepare
from zoo_export.parity.cutting import cut, load_graph
from zoo_export.parity.repro import write_repros


def repro(bundle: Path, name: str, folder: Path, change: Change) -> list[Path]:
    """Judge a bundle's graph with a bug in it, and write what shows it."""
    model = onnx.load(bundle / "model.onnx")
    change(model)
    onnx.save(model, folder / "changed.onnx")
    row = tiny_row(name)
    base = prepare(row, random_module(row), profile=default_profile(row),
                   outputs=("pooled", "tokens"), preprocessor=preprocessor_for(row))  # fmt: skip
    scopes = json.loads((bundle / "scopes.json").read_text())
    candidates = {"graph": OnnxCandidate(folder / "changed.onnx", scopes=scopes)}
    report = judge_against(base, candidates)
    return list(write_repros(base, report, candidates, folder / "repro"))


def run(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Run a repro as its README says, where this project is not on the path."""
    return subprocess.run(
        [sys.executable, "-S", "-c", BARE, str(folder / "run.py"), *map(str, words)],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


# Only numpy, onnxruntime and what they need can be imported.
BARE = f"""
import runpy, sys
sys.path.append({str(Path(np.__file__).parent.parent)!r})
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "onnx", "zoo", "zoo_export"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocked())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_a_repro_fails_with_the_graph_and_passes_with_the_right_one(
    bundle_of: BundleOf, tmp_path: Path
) -> None:
    bundle = bundle_of(TEXT)

    (folder,) = repro(bundle, TEXT, tmp_path, tanh_gelu)

    wrong, right = run(folder), run(folder, bundle / "model.onnx")
    assert (wrong.returncode, right.returncode) == (1, 0), wrong.stderr + right.stdout
    assert "WRONG" in wrong.stdout
    assert "beyond" in wrong.stdout
    assert "beyond" not in right.stdout
    assert "blocks.1.mlp" in (folder / "README.md").read_text()


@pytest.mark.parametrize("change", [tanh_gelu, lost_bias], ids=["gelu", "bias"])
def test_the_module_is_cut_out_and_shows_the_error_alone(
    bundle_of: BundleOf, tmp_path: Path, change: Change
) -> None:
    bundle = bundle_of(TEXT)

    (folder,) = repro(bundle, TEXT, tmp_path, change)

    module = folder / "module"
    small = onnx.load(module / "model.onnx")
    feeds = dict(np.load(module / "inputs.npz"))
    outputs = [value.name for value in small.graph.output]
    right = cut(load_graph(bundle / "model.onnx"), feeds, outputs)
    onnx.save(right, tmp_path / "right.onnx")
    assert len(small.graph.node) <= 8
    assert run(module).returncode == 1
    assert run(module, tmp_path / "right.onnx").returncode == 0


def test_a_graph_that_cannot_run_a_batch_is_shown_not_to(
    bundle_of: BundleOf, tmp_path: Path
) -> None:
    (folder,) = repro(bundle_of(IMAGE), IMAGE, tmp_path, frozen_batch)

    assert run(folder).returncode == 1
    assert run(folder, bundle_of(IMAGE) / "model.onnx").returncode == 0
    assert not (folder / "module").exists()


def test_nothing_is_written_for_a_graph_that_passes(bundle_of: BundleOf, tmp_path: Path) -> None:
    assert repro(bundle_of(TEXT), TEXT, tmp_path, lambda model: None) == []
