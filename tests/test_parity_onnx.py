"""ONNX files as candidates: judged, their faults found, the module named from the graph alone."""

from __future__ import annotations

import json
from collections.abc import Callable
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
from zoo.errors import OptionError
from zoo.loading import random_module
from zoo.preprocess import preprocessor_for
from zoo_export.parity import OnnxCandidate, Report, default_profile, judge
from zoo_export.parity.onnx_candidate import SCOPES, crossings, node_scopes
from zoo_export.parity.taps import Boundary

TEXT, IMAGE = "all-minilm-l6-v2", "resnet-18"
Change = Callable[[onnx.ModelProto], None]


def judged(
    bundle: Path, name: str, folder: Path, change: Change | None = None, *, scopes: bool = True
) -> Report:
    """Judge the graph of a bundle, changed or not."""
    model = onnx.load(bundle / "model.onnx")
    if change is not None:
        change(model)
    path = folder / "changed.onnx"
    onnx.save(model, path)
    row = tiny_row(name)
    noted: dict[str, str] = json.loads((bundle / "scopes.json").read_text())
    candidate = OnnxCandidate(path, scopes=noted if scopes else None)
    return judge(
        row,
        random_module(row),
        {"onnx": candidate},
        profile=default_profile(row),
        outputs=("pooled", "tokens"),
        preprocessor=preprocessor_for(row),
        layers=True,
    )


def nodes(model: onnx.ModelProto, kind: str) -> list[Any]:
    return [node for node in model.graph.node if node.op_type == kind]


def initializer(model: onnx.ModelProto, name: str) -> tuple[Any, Any]:
    """Return a tensor of a graph, and its numbers."""
    found = next(value for value in model.graph.initializer if value.name.endswith(name))
    return found, numpy_helper.to_array(found).copy()


def tanh_gelu(model: onnx.ModelProto) -> None:
    (approximate,) = nodes(model, "Gelu")[1].attribute
    approximate.s = b"tanh"


def wrong_eps(model: onnx.ModelProto) -> None:
    (epsilon,) = (a for a in nodes(model, "LayerNormalization")[2].attribute if a.name == "epsilon")
    epsilon.f = 1e-5


def lost_bias(model: onnx.ModelProto) -> None:
    tensor, values = initializer(model, "blocks.1.mlp.fc2.bias")
    tensor.CopyFrom(numpy_helper.from_array(np.zeros_like(values), tensor.name))


def rounded_weight(model: onnx.ModelProto) -> None:
    tensor, values = initializer(model, "blocks.1.attention.proj.bias")
    half = values.astype(np.float16).astype(np.float32)
    tensor.CopyFrom(numpy_helper.from_array(half, tensor.name))


def swapped_outputs(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        for place, name in enumerate(node.output):
            if name in ("pooled", "tokens"):
                node.output[place] = "other_" + name
        for place, name in enumerate(node.input):
            if name in ("pooled", "tokens"):
                node.input[place] = "other_" + name
    model.graph.node.append(onnx.helper.make_node("Identity", ["other_tokens"], ["pooled"]))
    model.graph.node.append(onnx.helper.make_node("Identity", ["other_pooled"], ["tokens"]))
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")


def frozen_batch(model: onnx.ModelProto) -> None:
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1


GRAPHS: dict[str, tuple[Change, str, str]] = {
    # bug: change, module that is named, words of the cause
    "tanh for exact gelu": (tanh_gelu, "blocks.1.mlp", "gelu_tanh"),
    "eps 1e-5 for 1e-12": (wrong_eps, "blocks.0.mlp_norm", "eps is 1e-05"),
    "a bias lost": (lost_bias, "blocks.1.mlp.fc2", "bias is lost"),
    "a bias in half precision": (rounded_weight, "blocks.1.attention.proj", "unknown"),
}


@pytest.mark.parametrize("name", [TEXT, IMAGE])
def test_a_right_graph_passes_and_agrees_at_every_module(
    bundle_of: BundleOf, tmp_path: Path, name: str
) -> None:
    report = judged(bundle_of(name), name, tmp_path)

    finding = report.candidates[0].finding
    assert report.passed, report.line()
    assert finding is not None
    assert finding.text == "every module agrees"
    assert len(finding.modules) > 20
    assert {"blocks.0", "blocks.1"} <= {record.module for record in finding.modules}


@pytest.mark.parametrize("kind", GRAPHS)
def test_a_bug_in_a_graph_is_refused_and_found(
    bundle_of: BundleOf, tmp_path: Path, kind: str
) -> None:
    change, module, cause = GRAPHS[kind]

    report = judged(bundle_of(TEXT), TEXT, tmp_path, change)

    finding = report.candidates[0].finding
    assert report.verdict == "refused"
    assert finding is not None
    assert finding.module == module
    assert cause in finding.cause


def test_outputs_with_each_others_names_are_refused(bundle_of: BundleOf, tmp_path: Path) -> None:
    report = judged(bundle_of(TEXT), TEXT, tmp_path, swapped_outputs)

    assert report.verdict == "refused"
    assert "pooled has shape" in report.candidates[0].faults[0]


def test_a_batch_frozen_at_export_is_refused(bundle_of: BundleOf, tmp_path: Path) -> None:
    report = judged(bundle_of(TEXT), TEXT, tmp_path, frozen_batch)

    assert report.verdict == "refused"
    assert "fails in batch" in report.candidates[0].faults[0]


def test_a_batch_norm_that_was_folded_is_no_fault_but_a_wrong_fold_is(
    bundle_of: BundleOf, tmp_path: Path
) -> None:
    def wrong_fold(model: onnx.ModelProto) -> None:
        convolution = nodes(model, "Conv")[4]
        tensor, values = initializer(model, convolution.input[2])
        tensor.CopyFrom(numpy_helper.from_array(values * np.float32(1.01), tensor.name))

    report = judged(bundle_of(IMAGE), IMAGE, tmp_path, wrong_fold)

    finding = report.candidates[0].finding
    assert report.verdict == "refused"
    assert finding is not None
    assert finding.module.startswith("blocks.")
    assert finding.cause == "unknown"


def test_without_scopes_a_bug_is_refused_without_a_place(
    bundle_of: BundleOf, tmp_path: Path
) -> None:
    report = judged(bundle_of(TEXT), TEXT, tmp_path, lost_bias, scopes=False)

    finding = report.candidates[0].finding
    assert report.verdict == "refused"
    assert finding is None


def test_a_file_that_is_no_graph_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "no.onnx").write_bytes(b"no graph")

    with pytest.raises(OptionError, match=r"ONNX Runtime cannot run .*no\.onnx"):
        OnnxCandidate(tmp_path / "no.onnx")


def test_an_input_that_the_model_does_not_have_is_named(
    bundle_of: BundleOf, tmp_path: Path
) -> None:
    candidate = OnnxCandidate(bundle_of(TEXT) / "model.onnx")

    with pytest.raises(OptionError, match="wants attention_mask; the model has input_ids"):
        candidate.run({"input_ids": np.ones((1, 2), np.int64)})


def test_scopes_are_read_from_what_the_exporter_notes_behind_a_wrapper() -> None:
    make = onnx.helper.make_node
    graph = onnx.helper.make_graph(
        [
            make("Relu", ["x"], ["a"], name="one"),
            make("Neg", ["a"], ["b"], name="two"),
            make("Abs", ["b"], ["y"], name="three"),
        ],
        "g",
        [onnx.helper.make_empty_tensor_value_info("x")],
        [onnx.helper.make_empty_tensor_value_info("y")],
    )
    places = ("['', 'net', 'net.layer', 'relu']", "['', 'net', 'net.layer', 'neg']", "['', 'abs']")
    for node, place in zip(graph.node, places, strict=True):
        node.metadata_props.add(key=SCOPES, value=place)
    shapes = {Boundary("layer", "in"): (1,), Boundary("layer", "out"): (1,)}

    scopes = node_scopes(graph)

    assert scopes == {"one": "net.layer", "two": "net.layer", "three": ""}
    assert crossings(graph, scopes, shapes) == {
        Boundary("layer", "in"): ["x"],
        Boundary("layer", "out"): ["b"],
    }
