"""Low precision: the plan and its reasons, the casts, the emulation, the bundle."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch
from onnx import TensorProto, helper

import zoo
from tests.bundle_tools import (
    BundleOf,
    bundle_of as bundle_of,  # a fixture
    items_of,
)
from tests.cli_tools import Zoo
from tests.tiny_rows import tiny_row
from zoo.bundle import MODEL, open_bundle
from zoo.errors import OptionError
from zoo.manifest import Low, PrecisionPlan
from zoo.verify import verify
from zoo_export import graph
from zoo_export.build import build_bundle
from zoo_export.parity import OnnxCandidate, default_profile
from zoo_export.parity.low import autocast
from zoo_export.precision.casts import lower
from zoo_export.precision.emulate import emulate
from zoo_export.precision.plan import BY_HAND, LARGE, NEIGHBOURS, REDUCES, SMALL, make_plan
from zoo_export.precision.ranges import Spread, measure_ranges
from zoo_export.precision.sensitive import blocks, parts
from zoo_export.precision.structure import difference

NAME = "all-minilm-l6-v2"
HALVES: tuple[Low, ...] = ("float16", "bfloat16")


def made(
    folder: Path, nodes: list[object], weights: dict[str, object], *, width: int = 4
) -> ir.Model:
    """Return a float32 graph x (B, W) -> y (B, W)."""
    value = helper.make_tensor_value_info
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "made",
            [value("x", TensorProto.FLOAT, ["batch", width])],
            [value("y", TensorProto.FLOAT, ["batch", width])],
            [
                helper.make_tensor(name, TensorProto.FLOAT, np.shape(array), np.ravel(array))
                for name, array in weights.items()
            ],
        ),
        opset_imports=[helper.make_opsetid("", 22)],
        ir_version=10,
    )
    (folder / "made.onnx").write_bytes(model.SerializeToString())
    return graph.read(folder / "made.onnx")


def product(name: str, out: str, *inputs: str) -> object:
    return helper.make_node("MatMul", list(inputs), [out], name=name)


def planned(
    model: ir.Model, folder: Path, *, dtype: Low = "float16", scale: float = 1.0, **more: object
) -> PrecisionPlan:
    batch = scale * np.random.default_rng(0).standard_normal((8, 4)).astype(np.float32)
    spreads = measure_ranges(folder / "made.onnx", [{"x": batch}])
    scopes = {str(node.name): f"part.{node.name}" for node in model.graph}
    return make_plan(model, spreads, dtype=dtype, scopes=scopes, structure_sha256="", **more)  # type: ignore[arg-type]


def emulated(model: ir.Model, folder: Path, batch: np.ndarray) -> np.ndarray:
    emulate(model, {})
    graph.write(model, folder / "emulated.onnx")
    return OnnxCandidate(folder / "emulated.onnx").run({"x": batch})["y"]


# The plan


def test_ranges_are_those_of_every_value_over_all_batches(tmp_path: Path) -> None:
    made(tmp_path, [product("one", "a", "x", "w"), product("two", "y", "a", "w")],
         {"w": 2 * np.eye(4)})  # fmt: skip
    batches = [np.full((2, 4), 3, np.float32), np.array([[0, 0, 0, -5]], np.float32)]

    spreads = measure_ranges(tmp_path / "made.onnx", [{"x": batch} for batch in batches])

    assert spreads == {
        "x": Spread(largest=5, size=3),
        "a": Spread(largest=10, size=6),
        "y": Spread(largest=20, size=12),
    }


def test_a_value_that_comes_near_the_end_keeps_its_operators_in_float32(tmp_path: Path) -> None:
    model = made(
        tmp_path,
        [product("up", "a", "x", "large"), product("down", "b", "a", "small"),
         product("after", "y", "b", "one")],
        {"large": 9000 * np.eye(4), "small": np.eye(4) / 9000, "one": np.eye(4)},
    )  # fmt: skip

    assert planned(model, tmp_path).float32 == {LARGE: ("up", "down")}
    with pytest.raises(OptionError, match="Nothing of made would run in float16"):
        planned(model, tmp_path, scale=1e5)
    assert planned(model, tmp_path, dtype="bfloat16").float32 == {}


@pytest.mark.parametrize(
    ("weight", "scale", "reason"), [(1e5, 1e-3, LARGE), (1e-6, 1e3, SMALL), (1.0, 1.0, NEIGHBOURS)]
)
def test_a_constant_that_rounding_would_harm_stays_as_it_is(
    tmp_path: Path, weight: float, scale: float, reason: str
) -> None:
    model = made(
        tmp_path,
        [helper.make_node("Mul", ["x", "scale"], ["a"], name="scaled"),
         product("after", "y", "a", "one")],
        {"scale": [weight], "one": np.eye(4)},
    )  # fmt: skip

    # what is made of the float32 input alone stays anyway, for no reason of its own
    assert planned(model, tmp_path, scale=scale).float32 == {reason: ("scaled",)}


def test_norms_and_what_lies_between_them_stay_and_biases_go_with_their_product(
    bundle_of: BundleOf,
) -> None:
    path = bundle_of(NAME)
    model = graph.read(path / MODEL)
    scopes = json.loads((path / "scopes.json").read_text())

    plan = make_plan(model, {}, dtype="float16", scopes=scopes, structure_sha256="")

    kinds = {str(node.name): node.op_type for node in model.graph}
    assert {"LayerNormalization", "Softmax"} <= {kinds[name] for name in plan.float32[REDUCES]}
    assert "Add" in {kinds[name] for name in plan.float32[NEIGHBOURS]}
    assert not {"MatMul", "Gemm", "Gelu"} & {kinds[name] for name in plan.operators}


def test_patterns_name_modules_and_all_that_is_in_them(tmp_path: Path) -> None:
    model = made(tmp_path, [product("one", "a", "x", "w"), product("two", "y", "a", "w")],
                 {"w": np.eye(4)})  # fmt: skip

    assert planned(model, tmp_path, keep=["part.t*"]).float32 == {BY_HAND: ("two",)}
    with pytest.raises(OptionError, match="No operator comes from a module 'three'"):
        planned(model, tmp_path, keep=["three"])
    with pytest.raises(OptionError, match="Nothing of made would run in float16"):
        planned(model, tmp_path, keep=["part"])


def test_a_network_without_products_has_nothing_to_gain(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="it multiplies no matrices"):
        build_bundle(
            tiny_row("hog"),
            tmp_path / "b",
            profile=default_profile(tiny_row("hog")),
            weights="random",
            precision="float16",
        )


def test_blocks_are_names_up_to_their_number_and_parts_are_inside_them() -> None:
    modules = ["embeddings.norm", "blocks.0.mlp.fc1", "blocks.0.attention", "blocks.1.mlp"]

    assert blocks(modules) == ["embeddings", "blocks.0", "blocks.1"]
    assert parts("blocks.0", modules) == ["blocks.0.mlp", "blocks.0.attention"]
    assert parts("norm", ["norm"]) == ["norm"]


# Casts


def test_a_value_is_cast_once_and_never_back_and_forth(bundle_of: BundleOf) -> None:
    path = bundle_of(NAME)
    model = graph.read(path / MODEL)
    scopes = json.loads((path / "scopes.json").read_text())
    lower(model, make_plan(model, {}, dtype="float16", scopes=scopes, structure_sha256=""), scopes)

    casts = [node for node in model.graph if str(node.name).startswith("Cast to ")]
    seen = [(id(node.inputs[0]), node.attributes["to"].as_int()) for node in casts]
    makers = [value.producer() for node in casts for value in node.inputs if value is not None]

    assert casts
    assert len(set(seen)) == len(seen)
    assert not any(maker is not None and maker.op_type == "Cast" for maker in makers)
    assert all(node.outputs[0].uses() or node.outputs[0].is_graph_output() for node in casts)


def test_weights_read_in_both_precisions_are_stored_in_both(tmp_path: Path) -> None:
    exact = made(
        tmp_path,
        [product("one", "a", "x", "w"), product("two", "y", "a", "w")],
        {"w": np.eye(4) / 3},
    )
    model = graph.read(tmp_path / "made.onnx")
    plan = planned(model, tmp_path, keep=["part.two"])

    lower(model, plan, {})
    graph.save(model, tmp_path / "low.onnx")

    stored = {name: value.dtype for name, value in model.graph.initializers.items()}
    assert stored == {"w": ir.DataType.FLOAT, "w.float16": ir.DataType.FLOAT16}
    assert difference(graph.read(tmp_path / "low.onnx"), exact) == ""
    assert [value.dtype for value in (*model.graph.inputs, *model.graph.outputs)] == [
        ir.DataType.FLOAT
    ] * 2


# Emulation


@pytest.mark.parametrize(("dtype", "digits"), [("float16", 11), ("bfloat16", 8)])
def test_emulation_rounds_as_the_precision_does(tmp_path: Path, dtype: Low, digits: int) -> None:
    model = made(tmp_path, [product("one", "y", "x", "w")], {"w": np.eye(4)})
    lower(model, planned(model, tmp_path, dtype=dtype), {})
    batch = np.random.default_rng(1).standard_normal((9, 4)).astype(np.float32)

    found = emulated(model, tmp_path, batch)

    wanted = torch.from_numpy(batch).to(getattr(torch, dtype)).float().numpy()
    np.testing.assert_array_equal(found, wanted)
    assert 2.0 ** -(digits + 2) < np.abs(found / batch - 1).max() <= 2.0**-digits


@pytest.mark.parametrize(
    ("kind", "axes"),
    [("LayerNormalization", None), ("ReduceMean", 1), ("ReduceL2", 1), ("Softmax", None)],
)
def test_a_reduction_in_low_precision_overflows_inside(
    tmp_path: Path, kind: str, axes: int | None
) -> None:
    inputs = [
        "x",
        *(["scale"] if kind == "LayerNormalization" else []),
        *(["axes"] if axes else []),
    ]
    node = helper.make_node(kind, inputs, ["a"], name="reduced")
    model = made(tmp_path, [node, product("one", "y", "a", "w")] if not axes else [
        node, helper.make_node("Add", ["x", "a"], ["b"], name="sum"), product("one", "y", "b", "w"),
    ], {"scale": np.ones(4), "w": np.eye(4), "axes": [1.0]})  # fmt: skip
    if axes:
        tensor = ir.tensor(np.array([1], np.int64), name="axes")
        model.graph.initializers["axes"].const_value = tensor
        model.graph.initializers["axes"].dtype = ir.DataType.INT64
        graph.write(model, tmp_path / "made.onnx")
    lower(model, PrecisionPlan(dtype="float16", structure_sha256=""), {})
    graph.save(model, tmp_path / "low.onnx")
    small = np.array([[1, -1, 2, 0]], np.float32)
    large = {"Softmax": 1.0}.get(kind, 20_000.0) * np.array([[1, 1, 1.5, 1]], np.float32)

    exact = OnnxCandidate(tmp_path / "made.onnx")
    near = emulated(graph.read(tmp_path / "low.onnx"), tmp_path, small)
    far = emulated(graph.read(tmp_path / "low.onnx"), tmp_path, large)

    np.testing.assert_allclose(near, exact.run({"x": small})["y"], rtol=5e-3, atol=2e-3)
    wrong = np.abs(far - exact.run({"x": large})["y"]) / np.abs(exact.run({"x": large})["y"])
    assert kind == "Softmax" or not wrong.max() < 0.1


# The yardstick


def test_autocast_keeps_modules_in_float32() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(4, 4, bias=False), torch.nn.Linear(4, 4, bias=False))
    with torch.no_grad():
        net[0].weight.copy_(1e5 * torch.eye(4))
        net[1].weight.copy_(1e-5 * torch.eye(4))
    x = torch.ones(1, 4)

    with torch.no_grad():
        kept = autocast(net, torch.float16, {"0", "1"})(x)
        net.forward = type(net).forward.__get__(net)  # type: ignore[method-assign]
        for part in net:
            part.forward = type(part).forward.__get__(part)
        overflown = autocast(net, torch.float16, ())(x)

    torch.testing.assert_close(kept, x)
    assert not torch.isfinite(overflown).all()


# The bundle


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle in float16."""
    row = tiny_row(NAME)
    place = tmp_path_factory.mktemp("half") / "bundle"
    build_bundle(
        row,
        place,
        profile=default_profile(row),
        weights="random",
        precision="float16",
        keep=["blocks.1.mlp"],
    )
    return place


def test_a_bundle_says_its_precision_and_its_plan(half: Path, bundle_of: BundleOf) -> None:
    manifest = open_bundle(half).manifest
    exact = open_bundle(bundle_of(NAME)).manifest

    assert manifest.graph.dtype == "float16"
    assert manifest.verdict.executed == "emulated"
    assert "of eager float16" in manifest.verdict.line
    assert "structure: proven" in manifest.verdict.line
    assert manifest.plan is not None
    assert manifest.plan.keep == ("blocks.1.mlp",)
    assert BY_HAND in manifest.plan.float32
    # the same graph comes out of the same network, so that its hash can be compared
    assert manifest.plan.structure_sha256 == exact.files[MODEL].sha256
    readme = (half / "README.md").read_text()
    assert "float16" in readme
    assert manifest.verdict.line in readme


def test_a_half_precision_bundle_runs_on_a_processor(half: Path) -> None:
    row = tiny_row(NAME)
    items = items_of(row, 3)

    vectors = zoo.open(half).encode(items)
    wanted = zoo.load(row, weights="random").encode(items)

    assert vectors.dtype == np.float32
    assert 1e-6 < np.abs(vectors - wanted).max() < 1e-2
    assert all(check.passed for check in verify(half))


def test_bfloat16_says_what_it_needs_where_it_cannot_run(tmp_path: Path) -> None:
    row = tiny_row("resnet-18")
    place = tmp_path / "bundle"
    build_bundle(row, place, profile=default_profile(row), weights="random", precision="bfloat16")

    with pytest.raises(OptionError, match=r"no operators on a processor.*zoo verify"):
        zoo.open(place)


@pytest.mark.parametrize("option", ["--fix", "--keep-fp32=blocks"])
def test_float32_has_nothing_to_keep(
    option: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = Zoo(capsys, monkeypatch)("export", NAME, "--out", "nowhere", option)

    assert ran.code == 2
    assert "--precision fp16 or bf16" in ran.err


def test_the_command_line_exports_and_judges_low_precision(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    bundle_of: BundleOf,
) -> None:
    monkeypatch.setattr(zoo, "resolve", lambda name: (tiny_row(name),))
    run = Zoo(capsys, monkeypatch)

    made = run(
        "export", NAME, "--weights", "random", "--precision", "bf16", "--out", tmp_path / "b"
    )
    proven = run("parity", tmp_path / "b")
    against = ("parity", NAME, "--weights", "random", "--against", tmp_path / "b" / MODEL)
    alone = run(*against)
    with_twin = run(*against, "--twin", bundle_of(NAME) / MODEL)

    assert made.code == 0
    assert "operators stay in float32" in made.out
    assert (proven.code, with_twin.code) == (0, 0)
    assert "structure: proven" in proven.out
    assert alone.code == 3
    assert "structure: not proven" in alone.out
    assert " dB, " in alone.out


def test_a_row_is_loaded_in_half_precision_on_onnx_runtime() -> None:
    row = tiny_row("resnet-18")
    items = items_of(row, 2)

    half = zoo.load(row, backend="onnx", dtype="float16", weights="random")
    exact = zoo.load(row, weights="random")

    difference = np.abs(half.encode(items) - exact.encode(items)).max()
    assert 1e-6 < difference < 1e-2
