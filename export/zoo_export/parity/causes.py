"""Why a candidate differs, where that can be shown; nothing is guessed.

A cause inside a module is shown by replay: the oracle's module is given the fault, and what it then
makes must be the candidate's values to rounding, where the right module's are not. A cause that
lies in the batch is shown by the same sample being right in one batch and wrong in another.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from zoo.manifest import Precision
from zoo.preprocess import Array, Preprocessor
from zoo_export.outputs import named_outputs
from zoo_export.parity import arguments, faults
from zoo_export.parity.arrangement import rearranged, taken
from zoo_export.parity.candidate import Candidate
from zoo_export.parity.faults import changed
from zoo_export.parity.precisions import ROUNDINGS
from zoo_export.parity.preparing import preparation_cause
from zoo_export.parity.reference import Reference
from zoo_export.parity.report import CandidateReport, Finding
from zoo_export.parity.taps import Boundary, Call, Trace, Values, error, limit, passing
from zoo_export.parity.thresholds import BUDGET
from zoo_export.parity.verdict import pooled

# Bits at the end of a float32's mantissa that are zero where a number was rounded on the way.
ENDINGS = ((16, "bfloat16"), (13, "float16 or TF32"))
TELLING = 16  # different numbers, at least: that all of them end in zeros by chance is no question
CLEAR = 10.0  # times: a sample is right in one batch and wrong in another beyond doubt
# Part of the error that a fault may leave unexplained: near the limit of what is seen at all, two
# small faults could be taken for each other.
LEFT = 0.25

WHOLE = Boundary("", "out")

Replay = tuple[str, nn.Module, Call]
Shown = tuple[str, Array | None]
"""A fault in words, and what it makes at the place that is wrong."""


class Wrong(NamedTuple):
    """Values that are to be explained.

    Attributes:
        values: The candidate's.
        oracle: In float64.
        allowed: Largest relative error of a right candidate here.
    """

    values: Array
    oracle: Array
    allowed: float

    def explained(self, replayed: Array | None) -> bool:
        """Whether a replay makes these values, to rounding, and not the oracle's."""
        if replayed is None or replayed.shape != self.values.shape:
            return False
        left, seen = error(replayed, self.values), error(self.oracle, self.values)
        return (
            left <= min(self.allowed, LEFT * seen) and error(self.oracle, replayed) > self.allowed
        )


def explain_boundary(
    reference: Reference,
    name: str,
    bad: Boundary,
    *,
    oracle: Trace,
    eager: Values,
    values: Values,
    tokens: int,
) -> str:
    """Return the one fault that reproduces a candidate's values at a bad boundary, or nothing.

    Args:
        reference: Has the right network.
        name: The module that is blamed.
        bad: The first bad boundary, inside it or its own output.
        oracle: The right network's run in float64.
        eager: Boundaries in float32.
        values: The candidate's.
        tokens: Of the batch.
    """
    rounded = _rounded(values[bad])
    if rounded and not _rounded(eager[bad]):
        return f"the numbers are rounded to {rounded}"
    allowed = limit(error(oracle.values[bad], eager[bad]))
    wrong = Wrong(values[bad], oracle.values[bad], allowed)
    reached = list(oracle.values).index(bad) / len(oracle.values)  # of the whole network
    work = reached * reference.spec.params * tokens

    def passed(module: str, replays: Callable[..., Iterable[Replay]]) -> Iterator[Shown]:
        if module not in oracle.calls or (not module and work > BUDGET.replay_work):
            return
        inside = Boundary(bad.module.removeprefix(module).removeprefix("."), bad.side)
        for words, part, call in replays(_part(reference, module), oracle.calls[module]):
            yield words, _array(passing(part, call, inside))

    around = name.rpartition(".")[0]
    while around and around not in oracle.calls:
        around = around.rpartition(".")[0]  # it is a list of modules
    given = name in oracle.calls and len(oracle.calls[name].tensors) > 1
    return _first_told(
        wrong,
        passed(name, _replays),
        passed(around, _replays) if around and given else (),  # what it was given is made there
        rearranged(wrong.oracle, wrong.values),
        passed(name, taken),
    )


def explain_output(reference: Reference, oracle: Trace, found: Mapping[str, Array]) -> str:
    """Return the one fault of what follows all modules that reproduces an output, or nothing.

    Args:
        reference: Has the right network.
        oracle: Its run in float64.
        found: The candidate's outputs of the same batch.
    """
    root, call = _settled(reference.exact, oracle.calls[""]), oracle.calls[""]
    right = named_outputs(passing(root, call, WHOLE))
    for name in reference.outputs:
        allowed = limit(pooled(reference.yardstick[name]), reference.precision)
        wrong = Wrong(found[name].astype(np.float64), right[name].numpy(), allowed)
        if wrong.values.shape == wrong.oracle.shape and error(wrong.oracle, wrong.values) > allowed:
            told = _first_told(wrong, _outputs(root, call, name))
            # it may have changed what the parts are given, so the whole network has to agree
            return told and _first_told(wrong, _outputs(reference.exact, call, name, only=told))
    return ""


def _settled(root: nn.Module, call: Call) -> nn.Module:
    """Return a network whose parts give at once what they gave in a first run.

    So all faults of what follows the parts are tried in the time of one run.
    """
    given: dict[str, list[object]] = {}
    handles = [
        part.register_forward_hook(
            lambda _part, _inputs, output, name=name: given.setdefault(name, []).append(output)
        )
        for name, part in _parts(root)
    ]
    passing(root, call, WHOLE)
    for handle in handles:
        handle.remove()
    for name, outputs in given.items():
        if len(outputs) == 1:
            root = changed(root, f"{name}.forward", lambda *_, out=outputs[0], **__: out)
    return root


def _parts(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield the outermost parts that run, which lists of parts do not, by name."""
    for name, child in module.named_children():
        if isinstance(child, nn.ModuleList):
            yield from _parts(child, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", child


def _outputs(root: nn.Module, call: Call, output: str, only: str = "") -> Iterator[Shown]:
    for words, part, given in _replays(root, call):
        if words == (only or words):
            encoded = passing(part, given, WHOLE)
            named = {} if encoded is None else named_outputs(encoded)
            yield words, _array(named.get(output))


def _replays(part: nn.Module, call: Call) -> Iterator[Replay]:
    """Yield faults in words, each with the module and the call that have it."""
    for fault in faults.faults(part, call):
        yield fault.words, fault.part, call
    yield from arguments.faults(part, call)


def _first_told(wrong: Wrong, *kinds: Iterable[Shown]) -> str:
    """Return the fault that explains values; nothing where two of a kind do, or none."""
    with torch.inference_mode():
        for kind in kinds:
            found = [words for words, replayed in kind if wrong.explained(replayed)]
            if found:
                return found[0] if len(found) == 1 else ""
    return ""


def _part(reference: Reference, name: str) -> nn.Module:
    """Return a module in float64: the oracle's own, which no fault changes, or a copy.

    Of a large network the oracle's blocks are in float64 only while they run.
    """
    part = reference.exact.get_submodule(name)
    if not name or all(value.dtype == torch.float64 for value in part.parameters()):
        return part
    return copy.deepcopy(reference.module.get_submodule(name)).double()


def _array(value: object) -> Array | None:
    return value.numpy() if isinstance(value, Tensor) and value.is_floating_point() else None


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


def explain_preparation(reference: Reference, candidate: Candidate) -> Finding | None:
    """Return in which fields of its recipe a candidate's own preprocessing differs, or None."""
    theirs: Preprocessor | None = getattr(candidate, "preprocessor", None)
    if theirs is None or reference.preprocessor is None:
        return None
    shown = preparation_cause(reference.spec, reference.preprocessor, theirs)
    return Finding(module="", text=f"preprocessing: {shown}", cause=shown) if shown else None


def explain_rows(reference: Reference, report: CandidateReport) -> Finding | None:
    """Return what the pattern of right and wrong answers shows beyond doubt, or None."""
    if report.passed:
        return None
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
