"""TensorRT-RTX builds engines of our graphs, on a machine without a GPU; none is run here."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

import zoo
from tests.bundle_tools import BundleOf, bundle_of as bundle_of
from tests.cli_tools import Zoo
from tests.test_export_onnx import most
from tests.test_packaging import without
from tests.tiny_rows import tiny_row
from zoo.bundle import GOLDEN, MODEL, README, SCOPES, open_bundle, read_manifest
from zoo.errors import ExportError, MissingExtraError, OptionError
from zoo.manifest import Engine, Low, Manifest
from zoo.runtime.engines import ENGINE, engine_facts
from zoo.runtime.trt_module import listener, vendor_of
from zoo.targets import TENSORRT_RTX, EngineOptions
from zoo.verify import golden_key, verify
from zoo_export import graph as graphs
from zoo_export.build import build_bundle
from zoo_export.parity import default_profile
from zoo_export.precision.casts import lower
from zoo_export.precision.operators import PRODUCTS
from zoo_export.precision.plan import make_plan
from zoo_export.precision.ranges import measure_ranges
from zoo_export.targets import TENSORRT_RTX_TARGET, TENSORRT_TARGET
from zoo_export.tensorrt import build as builder
from zoo_export.tensorrt.build import build_engine
from zoo_export.tensorrt.network import parse
from zoo_export.tensorrt.progress import Bar, monitor
from zoo_export.tensorrt.report import LAYERS

QUIET = EngineOptions(progress=False)
ALL = ("sm_80", "sm_86", "sm_89", "sm_120")


def copied(bundle: Path, folder: Path) -> Path:
    """Return a folder with what an engine is built of."""
    folder.mkdir(exist_ok=True)
    for path in bundle.iterdir():
        if path.name.startswith(MODEL) or path.name == SCOPES:
            (folder / path.name).hardlink_to(path)
    return folder


def built(bundle: Path, folder: Path, options: EngineOptions = QUIET) -> Engine:
    """Build an engine of a bundle's graph in another folder."""
    return build_engine(TENSORRT_RTX, copied(bundle, folder), read_manifest(bundle), options)


def lowered(bundle: Path, folder: Path, dtype: Low) -> Manifest:
    """Write the graph of a bundle in low precision, and its scopes; return its manifest."""
    manifest, golden = read_manifest(bundle), load_file(bundle / GOLDEN)
    batches = [
        {
            tensor.name: golden[golden_key(case, "in", tensor.name)]
            for tensor in manifest.facts.inputs
        }
        for case in range(manifest.golden.cases)
    ]
    scopes = json.loads((bundle / SCOPES).read_text())
    model = graphs.read(bundle / MODEL)
    plan = make_plan(
        model,
        measure_ranges(bundle / MODEL, batches),
        dtype=dtype,
        scopes=scopes,
        structure_sha256="",
    )
    (folder / SCOPES).write_text(json.dumps(dict(lower(model, plan, scopes))))
    graphs.save(model, folder / MODEL)
    return replace(manifest, graph=replace(manifest.graph, dtype=dtype))


def multiplies(bundle: Path) -> bool:
    """Whether a graph has products, which are what low precision is for."""
    graph = onnx.load(bundle / MODEL, load_external_data=False).graph
    return any(node.op_type in PRODUCTS for node in graph.node)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Zoo:
    return Zoo(capsys, monkeypatch)


# Engines


@most
def test_one_engine_of_every_graph_serves_four_kinds_of_gpu(
    name: str, bundle_of: BundleOf, tmp_path: Path
) -> None:
    engine = built(bundle_of(name), tmp_path)

    assert engine.devices == ALL
    assert engine.verdict.outcome == "deferred"
    facts = engine_facts(engine)
    assert list(facts.precisions) == ["float32"]
    assert (tmp_path / ENGINE).stat().st_size > 100_000
    graph = onnx.load(bundle_of(name) / MODEL, load_external_data=False).graph
    assert list(facts.profiles[0].shapes) == [value.name for value in graph.input]


@most
def test_every_graph_becomes_an_engine_in_float16(
    name: str, bundle_of: BundleOf, tmp_path: Path
) -> None:
    if not multiplies(bundle_of(name)):
        with pytest.raises(OptionError, match="multiplies no matrices"):
            lowered(bundle_of(name), tmp_path, "float16")
        return
    manifest = lowered(bundle_of(name), tmp_path, "float16")
    engine = build_engine(TENSORRT_RTX, tmp_path, manifest, QUIET)
    assert engine.devices == ALL
    assert engine_facts(engine).precisions["float16"] > 0


def test_bfloat16_becomes_an_engine_too(bundle_of: BundleOf, tmp_path: Path) -> None:
    manifest = lowered(bundle_of("dinov2-g14-reg"), tmp_path, "bfloat16")
    engine = build_engine(TENSORRT_RTX, tmp_path, manifest, QUIET)
    assert engine_facts(engine).precisions["bfloat16"] > 0


def test_float16_reaches_older_gpus(bundle_of: BundleOf, tmp_path: Path) -> None:
    manifest = lowered(bundle_of("all-minilm-l6-v2"), tmp_path, "float16")
    options = EngineOptions(devices=("sm_75",), progress=False)
    assert build_engine(TENSORRT_RTX, tmp_path, manifest, options).devices == ("sm_75",)


def test_precisions_of_layers_are_those_of_the_plan(bundle_of: BundleOf, tmp_path: Path) -> None:
    manifest = lowered(bundle_of("all-minilm-l6-v2"), tmp_path, "float16")
    build_engine(TENSORRT_RTX, tmp_path, manifest, QUIET)
    layers = json.loads((tmp_path / LAYERS).read_text())["network"]
    products = {layer["dtype"] for layer in layers if layer["kind"] == "MATRIX_MULTIPLY"}
    norms = {layer["dtype"] for layer in layers if layer["kind"] == "NORMALIZATION"}
    assert products == {"float16"}
    assert norms == {"float32"}


def test_building_a_graph_of_one_output_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    row = tiny_row("all-minilm-l6-v2")
    bundle = tmp_path / "bundle"
    build_bundle(row, bundle, profile=default_profile(row), weights="random", outputs=["pooled"])
    for place in ("one", "two"):
        built(bundle, tmp_path / place)
    for file in (ENGINE, LAYERS):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_layers_lead_back_to_the_modules_and_say_their_precision(
    bundle_of: BundleOf, tmp_path: Path
) -> None:
    engine = built(bundle_of("all-minilm-l6-v2"), tmp_path)
    report = json.loads((tmp_path / LAYERS).read_text())
    scopes = json.loads((tmp_path / SCOPES).read_text())

    layers = report["network"]
    modules = {layer["module"] for layer in layers if layer["dtype"] == "float32"}
    assert {"blocks.1.attention", "blocks.1.mlp.fc2", "embeddings.norm"} <= modules
    assert modules - {""} <= set(scopes.values())
    assert sum(layer["node"] in scopes for layer in layers) > 0.3 * len(layers)
    assert report["layers in each precision"] == engine.facts["precisions"]
    assert report["modules in each precision"]["float32"][0] == "embeddings.words"
    assert "engine" not in report  # nothing but a GPU can load it to look into it


def test_an_engine_may_have_a_profile_a_range_of_batches(
    bundle_of: BundleOf, tmp_path: Path
) -> None:
    options = EngineOptions(batches=(1, 8), progress=False)
    engine = built(bundle_of("all-minilm-l6-v2"), tmp_path, options)
    assert [profile.batches for profile in engine_facts(engine).profiles] == [(1, 1), (2, 8)]


def test_a_graph_of_one_size_everywhere_becomes_an_engine(tmp_path: Path) -> None:
    place = tmp_path / "bundle"
    row = tiny_row("hog")
    from zoo_export.binding import profile_for

    build_bundle(row, place, profile=profile_for(row, batch=(4, 4, 4)), weights="random",
                 target=TENSORRT_RTX_TARGET, options=QUIET)  # fmt: skip
    engine = open_bundle(place).manifest.engine
    assert engine is not None
    assert engine_facts(engine).profiles[0].batches == (4, 4)


def test_building_needs_neither_torch_nor_onnx(bundle_of: BundleOf, tmp_path: Path) -> None:
    folder = copied(bundle_of("vit-b16"), tmp_path / "bundle")
    code = f"""
from pathlib import Path
from zoo.bundle import read_manifest
from zoo.targets import EngineOptions, target_of
manifest = read_manifest(Path({str(bundle_of("vit-b16"))!r}))
print(target_of("tensorrt-rtx").build(Path({str(folder)!r}), manifest, EngineOptions()).devices)
"""
    printed = without(("torch", "onnx", "onnxscript", "onnx_ir"), code, tmp_path)
    assert printed.strip() == str(ALL)


# A bundle with an engine


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle with an engine that was not run."""
    row = tiny_row("all-minilm-l6-v2")
    place = tmp_path_factory.mktemp("rtx") / "bundle"
    build_bundle(row, place, profile=default_profile(row), weights="random",
                 target=TENSORRT_RTX_TARGET, options=QUIET)  # fmt: skip
    return place


def test_a_bundle_says_that_its_engine_was_not_run(bundle: Path) -> None:
    manifest = open_bundle(bundle).manifest
    assert manifest.verdict.outcome == "passed"
    engine = manifest.engine
    assert engine is not None
    assert engine.verdict.outcome == "deferred"
    assert engine.verdict.line.startswith(
        "ONNX passed; engine built for sm_80, sm_86, sm_89, sm_120, not run here: This machine has"
    )
    assert engine.verdict.line.endswith("`zoo verify DIR` proves it where it will run")
    assert {ENGINE, LAYERS} <= set(manifest.files)
    assert f"an engine for tensorrt-rtx {engine.version}" in (bundle / README).read_text()


def test_its_graph_runs_where_its_engine_does_not(bundle: Path) -> None:
    with pytest.raises(OptionError, match=r"no GPU that CUDA can use.*runtime='onnx'"):
        zoo.open(bundle)
    with pytest.raises(OptionError, match=r"not on 'cpu'.*runtime='onnx'"):
        zoo.open(bundle, device="cpu")
    with pytest.raises(OptionError, match="no GPU that CUDA can use"):
        zoo.open(bundle, rebuild=True)
    assert zoo.open(bundle, runtime="onnx").encode("a text").shape == (16,)
    assert all(check.passed for check in verify(bundle, runtime="onnx"))


def test_verify_says_that_there_is_nothing_to_run_it_on(bundle: Path, run: Zoo) -> None:
    ran = run("verify", str(bundle))
    assert ran.code == 1
    assert "no GPU that CUDA can use" in ran.err
    assert run("verify", str(bundle), "--runtime", "onnx").code == 0


def test_the_command_says_what_was_built_and_what_was_not_run(run: Zoo, tmp_path: Path) -> None:
    ran = run("export", "hog", "--to", "tensorrt-rtx", "--sm", "89,120", "--out", tmp_path / "b")
    assert ran.code == 0
    passed, engine, layers, _ = ran.out.splitlines()
    assert passed.startswith("parity passed: hog: onnx")
    assert engine.startswith("ONNX passed; engine built for sm_89, sm_120, not run here: This")
    assert layers.endswith("layers in float32")
    assert run("export", "hog", "--to", "tensorrt-rtx", "--sm", "90", "--out", "x").code == 1


def test_load_says_so_before_it_exports() -> None:
    with pytest.raises(OptionError, match="no GPU that CUDA can use"):
        zoo.load("bert-large-uncased", backend=TENSORRT_RTX)


# What is refused


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"devices": ("sm_90",)}, "makes no engines for sm_90; it does for sm_75, sm_80,"),
        ({"devices": ("sm_89", "sm_100")}, r"no engines for sm_100; .* Use --to tensorrt on"),
        (
            {"devices": ("sm_75", "sm_89")},
            r"no float32 matrix products for sm_75.*--precision fp16",
        ),
        ({"devices": ("sm_x",)}, "'sm_x' is no GPU's architecture"),
        ({"version_compatible": True}, "packages lack the lean"),
        ({"hardware_compatible": "ampere-plus"}, "runs on all GPUs of --sm as it is"),
        ({"refit": True}, r"other weights \(--refit\) only on a machine with a GPU"),
        ({"timing_cache": Path("x")}, "times nothing, so it has no --timing-cache"),
        ({"batches": (1, 4)}, "do not divide the batches"),
        ({"here": True}, "no GPU that CUDA can use"),
    ],
)
def test_what_rtx_cannot_do_is_refused_in_words(
    options: dict[str, Any], why: str, bundle_of: BundleOf, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=why):
        built(bundle_of("vit-b16"), tmp_path, EngineOptions(**options))
    assert not (tmp_path / ENGINE).exists()


def test_sm_75_takes_float16_alone() -> None:
    TENSORRT_RTX_TARGET.check("float16", EngineOptions(devices=("sm_75",)))
    with pytest.raises(OptionError, match="no bfloat16 matrix products"):
        TENSORRT_RTX_TARGET.check("bfloat16", EngineOptions(devices=("sm_75",)))


def test_tensorrt_itself_is_asked_for_by_its_pip_line() -> None:
    with pytest.raises(MissingExtraError, match=r"encoder-zoo\[gpu\]"):
        TENSORRT_TARGET.check("float32", QUIET)


def test_tensorrt_without_a_gpu_names_the_way_of_rtx(monkeypatch: pytest.MonkeyPatch) -> None:
    # the same interface under the other name, to reach the question after that for the package
    package = vendor_of(TENSORRT_RTX).module
    monkeypatch.setitem(__import__("sys").modules, "tensorrt", package)
    with pytest.raises(OptionError, match=r"times its kernels on the GPU.* --to tensorrt-rtx\."):
        TENSORRT_TARGET.check("float32", QUIET)


# What the parser refuses


def graph(folder: Path, nodes: Sequence[Any], inputs: Any, opset: int = 22, **arrays: Any) -> Path:
    """Write a graph of one output, `y`."""
    made = helper.make_graph(
        list(nodes), "graph", inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array(value), name) for name, value in arrays.items()],
    )  # fmt: skip
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    onnx.save(model, folder / MODEL)
    return folder / MODEL


def floats(name: str, *shape: int | str) -> Any:
    """Return an input."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def network(path: Path, scopes: dict[str, str]) -> Any:
    """Parse a graph as a build does; keeps alive what the network hangs on."""
    vendor = vendor_of(TENSORRT_RTX)
    logger = listener(vendor.module)
    maker = vendor.module.Builder(logger)
    return parse(vendor, maker, logger, path, scopes), maker, vendor


@pytest.mark.parametrize(
    ("nodes", "arrays", "opset", "said"),
    [
        (
            [helper.make_node("Resize", ["x", "", "s"], ["y"], name="n", antialias=1)],
            {"s": np.array([1, 1, 2, 2], np.float32)}, 22,
            r"Resize \(n\) of the module 'embeddings\.positions' says: .*ntialiasing.*one --size",
        ),
        (
            [helper.make_node("Cast", ["x"], ["i"], to=TensorProto.INT32),
             helper.make_node("BitwiseAnd", ["i", "i"], ["j"], name="n"),
             helper.make_node("Cast", ["j"], ["y"], to=TensorProto.FLOAT)],
            {}, 22, r"BitwiseAnd \(n\) of .* is not supported\. .*torch\.logical_and",
        ),
        (
            [helper.make_node("NonZero", ["x"], ["i"], name="n"),
             helper.make_node("Cast", ["i"], ["y"], to=TensorProto.FLOAT)],
            {}, 22, r"NonZero \(n\) .*multiply by a mask",
        ),
        (
            [helper.make_node("DFT", ["x", "", "a"], ["y"], name="n")],
            {"a": np.array(-2)}, 20, r"DFT \(n\) .*spectrogram in preprocessing",
        ),
    ],
)  # fmt: skip
def test_an_operator_that_is_refused_is_traced_to_its_module_with_a_mend(
    nodes: Sequence[Any], arrays: dict[str, Any], opset: int, said: str, tmp_path: Path
) -> None:
    path = graph(tmp_path, nodes, [floats("x", "batch", 3, 8, 2)], opset, **arrays)
    with pytest.raises(ExportError, match=f"does not take the graph. {said}"):
        network(path, {"n": "embeddings.positions"})


def test_float32_attention_is_taken_apart(tmp_path: Path) -> None:
    inputs = [floats(name, 2, 2, 8, 8) for name in "qkv"]
    path = graph(
        tmp_path, [helper.make_node("Attention", ["q", "k", "v"], ["y"], name="n")], inputs, 23
    )
    parsed, maker, vendor = network(path, {})
    config = maker.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(vendor.module.ComputeCapability.SM89, 0)
    assert maker.build_serialized_network(parsed, config) is not None


def test_a_build_that_fails_names_the_module_and_leaves_nothing(
    bundle_of: BundleOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # past our own check, so that the package itself refuses
    monkeypatch.setattr("zoo_export.tensorrt.devices._TURING", "sm_0")
    row = tiny_row("vit-b16")
    with pytest.raises(ExportError, match=r"cannot build an engine\. .*SM75.*That is in blocks\."):
        build_bundle(row, tmp_path / "b", profile=default_profile(row), weights="random",
                     target=TENSORRT_RTX_TARGET,
                     options=EngineOptions(devices=("sm_75",), progress=False))  # fmt: skip
    assert list(tmp_path.iterdir()) == []


# Progress and interruption


class Interrupting:
    """A bar at which the user presses Ctrl-C after some steps, or never."""

    total: float | None = 0

    def __init__(self, after: int | None = None) -> None:
        self.after = after
        self.steps, self.closed = 0, False
        self.phases: list[str] = []
        self.stop = threading.Event()

    def update(self, n: int) -> None:
        self.steps += n
        if self.steps == self.after:
            signal.raise_signal(signal.SIGINT)
            # A tiny build is over before the main thread, which hears of it, has its turn.
            assert self.stop.wait(60)

    def set_description_str(self, desc: str, refresh: bool) -> None:
        self.phases.append(desc)

    def close(self) -> None:
        self.closed = True


def watched(monkeypatch: pytest.MonkeyPatch, shown: Interrupting) -> None:
    """Put a bar in the place of the terminal's."""

    def told(module: Any, bar: Bar, stop: threading.Event) -> Any:
        shown.stop = stop
        return monitor(module, bar, stop)

    monkeypatch.setattr(builder, "bar", lambda name, **_: shown)
    monkeypatch.setattr(builder, "monitor", told)


def test_a_build_tells_its_steps(
    bundle_of: BundleOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = Interrupting()
    watched(monkeypatch, shown)
    built(bundle_of("vit-b16"), tmp_path)
    assert shown.closed
    assert shown.steps > 20
    assert shown.steps <= (shown.total or 0)
    assert "Building engine" in shown.phases


def test_ctrl_c_ends_a_build_early_and_leaves_nothing(
    bundle_of: BundleOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Interrupting()
    watched(monkeypatch, whole)
    built(bundle_of("vit-b16"), tmp_path / "whole")

    shown = Interrupting(after=10)
    watched(monkeypatch, shown)
    with pytest.raises(KeyboardInterrupt):
        built(bundle_of("vit-b16"), tmp_path / "part")
    assert shown.closed
    assert shown.steps < whole.steps
    assert not (tmp_path / "part" / ENGINE).exists()


def test_ctrl_c_leaves_no_bundle_under_the_final_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = tiny_row("hog")
    watched(monkeypatch, Interrupting(after=5))
    with pytest.raises(KeyboardInterrupt):
        build_bundle(row, tmp_path / "b", profile=default_profile(row), weights="random",
                     target=TENSORRT_RTX_TARGET, options=QUIET)  # fmt: skip
    assert list(tmp_path.iterdir()) == []
