"""An engine is held against the machine before its file is read, and what differs is said."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from zoo.errors import BundleError, MissingExtraError, OptionError
from zoo.manifest import Engine, Verdict
from zoo.records import to_plain
from zoo.runtime.engines import EngineFacts, Gpu, engine_facts, mismatch
from zoo.runtime.profiles import profiles_for
from zoo.runtime.tensorrt import RUNTIME, validity
from zoo.runtime.trt_module import Vendor, vendor_of
from zoo.spec import Dim, TensorSpec

ADA = Gpu(index=0, name="NVIDIA RTX 4090", capability=(8, 9), driver=13020)
HOPPER = Gpu(index=0, name="NVIDIA H200", capability=(9, 0), driver=13020)
TURING = Gpu(index=0, name="Tesla T4", capability=(7, 5), driver=13020)
INPUTS = (
    TensorSpec(name="x", dtype="float32", shape=(Dim(name="batch", min=1, typical=1, max=8), 4)),
)


def engine(
    target: str = "tensorrt",
    version: str = "10.14.1.48",
    devices: tuple[str, ...] = ("sm_89",),
    **facts: Any,
) -> Engine:
    """Return what a manifest says of an engine."""
    return Engine(
        target=target,
        file="engine.plan",
        version=version,
        devices=devices,
        facts=to_plain(EngineFacts(profiles=profiles_for(INPUTS), **facts)),
        verdict=Verdict(outcome="deferred", line="not run"),
    )


def test_an_engine_fits_the_gpu_and_the_version_that_it_was_made_for() -> None:
    assert mismatch(engine(), ADA, "10.14.1.48") is None


def test_another_gpu_is_said_by_name() -> None:
    assert mismatch(engine(), HOPPER, "10.14.1.48") == (
        "The engine was made for sm_89; the GPU here, NVIDIA H200, is sm_90."
    )


def test_another_version_is_said() -> None:
    assert mismatch(engine(), ADA, "11.4.0.106") == (
        "The engine was made for TensorRT 10.14.1.48; 11.4.0.106 is installed here."
    )


@pytest.mark.parametrize(
    ("made", "here", "fits"),
    [
        ("10.14.1.48", "10.16.0.72", True),
        ("10.14.1.48", "11.4.0.106", True),
        ("10.14.1.48", "10.12.0.36", False),
        ("9.3.0.1", "11.4.0.106", False),
    ],
)
def test_a_version_compatible_engine_fits_later_versions_up_to_the_next_major(
    made: str, here: str, fits: bool
) -> None:
    made_for = engine(version=made, version_compatible=True)
    assert (mismatch(made_for, ADA, here) is None) == fits


def test_an_ampere_plus_engine_fits_every_newer_gpu_and_no_older() -> None:
    wide = engine(devices=("sm_80",), hardware_compatible="ampere-plus")
    assert mismatch(wide, ADA, wide.version) is None
    assert mismatch(wide, HOPPER, wide.version) is None
    assert mismatch(wide, TURING, wide.version) == (
        "The engine was made for sm_80 and every newer GPU; the GPU here, Tesla T4, is sm_75."
    )


def test_an_rtx_engine_leaves_its_version_to_the_runtime_but_not_its_gpu() -> None:
    made = engine("tensorrt-rtx", "1.7.1.116", ("sm_80", "sm_86", "sm_89", "sm_120"))
    assert mismatch(made, ADA, "1.8.0.1") is None
    assert "made for sm_80, sm_86, sm_89, sm_120;" in str(mismatch(made, HOPPER, "1.7.1.116"))


def test_facts_of_an_engine_survive_the_manifest_and_others_are_refused() -> None:
    facts = engine_facts(engine(tf32=True, precisions={"float32": 3}))
    assert facts.tf32
    assert facts.profiles == profiles_for(INPUTS)
    with pytest.raises(BundleError, match=r"cannot be opened: engine\.facts"):
        engine_facts(Engine(target="x", file="y", version="", verdict=Verdict(
            outcome="passed", line=""), facts={"profiles": 3}))  # fmt: skip


# Packages


def package(version: str) -> ModuleType:
    """Return a module with a version."""
    module = ModuleType("tensorrt")
    module.__version__ = version
    return module


def test_the_bindings_alone_stand_in_for_the_package() -> None:
    def load(name: str) -> ModuleType:
        if name == "tensorrt":
            raise ModuleNotFoundError(name=name)
        return package(name)

    assert vendor_of("tensorrt", load).version == "tensorrt_bindings"


def test_a_package_that_is_not_there_is_named_with_its_pip_line() -> None:
    def load(name: str) -> ModuleType:
        raise ModuleNotFoundError(name=name)

    with pytest.raises(MissingExtraError, match=r"TensorRT is not .*encoder-zoo\[gpu\]"):
        vendor_of("tensorrt", load)
    with pytest.raises(MissingExtraError, match=r"TensorRT-RTX is not .*encoder-zoo\[rtx\]"):
        vendor_of("tensorrt-rtx", load)


def test_a_package_without_its_libraries_is_not_called_missing() -> None:
    def load(name: str) -> ModuleType:
        raise ImportError("libnvinfer.so.10: cannot open shared object file")

    with pytest.raises(OptionError, match=r"installed, but cannot be loaded: libnvinfer\.so\.10"):
        vendor_of("tensorrt", load)

    def half(name: str) -> ModuleType:
        raise ModuleNotFoundError(name="tensorrt_libs")

    with pytest.raises(OptionError, match="installed, but tensorrt_libs is missing"):
        vendor_of("tensorrt", half)


# The runtime's own word


class FakeRuntime:
    """A runtime that answers as TensorRT-RTX would on a GPU; there is none here to ask."""

    engine_header_size = 4

    def __init__(self, answer: str, flags: int) -> None:
        self.answer, self.flags, self.asked = answer, flags, b""

    def get_engine_validity(self, header: bytes) -> tuple[str, int]:
        self.asked = header
        return self.answer, self.flags


def vendor() -> Vendor:
    """Return TensorRT-RTX with the words of its answers."""
    module = SimpleNamespace(
        EngineValidity=SimpleNamespace(VALID="VALID", SUBOPTIMAL="SUBOPTIMAL", INVALID="INVALID"),
        EngineInvalidityDiagnostics=SimpleNamespace(
            __members__={"VERSION_MISMATCH": 1, "UNSUPPORTED_CC": 2, "OLD_CUDA_DRIVER": 4}
        ),
    )
    return Vendor(
        target="tensorrt-rtx", title="TensorRT-RTX", module=module, version="1.7.1.116", extra="rtx"
    )


def test_the_runtime_is_asked_by_the_header_and_its_reasons_are_named() -> None:
    runtime = FakeRuntime("INVALID", 5)
    assert validity(vendor(), runtime, b"headrest") == (
        "TensorRT-RTX 1.7.1.116 says that the engine is not valid here: version mismatch, old "
        "cuda driver."
    )
    assert runtime.asked == b"head"
    assert "it gives no reason" in str(validity(vendor(), FakeRuntime("INVALID", 0), b"headrest"))


def test_an_engine_that_could_be_faster_is_run_all_the_same() -> None:
    assert validity(vendor(), FakeRuntime("SUBOPTIMAL", 0), b"headrest") is None
    assert validity(vendor(), object(), b"headrest") is None  # TensorRT has no such question


def test_a_machine_without_a_gpu_says_so_in_one_sentence() -> None:
    said = RUNTIME.obstacle(engine("tensorrt-rtx", "1.7.1.116"), None)
    assert said is not None
    assert said.startswith("This machine has no GPU that CUDA can use")


@pytest.mark.parametrize(
    ("device", "why"), [("cpu", "not on 'cpu'"), ("cuda:x", "'cuda:x' is none")]
)
def test_a_device_that_is_no_gpu_is_refused(device: str, why: str) -> None:
    said = RUNTIME.obstacle(engine("tensorrt-rtx", "1.7.1.116"), device)
    assert said is not None
    assert why in said
