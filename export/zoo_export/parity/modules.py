"""One module of a graph by itself, on the inputs that the oracle gives it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.errors import ExportError
from zoo.preprocess import Array
from zoo_export.parity.cases import Case, collate
from zoo_export.parity.cutting import cut, float32, load_graph, rerun
from zoo_export.parity.metrics import rms
from zoo_export.parity.onnx_candidate import OnnxCandidate, fitting
from zoo_export.parity.reference import Reference
from zoo_export.parity.taps import Boundary, Call, error, limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A module cut out of a graph, and what it should give.

    Attributes:
        model: The piece.
        feeds: Its inputs.
        output: Name of its output.
        oracle: In float64.
        scale: What the error is relative to.
        limit: Largest relative error.
    """

    model: Any
    feeds: Mapping[str, Array]
    output: str
    oracle: Array
    scale: float
    limit: float


def cut_module(
    reference: Reference, candidate: OnnxCandidate, case: Case, name: str
) -> Piece | None:
    """Return a module of a graph, or None if by itself it does not show the error.

    Its first argument comes from the network in float64, rounded once; what else it takes, such as
    a mask, from the graph itself.
    """
    samples = [reference.lattice.samples[row] for row in case.rows]
    batch = collate(reference.spec, samples, case.sizes)
    trace = reference.trace(batch, exact=True)
    entry, leave = Boundary(name, "in"), Boundary(name, "out")
    if entry not in trace.values or leave not in trace.values:
        return None
    shapes = {b: trace.values[b].shape for b in (entry, leave)}
    crossing = candidate.crossings(shapes)
    found = candidate.values([*crossing[entry], *crossing[leave]], batch)
    first, last = (fitting(crossing[b], found, shapes[b]) for b in (entry, leave))
    if not first or not last:
        return None
    start = float32(trace.values[entry])
    feeds = {n: found[n] for n in crossing[entry]}
    feeds[first] = start.reshape(found[first].shape)
    try:
        model = cut(load_graph(candidate.path), feeds, [last])
        given = rerun(model, candidate.path.parent, feeds)[last]
    except ExportError:
        return None  # it takes something that does not cross its boundary
    oracle, eager = (
        value.reshape(given.shape) for value in _both(reference, name, start, trace.calls[name])
    )
    allowed = limit(error(oracle, eager))
    if error(oracle, given.astype(np.float64)) <= allowed:
        return None
    needed = {value.name for value in model.graph.input}
    return Piece(
        model=model,
        feeds={n: value for n, value in feeds.items() if n in needed},
        output=last,
        oracle=oracle,
        scale=rms(oracle) or 1.0,
        limit=allowed,
    )


def _both(reference: Reference, name: str, start: Array, call: Call) -> tuple[Array, Array]:
    """Run the right module in float64 and in float32 on the same first argument."""
    results = []
    for dtype in (torch.float64, torch.float32):
        part = copy.deepcopy(reference.module.get_submodule(name)).to(dtype)
        rest = [_as(dtype, value) for value in call.args[1:]]
        named = {key: _as(dtype, value) for key, value in call.kwargs.items()}
        with torch.inference_mode():
            out = part(torch.from_numpy(start).to(dtype), *rest, **named)
        results.append(out.double().numpy())
    return results[0], results[1]


def _as(dtype: torch.dtype, value: Any) -> Any:  # noqa: ANN401  whatever a module is given
    """Return an argument whose floating-point tensors, in tuples too, have a dtype."""
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if not isinstance(value, tuple):
        return value
    inner = [_as(dtype, one) for one in value]
    return type(value)(*inner) if hasattr(value, "_fields") else tuple(inner)
