"""Why a candidate differs, where that can be shown; nothing is guessed.

A cause inside a module is shown by replay: the oracle's module is given the fault, and what it then
makes must be the candidate's values to rounding, where the right module's are not. A cause that
lies in the batch is shown by the same sample being right in one batch and wrong in another.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from zoo.manifest import Precision
from zoo.nn.activations import ACTIVATIONS
from zoo.nn.attention import SelfAttention
from zoo.preprocess import Array
from zoo_export.parity.precisions import ROUNDINGS
from zoo_export.parity.reference import Reference
from zoo_export.parity.report import CandidateReport, Finding
from zoo_export.parity.taps import Boundary, Trace, Values, error, limit, tracing

EPSILONS = (0.0, 1e-12, 1e-8, 1e-7, 1e-6, 1e-5, 1e-3)
# Bits at the end of a float32's mantissa that are zero where a number was rounded on the way.
ENDINGS = ((16, "bfloat16"), (13, "float16 or TF32"))
TELLING = 16  # different numbers, at least: that all of them end in zeros by chance is no question
MASK = "what is added to the scores of attention, such as a mask, is left out"
CLEAR = 10.0  # times: a sample is right in one batch and wrong in another beyond doubt

Fault = tuple[str, Callable[[Any], None]]


def explain_boundary(
    root: nn.Module, name: str, bad: Boundary, oracle: Trace, eager: Values, values: Values
) -> str:
    """Return the one fault that reproduces a candidate's values at a bad boundary, or nothing.

    Args:
        root: The right network.
        name: The module that is blamed.
        bad: The first bad boundary, inside it or its own output.
        oracle: The right network's run in float64.
        eager: Boundaries in float32.
        values: The candidate's.
    """
    rounded = _rounded(values[bad])
    if rounded and not _rounded(eager[bad]):
        return f"the numbers are rounded to {rounded}"
    if name not in oracle.arguments:
        return ""
    inside = bad.module.removeprefix(name).removeprefix(".")
    allowed = limit(error(oracle.values[bad], eager[bad]))
    part = copy.deepcopy(root.get_submodule(name)).double()
    found = []
    for words, fault in _faults(part):
        mutant = copy.deepcopy(part)
        with torch.no_grad():
            fault(mutant)
        replayed = _replay(mutant, oracle.arguments[name], Boundary(inside, bad.side))
        if replayed is None or replayed.shape != values[bad].shape:
            continue
        if error(replayed, values[bad]) <= allowed < error(replayed, oracle.values[bad]):
            found.append(words)
    return found[0] if len(found) == 1 else ""


def explain_overflow(precision: Precision, oracle: Array, values: Array) -> str:
    """Return that numbers at a boundary are too large for a precision, or nothing."""
    largest, end = float(np.abs(oracle).max(initial=0.0)), ROUNDINGS[precision].largest
    if np.isfinite(values).all() or largest <= end:
        return ""
    return f"overflow: numbers reach {largest:.3g}, and {precision} ends at {end:.3g}"


def _rounded(values: Array) -> str:
    """Return the narrower type whose numbers all values are, or nothing.

    A few round numbers, such as zeros, are those of every type.
    """
    if len(np.unique(np.abs(values[values != 0]))) < TELLING:
        return ""
    bits = values.astype(np.float32).view(np.uint32)
    for zeros, name in ENDINGS:
        if not (bits & np.uint32((1 << zeros) - 1)).any():
            return name
    return ""


def _replay(part: nn.Module, arguments: tuple[Any, ...], boundary: Boundary) -> Any:  # noqa: ANN401
    """Return what passes a boundary of a part (its own output if it has no name)."""
    with tracing(part) as trace:
        output = part(*arguments)
    if not boundary.module:
        return output.numpy() if isinstance(output, Tensor) else None
    return trace.values.get(boundary)


def _faults(part: nn.Module) -> Iterator[Fault]:
    """Yield the faults that a module of its kind can have, in words and as an edit."""
    if isinstance(part, nn.LayerNorm | _BatchNorm):
        for eps in EPSILONS:
            if eps != part.eps:
                yield f"eps is {eps:g}, not {part.eps:g}", _set("eps", eps)
    for name, words in (("bias", "the bias is lost"), ("weight", "the scale is lost")):
        value = getattr(part, name, None)
        if not isinstance(value, Tensor):
            continue
        if name == "bias":
            yield words, _fill(name, 0.0)
        elif isinstance(part, nn.LayerNorm | _BatchNorm):
            yield words, _fill(name, 1.0)
    activation = getattr(part, "activation", None)
    names = {function: name for name, function in ACTIVATIONS.items()}
    if activation in names:
        for name, function in ACTIVATIONS.items():
            if function is not activation:
                words = f"the activation is {name}, not {names[activation]}"
                yield words, _set("activation", function)
    if isinstance(part, SelfAttention):
        yield from _attention_faults(part)
    yield "it does nothing", lambda mutant: setattr(mutant, "forward", lambda x, *_: x)


def _attention_faults(part: SelfAttention) -> Iterator[Fault]:
    width = part.proj.in_features
    for words, scale in (
        ("the scale of attention is missing", 1.0),
        ("the scale of attention is that of the whole width", width**-0.5),
    ):
        yield words, _rescaled(scale * (width / part.heads) ** 0.5)
    if part.q_bias is None:  # else keys have no bias that could change places with another
        yield "queries and keys are swapped", _reordered(1, 0, 2)
        yield "keys and values are swapped", _reordered(0, 2, 1)
    yield MASK, _unmasked
    yield f"attention is {'not ' if part.causal else ''}causal", _set("causal", not part.causal)


def _rescaled(factor: float) -> Callable[[Any], None]:
    """Return an edit that makes queries larger, and so the scale."""

    def edit(mutant: Any) -> None:  # noqa: ANN401
        width = mutant.proj.in_features
        mutant.qkv.weight[:width] *= factor
        bias = mutant.qkv.bias if mutant.q_bias is None else mutant.q_bias
        if bias is not None:
            bias[:width] *= factor

    return edit


def _reordered(*order: int) -> Callable[[Any], None]:
    def edit(mutant: Any) -> None:  # noqa: ANN401
        for value in (mutant.qkv.weight, mutant.qkv.bias):
            if value is not None:
                parts = value.clone().chunk(3)
                value.copy_(torch.cat([parts[place] for place in order]))

    return edit


def _unmasked(mutant: Any) -> None:  # noqa: ANN401
    forward = mutant.forward
    mutant.forward = lambda x, _mask=None, *rest: forward(x, None, *rest)


def _set(name: str, value: object) -> Callable[[Any], None]:
    return lambda mutant: setattr(mutant, name, value)


def _fill(name: str, value: float) -> Callable[[Any], None]:
    return lambda mutant: getattr(mutant, name).fill_(value)


def explain_rows(reference: Reference, report: CandidateReport) -> Finding | None:
    """Return what the pattern of right and wrong answers shows beyond doubt, or None."""
    wrong = {(row.case, row.place) for row in reference.failing(report.rows)}
    if not wrong:
        return None
    errors: dict[int, dict[bool, list[tuple[float, int]]]] = {}
    for row in report.rows:
        fails = (row.case, row.place) in wrong
        worst = max(measure.error for measure in row.outputs.values())
        sides = errors.setdefault(row.sample, {True: [], False: []})
        sides[fails].append((worst, row.case))
    for sample, sides in errors.items():
        if not sides[True] or not sides[False]:
            continue
        bad, good = min(sides[True]), max(sides[False])
        if bad[0] > CLEAR * good[0]:
            name = reference.lattice.samples[sample].name
            cases = reference.lattice.cases
            text = (
                f"the same sample depends on its batch: {name} is right in {cases[good[1]].name}, "
                f"wrong in {cases[bad[1]].name}"
            )
            return Finding(module="", text=text, cause="depends on the batch")
    return None
