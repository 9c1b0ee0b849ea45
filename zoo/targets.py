"""Runtimes beside ONNX Runtime: what makes a file of a bundle's graph, and what runs it. No torch.

A target is reached by its name, for `zoo export --to NAME` and `zoo.load(backend=NAME)` alike. It
is what a plugin's hook `zoo_targets` leads to; first-party targets use the same door. Only opening
a bundle of a first-party target works without any plugin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, Protocol, cast

from zoo.doors import import_place

if TYPE_CHECKING:
    from zoo.bundle import Bundle
    from zoo.manifest import Engine, Manifest, Precision
    from zoo.runtime.graph import ArtefactBackend
    from zoo.spec import ModelSpec

ONNX = "onnx"
ONNX_TENSORRT = "onnx-tensorrt"  # the graph on ONNX Runtime, which hands it to TensorRT 10
TENSORRT = "tensorrt"
TENSORRT_RTX = "tensorrt-rtx"

# What runs a target's engines, where the zoo itself does: `module:attribute`.
_RUNTIMES: Mapping[str, str] = MappingProxyType(
    dict.fromkeys((TENSORRT, TENSORRT_RTX), "zoo.runtime.tensorrt:RUNTIME")
)

# Short names of precisions, as the command line has them.
PRECISIONS: Mapping[str, Precision] = MappingProxyType(
    {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
)

HardwareCompatibility = Literal["none", "ampere-plus", "same-capability"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """What may be asked of an engine; a target refuses what it cannot do.

    Attributes:
        devices: That it shall run on, as `sm_89`; by default the target's own choice.
        here: Whether it shall run on this machine's device alone, whatever that is.
        batches: Largest batch of each optimisation profile, ascending; by default one profile.
        workspace: Most scratch memory on the device, bytes.
        timing_cache: File in place of the one in the cache folder.
        version_compatible: Whether newer versions of the runtime shall take it.
        hardware_compatible: Which other GPUs shall take it.
        refit: Whether its weights can be replaced later.
        tf32: Whether float32 factors may be rounded to 11 bits.
        progress: Whether the build shows a bar, if stderr is a terminal.
    """

    devices: tuple[str, ...] = ()
    here: bool = False
    batches: tuple[int, ...] = ()
    workspace: int | None = None
    timing_cache: Path | None = None
    version_compatible: bool = False
    hardware_compatible: HardwareCompatibility = "none"
    refit: bool = False
    tf32: bool = False
    progress: bool = True


class Runtime(Protocol):
    """What runs a target's engines."""

    def obstacle(self, engine: Engine, device: str | None) -> str | None:
        """Return why an engine cannot run here, in a sentence; None if it can.

        Args:
            engine: What the manifest says of it; the file is not read.
            device: `cuda`, `cuda:1`; by default the target's first.
        """
        ...

    def identity(self, engine: Engine, device: str | None) -> str:
        """Return what a proof of this engine here depends on: device, driver, versions."""
        ...

    def open(self, bundle: Bundle, *, device: str | None, threads: int | None) -> ArtefactBackend:
        """Return a backend that runs the engine of a bundle.

        Raises:
            BundleError: The engine is not for this machine.
            MissingExtraError: The runtime is not installed.
        """
        ...


class Target(Runtime, Protocol):
    """What a plugin's `zoo_targets` leads to."""

    def check(self, precision: Precision, options: EngineOptions) -> None:
        """Refuse what `build` would refuse, before there is a graph.

        Args:
            precision: Of the graph.
            options: What was asked for.

        Raises:
            OptionError: The target or the machine cannot do what an option asks for.
            MissingExtraError: The runtime is not installed.
        """
        ...

    def build(self, folder: Path, manifest: Manifest, options: EngineOptions) -> Engine | None:
        """Add what the runtime wants to a folder that holds a graph that has passed its gate.

        Needs no torch. The engine comes back as `deferred`: whoever asked for it runs it.

        Returns:
            What the manifest shall say of it; None where the runtime takes the graph as it is.

        Raises:
            ExportError: The runtime refuses the graph; says which module and what to do.
            OptionError: The target or the machine cannot do what an option asks for.
            MissingExtraError: The runtime is not installed.
        """
        ...

    def bundle(
        self,
        row: ModelSpec,
        *,
        precision: Precision,
        weights: str | Path | None,
        seed: int,
        progress: bool,
    ) -> Path:
        """Export a row, or find it among what was exported before; return the bundle's folder."""
        ...


def runtime_of(name: str) -> Runtime:
    """Return what runs a target's engines; plugins are asked only for what the zoo has not.

    Raises:
        OptionError: Nothing that is installed runs it.
    """
    return cast(Runtime, import_place(_RUNTIMES[name])) if name in _RUNTIMES else target_of(name)


def device_of(runtime: str, device: str) -> str | None:
    """Return the device that a runtime is opened on; None leaves it to the runtime.

    Engines run on a GPU alone: for them `cpu`, which is the default, says nothing.
    """
    return None if device == "cpu" and runtime != ONNX else device


def target_of(name: str) -> Target:
    """Return a target by its name.

    Raises:
        OptionError: No plugin has it.
        AmbiguousNameError: Several distributions have it.
        PluginError: It cannot be used.
    """
    from zoo.registry import default_registry

    return default_registry().target(name)
