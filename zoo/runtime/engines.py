"""What an engine is for, held against this machine before its file is read. No torch, no GPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from zoo.errors import BundleError, FormatError
from zoo.frozen import FrozenMap
from zoo.manifest import Engine
from zoo.records import from_plain
from zoo.runtime.profiles import EngineProfile
from zoo.targets import TENSORRT_RTX, HardwareCompatibility

ENGINE = "engine.plan"
_AMPERE = (8, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """What TensorRT's engines have in `Engine.facts`.

    Attributes:
        profiles: Shapes that it takes.
        gpu: Name of the GPU that it was tuned on; None where it was made without one.
        version_compatible: Whether newer versions of the runtime take it.
        hardware_compatible: Which other GPUs take it.
        refit: Whether its weights can be replaced.
        tf32: Whether float32 factors may be rounded to 11 bits.
        precisions: Floating-point type to the number of layers that compute in it.
        layers: Where layers.json has them from: the network that was compiled, or the engine.
    """

    profiles: tuple[EngineProfile, ...]
    gpu: str | None = None
    version_compatible: bool = False
    hardware_compatible: HardwareCompatibility = "none"
    refit: bool = False
    tf32: bool = False
    precisions: Mapping[str, int] = FrozenMap()
    layers: Literal["network", "engine"] = "network"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A GPU and its driver.

    Attributes:
        index: As in `cuda:1`.
        name: The product's.
        capability: Compute capability, major and minor.
        driver: Highest CUDA version that the driver takes, as 13020 for 13.2.
    """

    index: int
    name: str
    capability: tuple[int, int]
    driver: int

    @property
    def device(self) -> str:
        """Its architecture, as in `sm_89`."""
        return device_name(self.capability)


def device_name(capability: tuple[int, int]) -> str:
    """Return the name of an architecture, `sm_89` for 8.9."""
    return f"sm_{capability[0]}{capability[1]}"


def engine_facts(engine: Engine) -> EngineFacts:
    """Return what a manifest says of an engine of TensorRT's.

    Raises:
        BundleError: It is not that of such an engine.
    """
    try:
        return from_plain(EngineFacts, dict(engine.facts), "engine.facts")
    except FormatError as error:
        raise BundleError(f"The engine cannot be opened: {error}") from error


def mismatch(engine: Engine, gpu: Gpu, version: str) -> str | None:
    """Return why an engine does not fit a GPU and a runtime, in a sentence; None if it does.

    Args:
        engine: What the manifest says of it.
        gpu: Where it would run.
        version: Of the runtime that is installed.
    """
    facts = engine_facts(engine)
    return _wrong_gpu(engine, facts, gpu) or _wrong_version(engine, facts, version)


def _wrong_gpu(engine: Engine, facts: EngineFacts, gpu: Gpu) -> str | None:
    if facts.hardware_compatible == "ampere-plus" and gpu.capability >= _AMPERE:
        return None
    if gpu.device in engine.devices:
        return None
    wide = " and every newer GPU" if facts.hardware_compatible == "ampere-plus" else ""
    return (
        f"The engine was made for {', '.join(engine.devices)}{wide}; the GPU here, "
        f"{gpu.name}, is {gpu.device}."
    )


def _wrong_version(engine: Engine, facts: EngineFacts, version: str) -> str | None:
    """Return what is wrong with the version; of RTX, the runtime itself says so by the header."""
    if version == engine.version or engine.target == TENSORRT_RTX:
        return None
    made, here = _numbers(engine.version), _numbers(version)
    # An engine that carries its own lean runtime is taken by later versions: of the same major
    # version, and of the next.
    if facts.version_compatible and made <= here and here[0] - made[0] <= 1:
        return None
    return f"The engine was made for TensorRT {engine.version}; {version} is installed here."


def _numbers(version: str) -> tuple[int, ...]:
    words = version.split(".")
    return tuple(int(word) for word in words[:4] if word.isdecimal()) or (0,)


def remedy(target: str) -> str:
    """Return what to do about an engine that does not fit."""
    return (
        "Make one for this machine with zoo.open(path, rebuild=True), export again with "
        f"`zoo export --to {target}`, or run the graph itself with zoo.open(path, runtime='onnx')."
    )
