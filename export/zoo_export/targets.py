"""What `zoo export --to NAME` makes and `zoo.load(backend=NAME)` runs. No torch.

A plugin adds a target of its own by naming an ExportTarget in its hook `zoo_targets`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from zoo.bundle import Bundle
from zoo.manifest import Engine, Manifest, Precision
from zoo.runtime.graph import ArtefactBackend
from zoo.runtime.onnx import onnx_backend
from zoo.runtime.tensorrt import RUNTIME as TENSORRT_RUNTIME, here
from zoo.spec import ModelSpec
from zoo.targets import ONNX, TENSORRT, TENSORRT_RTX, EngineOptions, Runtime
from zoo_export.tensorrt.build import build_engine
from zoo_export.tensorrt.plan import refuse_early

Check = Callable[[Precision, EngineOptions], None]
Make = Callable[[Path, Manifest, EngineOptions], Engine | None]
Needs = Callable[[], Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportTarget:
    """A `zoo.targets.Target` put together from its parts.

    Attributes:
        name: Under which `zoo_targets` has it.
        runtime: What runs what it makes.
        make: Its `build`.
        refuse: Its `check`.
        needs: What an artefact made for this machine depends on, by name: versions and devices.
            Raises OptionError or MissingExtraError where it could not run here.
    """

    name: str
    runtime: Runtime
    make: Make
    refuse: Check
    needs: Needs = field(default=dict)

    def check(self, precision: Precision, options: EngineOptions) -> None:
        """Refuse what `build` would refuse, before there is a graph."""
        self.refuse(precision, options)

    def build(self, folder: Path, manifest: Manifest, options: EngineOptions) -> Engine | None:
        """Add what the runtime wants to a folder that holds a graph that has passed its gate."""
        return self.make(folder, manifest, options)

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
        from zoo_export.cached import bundle

        return bundle(
            row, target=self, precision=precision, weights=weights, seed=seed, progress=progress
        )

    def obstacle(self, engine: Engine, device: str | None) -> str | None:
        """Return why an engine cannot run here, in a sentence; None if it can."""
        return self.runtime.obstacle(engine, device)

    def identity(self, engine: Engine, device: str | None) -> str:
        """Return what a proof of this engine here depends on."""
        return self.runtime.identity(engine, device)

    def open(self, bundle: Bundle, *, device: str | None, threads: int | None) -> ArtefactBackend:
        """Return a backend that runs the engine of a bundle."""
        return self.runtime.open(bundle, device=device, threads=threads)


class _OnnxRuntime:
    """ONNX Runtime, which takes the graph as it is."""

    def obstacle(self, engine: Engine, device: str | None) -> str | None:
        """Return None: there is no engine."""
        return None

    def identity(self, engine: Engine, device: str | None) -> str:
        """Return the device."""
        return device or "cpu"

    def open(self, bundle: Bundle, *, device: str | None, threads: int | None) -> ArtefactBackend:
        """Return a backend that runs the graph."""
        return onnx_backend(bundle, device=device or "cpu", threads=threads)


def _any_graph(precision: Precision, options: EngineOptions) -> None:
    """Refuse nothing: the command has seen that no engine was spoken of."""


def _no_engine(folder: Path, manifest: Manifest, options: EngineOptions) -> None:
    """Make nothing: the graph is what runs."""


def _tensorrt(target: str) -> ExportTarget:
    def make(folder: Path, manifest: Manifest, options: EngineOptions) -> Engine:
        return build_engine(target, folder, manifest, options)

    def refuse(precision: Precision, options: EngineOptions) -> None:
        refuse_early(target, precision, options)

    def needs() -> Mapping[str, str]:
        vendor, gpu = here(target, None)
        return MappingProxyType({vendor.title: vendor.version, "gpu": gpu.name, "for": gpu.device})

    return ExportTarget(
        name=target, runtime=TENSORRT_RUNTIME, make=make, refuse=refuse, needs=needs
    )


ONNX_TARGET = ExportTarget(name=ONNX, runtime=_OnnxRuntime(), make=_no_engine, refuse=_any_graph)
TENSORRT_TARGET = _tensorrt(TENSORRT)
TENSORRT_RTX_TARGET = _tensorrt(TENSORRT_RTX)
