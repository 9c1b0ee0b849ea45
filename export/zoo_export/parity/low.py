"""Low precision before the gate: structure by proof, precision by the ratio test.

Eager PyTorch in float16 or bfloat16 errs so much that a lost bias or another gelu would hide in it.
So the graph must be the float32 graph that has passed, plus casts; only its rounding is judged by
numbers. docs/parity.md has the measurements.
"""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from zoo.manifest import Low
from zoo.preprocess import Array
from zoo_export import graph
from zoo_export.parity.candidate import Candidate
from zoo_export.parity.eager import run_each
from zoo_export.parity.gate import judge_against
from zoo_export.parity.onnx_candidate import OnnxCandidate
from zoo_export.parity.precisions import limits_of
from zoo_export.parity.reference import Reference
from zoo_export.parity.report import PROVEN, Report
from zoo_export.parity.taps import Boundary, Values
from zoo_export.parity.verdict import yardstick_faults
from zoo_export.precision.emulate import emulate
from zoo_export.precision.operators import FLOATS, LOW, PRODUCTS
from zoo_export.precision.structure import difference

DTYPES: Mapping[Low, torch.dtype] = MappingProxyType(
    {"float16": torch.float16, "bfloat16": torch.bfloat16}
)

NO_TWIN = "not proven, because there is no float32 graph to compare it with"

Scopes = Mapping[str, str]


class EmulatedCandidate:
    """A graph of low precision, its rounding emulated on the CPU.

    Args:
        path: The graph.
        scopes: Name of a node to the module that it comes from.
    """

    def __init__(self, path: Path, scopes: Scopes) -> None:
        model = graph.read(path)
        found = emulate(model, scopes)
        self._folder = tempfile.TemporaryDirectory(dir=path.parent)
        emulated = Path(self._folder.name) / path.name
        graph.write(model, emulated)
        self._inner = OnnxCandidate(emulated, scopes=found)

    def run(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        """Run a batch; inputs that the graph does not have are left out."""
        return self._inner.run(batch)

    def taps(self, batch: dict[str, Array], shapes: Mapping[Boundary, tuple[int, ...]]) -> Values:
        """Run once with the values that cross the boundaries of modules as further outputs."""
        return self._inner.taps(batch, shapes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._folder.cleanup()


def judge_low(
    low: Reference,
    path: Path,
    *,
    name: str,
    scopes: Scopes,
    twin: Path | None,
    layers: bool = False,
    native: Candidate | None = None,
) -> Report:
    """Judge a graph of low precision.

    Args:
        low: Its oracle, and a yardstick of its precision.
        path: The graph.
        name: Of the candidate.
        scopes: Name of a node to the module that it comes from.
        twin: The float32 graph, which has passed.
        layers: Compare the boundaries of all modules, even if it passes.
        native: What runs the graph, or an engine made of it, on hardware that has the precision; by
            default it is emulated on the processor.
    """
    if native is None:
        with EmulatedCandidate(path, scopes) as candidate:
            report = judge_against(low, {name: candidate}, layers=layers)
    else:
        report = judge_against(low, {name: native}, layers=layers)
    clock = time.perf_counter()
    structure = NO_TWIN if twin is None else structure_of(path, twin)
    seconds = {**report.seconds, "structure": time.perf_counter() - clock}
    report = replace(
        report,
        executed="emulated" if native is None else "native",
        structure=structure,
        seconds=seconds,
    )
    return report.rejudge(report.thresholds)


def structure_of(path: Path, twin: Path) -> str:
    """Return whether a graph is proven to be its float32 twin plus casts, or why not."""
    refused = graph.fault(path)  # emulation would not miss a cast, nor does the proof
    if refused:
        return f"not proven, ONNX's checker refuses it: {refused.splitlines()[0]}"
    found = difference(graph.read(path), graph.read(twin))
    return f"not proven, {found}" if found else PROVEN


def modules_in_float32(path: Path, scopes: Scopes) -> set[str]:
    """Return the modules of which a graph of low precision computes products in float32."""
    found = set()
    for node in graph.read(path).graph:
        value = node.outputs[0]
        if node.op_type in PRODUCTS and value.dtype in FLOATS - LOW:
            found.add(scopes.get(node.name or "", ""))
    return found - {""}


def low_reference(reference: Reference, dtype: Low) -> Reference:
    """Return the same oracle with eager PyTorch in a low precision, `module.to(dtype)`, beside it.

    Args:
        reference: In float32.
        dtype: Of the yardstick.
    """
    plain = copy.deepcopy(reference.module).to(DTYPES[dtype])
    return _with_yardstick(reference, plain, dtype, DTYPES[dtype], f"eager {dtype}")


def mixed_reference(reference: Reference, dtype: Low, kept: Collection[str]) -> Reference:
    """Return the same oracle with eager PyTorch under autocast beside it.

    Args:
        reference: In float32.
        dtype: Of the products.
        kept: Modules that stay in float32 altogether.
    """
    mixed = autocast(copy.deepcopy(reference.module), DTYPES[dtype], kept)
    return _with_yardstick(reference, mixed, dtype, torch.float32, f"eager {dtype} under autocast")


def fitting_reference(
    low: Reference, reference: Reference, path: Path, scopes: Scopes
) -> Reference:
    """Return what a graph of low precision is measured by.

    That is `low`, unless nothing can be measured by it, because it overflows where the graph keeps
    float32: then eager PyTorch under autocast, whose float32 modules are those of which the graph
    computes products in float32.

    Args:
        low: As `low_reference` gives it.
        reference: In float32.
        path: The graph.
        scopes: Name of a node to the module that it comes from.
    """
    assert low.precision != "float32", "it is a reference of low precision"
    if not yardstick_faults(low.yardstick, limits_of(low.precision)):
        return low
    return mixed_reference(reference, low.precision, modules_in_float32(path, scopes))


def _with_yardstick(
    reference: Reference, module: nn.Module, precision: Low, dtype: torch.dtype, words: str
) -> Reference:
    clock = time.perf_counter()
    samples = reference.lattice.samples
    found = run_each(reference.spec, module, samples, reference.outputs, dtype)
    return replace(
        reference,
        module=module,
        dtype=dtype,
        precision=precision,
        measured_by=words,
        preprocessor=None,  # it was judged with the float32 graph
        yardstick=reference.measured(found),
        seconds={"oracle": 0.0, "yardstick": time.perf_counter() - clock},
    )


def autocast(module: nn.Module, dtype: torch.dtype, kept: Collection[str]) -> nn.Module:
    """Let a module run under autocast, some of its parts in float32; it is changed in place."""
    for name, part in module.named_modules():
        if name in kept:
            part.forward = _within(part.forward, enabled=False, dtype=dtype)
    module.forward = _within(module.forward, enabled=True, dtype=dtype)
    return module


def _within(
    forward: Callable[..., Any], *, enabled: bool, dtype: torch.dtype
) -> Callable[..., Any]:
    def run(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401  whatever the module takes
        if not enabled:
            arguments = tuple(_in_float32(arguments))
            named = dict(zip(named, _in_float32(list(named.values())), strict=True))
        with torch.autocast("cpu", dtype=dtype, enabled=enabled):
            return forward(*arguments, **named)

    return run


def _in_float32(values: Sequence[Any]) -> list[Any]:
    return [
        value.float() if isinstance(value, Tensor) and value.is_floating_point() else value
        for value in values
    ]
