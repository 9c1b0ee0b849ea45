"""An engine shows nothing of its insides: its faults are found by building pieces of its graph."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.bundle_tools import (
    BundleOf,
    bundle_of as bundle_of,  # a fixture
)
from tests.tiny_rows import tiny_row
from zoo.errors import ExportError
from zoo.loading import random_module
from zoo.preprocess import Array, preprocessor_for
from zoo_export.parity import OnnxCandidate, Report, default_profile, judge_against, prepare
from zoo_export.parity.cutting import cut, load_graph, rerun

TEXT, IMAGE = "all-minilm-l6-v2", "vit-b16"
Builder = Callable[[Any], None]
"""What a faulty builder does to every graph that it is given."""


class Engine:
    """A graph behind a builder: ONNX Runtime after the builder's changes, one shape a build."""

    def __init__(self, graph: OnnxCandidate, build: Builder) -> None:
        self.graph, self.build = graph, build
        self.built: list[int] = []
        self.marked = False

    def run(self, batch: dict[str, Array]) -> dict[str, Array]:
        return dict(self._run(load_graph(self.graph.path), batch))

    def run_piece(self, model: Any, feeds: Mapping[str, Array]) -> Mapping[str, Array]:
        self.built.append(len(model.graph.node))
        assert len(model.graph.output) <= 2, "no tensor is marked as a further output"
        return self._run(model, feeds)

    def _run(self, model: Any, feeds: Mapping[str, Array]) -> Mapping[str, Array]:
        changed = onnx.ModelProto()
        changed.CopyFrom(model)
        self.build(changed)
        return rerun(changed, self.graph.path.parent, feeds)


def judged(bundle: Path, name: str, build: Builder) -> tuple[Report, Engine]:
    row = tiny_row(name)
    base = prepare(row, random_module(row), profile=default_profile(row),
                   outputs=("pooled", "tokens"), preprocessor=preprocessor_for(row))  # fmt: skip
    scopes = json.loads((bundle / "scopes.json").read_text())
    engine = Engine(OnnxCandidate(bundle / "model.onnx", scopes=scopes), build)
    return judge_against(base, {"engine": engine}), engine


def norms(model: Any) -> list[Any]:
    return [node for node in model.graph.node if node.op_type == "LayerNormalization"]


def wrong_bias(name: str) -> Builder:
    """A builder that loses one bias."""

    def build(model: Any) -> None:
        for tensor in model.graph.initializer:
            if tensor.name.endswith(name):
                zeros = np.zeros_like(numpy_helper.to_array(tensor))
                tensor.CopyFrom(numpy_helper.from_array(zeros, tensor.name))

    return build


def wrong_together(model: Any) -> None:
    """A fusion of two layers that is wrong where both are in one engine."""
    kinds = [node for node in model.graph.node if node.op_type in ("Gelu", "LayerNormalization")]
    names = [node.op_type for node in kinds]
    if names.count("Gelu") == 2 and names.count("LayerNormalization") >= 5:
        last = norms(model)[-1]
        for attribute in last.attribute:
            if attribute.name == "epsilon":
                attribute.f = 0.1


@pytest.mark.parametrize(
    ("name", "module"),
    [(TEXT, "blocks.1.mlp"), (TEXT, "blocks.0.attention"), (IMAGE, "blocks.1.mlp")],
)
def test_a_fault_of_one_module_is_found_by_few_builds(
    bundle_of: BundleOf, name: str, module: str
) -> None:
    part = "fc2.bias" if module.endswith("mlp") else "proj.bias"

    report, engine = judged(bundle_of(name), name, wrong_bias(f"{module}.{part}"))

    finding = report.candidates[0].finding
    assert report.verdict == "refused"
    assert finding is not None
    assert module.startswith(finding.module)
    assert finding.module.startswith("blocks.")
    assert "wrong by itself too" in finding.text
    assert len(engine.built) <= 7
    assert len(finding.modules) >= 2


def test_a_fault_that_takes_two_pieces_together_is_told_from_one_of_a_module(
    bundle_of: BundleOf,
) -> None:
    report, _ = judged(bundle_of(TEXT), TEXT, wrong_together)

    finding = report.candidates[0].finding
    assert report.verdict == "refused"
    assert finding is not None
    assert "right by itself" in finding.text


def test_a_fault_of_the_end_is_found_from_the_other_side(bundle_of: BundleOf) -> None:
    def build(model: Any) -> None:
        """Wrong only where the last norm and the pooled output are in one engine."""
        outputs = [value.name for value in model.graph.output]
        if "pooled" in outputs and norms(model):
            for attribute in norms(model)[-1].attribute:
                if attribute.name == "epsilon":
                    attribute.f = 0.1

    report, _ = judged(bundle_of(TEXT), TEXT, build)

    finding = report.candidates[0].finding
    assert report.verdict == "refused"
    assert finding is not None
    assert finding.text.startswith("only what is built from blocks.1")
    assert finding.cause == "unknown"


def test_an_engine_that_is_right_is_not_built_in_pieces(bundle_of: BundleOf) -> None:
    report, engine = judged(bundle_of(TEXT), TEXT, lambda model: None)

    assert report.passed, report.line()
    assert engine.built == []


def test_a_piece_that_needs_more_than_it_is_given_is_an_error(bundle_of: BundleOf) -> None:
    model = load_graph(bundle_of(TEXT) / "model.onnx")

    with pytest.raises(ExportError, match=r"The piece needs .*input_ids.*, which nothing gives"):
        cut(model, {}, ["pooled"])
