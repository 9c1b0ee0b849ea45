"""A target as a plugin would bring it: a copy of the graph is its engine, ONNX Runtime runs it."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from zoo.bundle import MODEL, Bundle
from zoo.errors import OptionError
from zoo.manifest import Engine, Manifest, Precision, Verdict
from zoo.preprocess import Array
from zoo.runtime.graph import GraphBackend
from zoo.runtime.onnx import open_session
from zoo.targets import EngineOptions
from zoo_export.targets import ExportTarget

FILE = "acme.bin"


class AcmeBackend(GraphBackend):
    """Runs the copy; may be off by a factor."""

    name = "acme"

    def __init__(self, bundle: Bundle, runtime: AcmeRuntime) -> None:
        super().__init__(bundle.manifest.facts, bundle.manifest.graph, device="acme:0")
        self.session = open_session(bundle.path / FILE)
        self.runtime = runtime

    def execute(self, feeds: dict[str, Array]) -> dict[str, Array]:
        """Run one piece of a batch."""
        self.runtime.counts["runs"] += 1
        found: Any = self.session.run(list(self.graph.outputs), feeds)
        return {name: array if array.dtype.kind != "f" else array * self.runtime.factor
                for name, array in zip(self.graph.outputs, found, strict=True)}  # fmt: skip


class AcmeRuntime:
    """A runtime whose machine may be absent.

    Attributes:
        here: Whether this is the machine.
        factor: That every output comes out multiplied by, 1 if the machine is whole.
        counts: Of what was done.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Be whole, and here."""
        self.here = True
        self.factor = 1.0
        self.counts: Counter[str] = Counter()

    def obstacle(self, engine: Engine, device: str | None) -> str | None:
        return None if self.here else "There is no Acme machine here."

    def identity(self, engine: Engine, device: str | None) -> str:
        return "Acme 1"

    def open(self, bundle: Bundle, *, device: str | None, threads: int | None) -> AcmeBackend:
        self.counts["opened"] += 1
        return AcmeBackend(bundle, self)


def _make(folder: Path, manifest: Manifest, options: EngineOptions) -> Engine:
    shutil.copyfile(folder / MODEL, folder / FILE)
    RUNTIME.counts["built"] += 1
    verdict = Verdict(outcome="deferred", line="not run")
    return Engine(target="acme", file=FILE, version="1", devices=("acme",), verdict=verdict)


def _refuse(precision: Precision, options: EngineOptions) -> None:
    if options.refit:
        raise OptionError("Acme has no refit.")


RUNTIME = AcmeRuntime()
TARGET = ExportTarget(name="acme", runtime=RUNTIME, make=_make, refuse=_refuse)
