"""What can be held against a model: a file, a bundle, or its own module run in another way."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import cast

import torch
from torch import nn

from zoo.backends.compile import CompileBackend
from zoo.bundle import MANIFEST, MODEL, SCOPES, TOKENIZER, Bundle, read_whole
from zoo.errors import OptionError
from zoo.manifest import Manifest
from zoo.preprocess import Array, preprocessor_for
from zoo.runtime import run_bundle
from zoo.runtime.graph import ArtefactBackend
from zoo.spec import Dim, ModelSpec
from zoo_export.parity.backend_candidate import BackendCandidate
from zoo_export.parity.candidate import Candidate
from zoo_export.parity.eager import TorchCandidate, arrays
from zoo_export.parity.low_graph import LowGraph, precision_of
from zoo_export.parity.onnx_candidate import OnnxCandidate
from zoo_export.parity.profile import Range

HALVES = {"float16": torch.float16, "bfloat16": torch.bfloat16}
COMPILE = "compile"

Make = Callable[[ModelSpec, nn.Module, tuple[str, ...]], Candidate]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A candidate that is not open yet, because that takes the network.

    Attributes:
        label: Its name in the report.
        make: Row, network, outputs -> candidate.
        ranges: Axis to the sizes that it takes, where it has a say in it.
        outputs: Names of what it gives; None for whatever the network gives.
        manifest: Of a bundle.
    """

    label: str
    make: Make
    ranges: Mapping[str, Range] = field(default_factory=lambda: MappingProxyType({}))
    outputs: tuple[str, ...] | None = None
    manifest: Manifest | None = None


class CompiledCandidate:
    """A module under torch.compile; it shows no boundaries, because hooks change what is compiled.

    Args:
        row: For its inputs.
        module: In evaluation mode.
        outputs: Names that it gives.
    """

    def __init__(self, row: ModelSpec, module: nn.Module, outputs: tuple[str, ...]) -> None:
        device = torch.device("cpu")
        self._backend = CompileBackend(row, module, device=device, dtype=torch.float32)
        self._outputs = outputs

    def run(self, batch: dict[str, Array]) -> dict[str, Array]:
        """Run a batch."""
        with torch.inference_mode():
            return arrays(self._backend.forward(batch), self._outputs)


def offer(row: ModelSpec, against: str) -> Offer:
    """Return what is held against a row.

    Args:
        row: The model.
        against: An ONNX file or a bundle's folder, with `@cuda` after it where it runs on a GPU;
            `compile`, `float16` or `bfloat16`.

    Raises:
        OptionError: There is no such thing.
        BundleError: A file of the bundle is not what was written.
    """
    if against in HALVES:
        return Offer(label=against, make=_half(HALVES[against]))
    if against == COMPILE:
        return Offer(label=against, make=CompiledCandidate)
    name, at, device = against.rpartition("@")
    path = Path(name if at else against)
    device = device if at else "cpu"
    if not path.exists() and Path(against).exists():
        path, device = Path(against), "cpu"  # the sign belongs to its name
    label = path.name + (f" on {device}" if device != "cpu" else "")
    if (path / MANIFEST).is_file():
        return _bundle(path, device, label)
    if not path.is_file():
        words = ", ".join((COMPILE, *HALVES))
        raise OptionError(f"There is no file or bundle {str(path)!r}; or say one of {words}.")
    return _file(row, path, device, label)


def _half(dtype: torch.dtype) -> Make:
    def make(row: ModelSpec, module: nn.Module, outputs: tuple[str, ...]) -> Candidate:
        return TorchCandidate(row, copy.deepcopy(module).to(dtype), outputs, dtype=dtype)

    return make


def _bundle(folder: Path, device: str, label: str) -> Offer:
    manifest = read_whole(folder)
    dims = (size for tensor in manifest.facts.inputs for size in tensor.shape)
    scopes, tokenizer = folder / SCOPES, folder / TOKENIZER

    def make(row: ModelSpec, module: nn.Module, outputs: tuple[str, ...]) -> Candidate:
        path, dtype = folder / MODEL, manifest.graph.dtype
        homes = json.loads(scopes.read_text(encoding="utf-8")) if scopes.is_file() else None
        preprocessor = preprocessor_for(manifest.facts, tokenizer if tokenizer.is_file() else None)
        native: Candidate | None = None
        if manifest.engine is not None:  # its verdict does not matter here
            encoder = run_bundle(Bundle(path=folder, manifest=manifest), device=device)
            native = BackendCandidate(cast(ArtefactBackend, encoder.backend), preprocessor)
        elif dtype == "float32" or device != "cpu":
            native = OnnxCandidate(path, scopes=homes, preprocessor=preprocessor, device=device)
        if dtype != "float32":
            return LowGraph(
                path, dtype, scopes=homes, preprocessor=preprocessor, ours=True, native=native
            )
        assert native is not None, "what is not low is run as it is"
        return native

    return Offer(
        label=label,
        make=make,
        ranges={
            dim.name: Range(min=dim.min, typical=dim.typical, max=dim.max, multiple=dim.multiple)
            for dim in dims
            if isinstance(dim, Dim)
        },
        outputs=manifest.graph.outputs,
        manifest=manifest,
    )


def _file(row: ModelSpec, path: Path, device: str, label: str) -> Offer:
    dtype = precision_of(path)
    candidate: OnnxCandidate | LowGraph
    if dtype is None:
        candidate = OnnxCandidate(path, device=device)
    else:
        native = None if device == "cpu" else OnnxCandidate(path, device=device)
        candidate = LowGraph(path, dtype, native=native)
    ranges = {}
    for tensor in row.inputs:
        shape = candidate.shapes.get(tensor.name, ())
        for size, there in zip(tensor.shape, shape, strict=False):
            if isinstance(size, Dim) and isinstance(there, int):
                ranges[size.name] = Range(
                    min=there, typical=there, max=there, multiple=size.multiple
                )
    return Offer(label=label, make=lambda *_: candidate, ranges=ranges, outputs=candidate.outputs)
