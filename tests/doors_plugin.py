"""A plugin with every other door: a target that runs, OpenVINO, and a reader of NumPy archives."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo import hookimpl
from zoo.bundle import MODEL, Bundle
from zoo.errors import OptionError
from zoo.manifest import Engine, Manifest, Precision, Verdict
from zoo.preprocess import Array
from zoo.runtime.graph import GraphBackend
from zoo.targets import EngineOptions
from zoo_export.targets import ExportTarget

if TYPE_CHECKING:
    import torch

FILE = "openvino.xml"  # and openvino.bin beside it


class OpenVinoBackend(GraphBackend):
    """A compiled model; float32 throughout, which OpenVINO does not do by itself everywhere."""

    name = "openvino"

    def __init__(self, bundle: Bundle) -> None:
        import openvino

        super().__init__(bundle.manifest.facts, bundle.manifest.graph, device="cpu")
        precision = {"INFERENCE_PRECISION_HINT": "f32"}
        self._run = openvino.Core().compile_model(str(bundle.path / FILE), "CPU", precision)

    def execute(self, feeds: dict[str, Array]) -> dict[str, Array]:
        """Run one piece of a batch."""
        found = self._run(feeds)
        return {name: found[name].copy() for name in self.graph.outputs}


class OpenVino:
    """Runs on the processor, wherever OpenVINO is installed."""

    def obstacle(self, engine: Engine, device: str | None) -> str | None:
        """Return why it cannot run: another device than the processor was asked for."""
        return None if device in (None, "cpu") else f"the OpenVINO plugin has no {device!r}"

    def identity(self, engine: Engine, device: str | None) -> str:
        """Return the version."""
        return f"openvino {engine.version}"

    def open(self, bundle: Bundle, *, device: str | None, threads: int | None) -> OpenVinoBackend:
        """Return the backend."""
        return OpenVinoBackend(bundle)


def check(precision: Precision, options: EngineOptions) -> None:
    """Refuse what has no meaning here."""
    if options.devices:
        raise OptionError("OpenVINO models are made for every processor; leave --sm out.")


def build(folder: Path, manifest: Manifest, options: EngineOptions) -> Engine:
    """Add the model in OpenVINO's own format."""
    import openvino

    openvino.save_model(
        openvino.convert_model(str(folder / MODEL)), str(folder / FILE), compress_to_fp16=False
    )
    return Engine(
        target="openvino",
        file=FILE,
        version=openvino.__version__,
        devices=("CPU",),
        verdict=Verdict(outcome="deferred", line="not run yet"),
    )


TARGET = ExportTarget(name="openvino", runtime=OpenVino(), make=build, refuse=check)


def read_npz(path: Path, *, entry: str) -> Mapping[str, torch.Tensor]:
    """Return the arrays of a NumPy archive; pickled objects are refused by NumPy."""
    import numpy as np
    import torch

    with np.load(path, allow_pickle=False) as archive:
        return {name: torch.from_numpy(archive[name]) for name in archive}


@hookimpl
def zoo_targets() -> Mapping[str, str]:
    """Return `openvino`."""
    return {"openvino": f"{__name__}:TARGET"}


@hookimpl
def zoo_weight_readers() -> Mapping[str, str]:
    """Return the reader of `.npz`."""
    return {".npz": f"{__name__}:read_npz"}


@hookimpl
def zoo_commands() -> Mapping[str, str]:
    """Return a command that says hello."""
    return {"hello": f"{__name__}:hello"}


def __getattr__(name: str) -> Any:
    if name != "hello":
        raise AttributeError(name)
    import click

    @click.command("hello")
    def hello() -> None:
        """Say hello."""
        click.echo("hello from a plugin")

    return hello
