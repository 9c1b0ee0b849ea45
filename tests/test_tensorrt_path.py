"""TensorRT's side of the code path: TensorRT-RTX stands in under its name, on an invented GPU.

Both packages have one interface, so that what is asked of TensorRT can be asked here; TensorRT
itself cannot be installed where these tests run, and nothing here proves anything about it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bundle_tools import BundleOf, bundle_of as bundle_of
from tests.test_tensorrt_rtx import copied
from zoo.bundle import read_manifest
from zoo.errors import ExportError, OptionError
from zoo.manifest import Engine
from zoo.runtime.engines import ENGINE, Gpu, engine_facts
from zoo.runtime.trt_module import vendor_of
from zoo.targets import TENSORRT, TENSORRT_RTX, EngineOptions
from zoo_export.tensorrt import build as builder, devices
from zoo_export.tensorrt.build import build_engine
from zoo_export.tensorrt.network import Layer
from zoo_export.tensorrt.report import compiled_layers, layer_report

# TensorRT's timing cache is no longer a thing of TensorRT-RTX, which says so.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*Timing cache operations are no-ops in TensorRT-RTX:DeprecationWarning"
)

A100 = Gpu(index=0, name="NVIDIA A100-SXM4-80GB", capability=(8, 0), driver=13020)


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Put TensorRT-RTX in TensorRT's place; return the cache folder."""
    monkeypatch.setitem(sys.modules, "tensorrt", vendor_of(TENSORRT_RTX).module)
    monkeypatch.setattr(devices, "gpu_at", lambda device, extra: A100)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def built(bundle: Path, folder: Path, **options: Any) -> Engine:
    """Build an engine as on a machine with TensorRT."""
    wanted = EngineOptions(progress=False, **options)
    return build_engine(TENSORRT, copied(bundle, folder), read_manifest(bundle), wanted)


def test_an_engine_is_for_the_gpu_at_hand_and_keeps_its_name(
    standin: Path, bundle_of: BundleOf, tmp_path: Path
) -> None:
    engine = built(bundle_of("vit-b16"), tmp_path / "b")
    assert (engine.target, engine.devices) == ("tensorrt", ("sm_80",))
    assert engine_facts(engine).gpu == A100.name
    assert (tmp_path / "b" / ENGINE).stat().st_size > 100_000


def test_timings_are_kept_for_a_version_and_a_gpu_and_given_to_the_next_build(
    standin: Path, bundle_of: BundleOf, tmp_path: Path
) -> None:
    built(bundle_of("vit-b16"), tmp_path / "one")
    (kept,) = (path for path in (standin / "timings").iterdir() if path.suffix == ".bin")
    version = vendor_of(TENSORRT).version.replace(".", "-")
    assert kept.name == f"{version}-nvidia-a100-sxm4-80gb-sm-80.bin"
    before = kept.read_bytes()
    built(bundle_of("vit-b16"), tmp_path / "two")
    assert kept.read_bytes() == before


def test_timings_that_do_not_fit_are_left_aside(
    standin: Path, bundle_of: BundleOf, tmp_path: Path
) -> None:
    file = tmp_path / "timings.bin"
    file.write_bytes(b"of another version")
    built(bundle_of("vit-b16"), tmp_path / "b", timing_cache=file)
    assert file.read_bytes()[:18] != b"of another version"


def test_a_build_that_fails_keeps_the_timings_as_they_were(
    standin: Path, bundle_of: BundleOf, tmp_path: Path
) -> None:
    file = tmp_path / "timings.bin"
    with pytest.raises(ExportError, match="cannot build an engine"):
        built(bundle_of("vit-b16"), tmp_path / "b", timing_cache=file, version_compatible=True)
    assert not file.exists()


def test_options_of_engines_reach_the_builder(
    standin: Path, bundle_of: BundleOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    configured = builder._configured

    def watched(*given: Any) -> Any:
        seen.append(configured(*given))
        return seen[-1]

    monkeypatch.setattr(builder, "_configured", watched)
    engine = built(bundle_of("all-minilm-l6-v2"), tmp_path / "b", tf32=True, batches=(1, 8),
                   workspace=1 << 28, hardware_compatible="ampere-plus")  # fmt: skip
    built(bundle_of("all-minilm-l6-v2"), tmp_path / "c")

    module = vendor_of(TENSORRT).module
    asked, plain = seen
    assert asked.get_flag(module.BuilderFlag.TF32)
    assert not plain.get_flag(module.BuilderFlag.TF32)
    assert asked.get_memory_pool_limit(module.MemoryPoolType.WORKSPACE) == 1 << 28
    assert asked.num_optimization_profiles == 2
    facts = engine_facts(engine)
    assert (facts.tf32, facts.hardware_compatible) == (True, "ampere-plus")


def test_another_gpu_cannot_be_asked_for(
    standin: Path, bundle_of: BundleOf, tmp_path: Path
) -> None:
    why = r"the GPU at hand, NVIDIA A100-SXM4-80GB \(sm_80\), not for sm_89"
    with pytest.raises(OptionError, match=why):
        built(bundle_of("vit-b16"), tmp_path / "b", devices=("sm_89",))


# What the inspector says of an engine, in the words of either version

LAYERS = (
    Layer(name="a", kind="MATRIX_MULTIPLY", dtype="float16", node="n1", module="blocks.0.mlp"),
    Layer(name="b", kind="ELEMENTWISE", dtype="float16", node="n2", module="blocks.0"),
    Layer(name="c", kind="SHAPE", dtype="int64", node="n3", module=""),
)
MODULES = {layer.node: layer.module for layer in LAYERS}


@pytest.mark.parametrize(
    "output",
    [
        {"Name": "y", "Format/Datatype": "Row major linear FP16 format"},
        {"Name": "y", "Format": "Row major linear", "Datatype": "FP16"},
    ],
)
def test_layers_of_an_engine_are_joined_to_modules(output: dict[str, str]) -> None:
    fused = {
        "Name": "a+b",
        "Metadata": "[ONNX Layer: n1]\x1e[ONNX Layer: n2]\x1e[ONNX Layer: n3]",
        "Outputs": [output],
    }
    (layer,) = compiled_layers({"Layers": [fused]}, MODULES)
    assert (layer.name, layer.dtype) == ("a+b", "float16")
    assert layer.modules == ("blocks.0.mlp", "blocks.0")


def test_layers_that_are_names_alone_are_kept() -> None:
    (layer,) = compiled_layers({"Layers": ["reformat"]}, MODULES)
    assert (layer.name, layer.dtype, layer.modules) == ("reformat", "", ())


def test_the_report_counts_layers_and_names_modules(standin: Path) -> None:
    compiled = compiled_layers({"Layers": ["reformat"]}, MODULES)
    report = layer_report(vendor_of(TENSORRT), LAYERS, compiled)
    assert report["layers in each precision"] == {"float16": 2}
    assert report["modules in each precision"] == {"float16": ["blocks.0.mlp", "blocks.0"]}
    assert report["engine"] == [{"name": "reformat", "dtype": "", "modules": []}]
