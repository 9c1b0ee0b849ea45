"""Where a candidate leaves the oracle: the first module boundary at which the signal drops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from zoo.manifest import Precision
from zoo_export.parity.candidate import Candidate
from zoo_export.parity.cases import Case, collate
from zoo_export.parity.causes import (
    explain_boundary,
    explain_output,
    explain_overflow,
    explain_preparation,
    explain_rows,
)
from zoo_export.parity.metrics import LOUDEST, clipped
from zoo_export.parity.pieces import Pieced, bisect
from zoo_export.parity.reference import Reference
from zoo_export.parity.report import CandidateReport, Finding, ModuleRecord
from zoo_export.parity.taps import Boundary, Tapped, Trace, Values, error, limit

ENOUGH = 512  # tokens of a case


def localise(reference: Reference, candidate: Candidate, report: CandidateReport) -> Finding | None:
    """Return where and, if it can be shown, why a candidate differs; None if nothing ran."""
    right = all(output.passed for output in report.outputs)
    cause = explain_rows(reference, report)
    if cause is None and right and report.faults:
        cause = explain_preparation(reference, candidate)
    case = _clearest_case(reference, report)
    if case is not None and isinstance(candidate, Pieced) and not report.passed:
        return bisect(reference, candidate.graph, case, candidate.run_piece) or cause
    if case is None or not isinstance(candidate, Tapped):
        return cause
    samples = [reference.lattice.samples[row] for row in case.rows]
    batch = collate(reference.spec, samples, case.sizes)
    oracle = reference.trace(batch, exact=True)
    eager = reference.trace(batch, exact=False)
    shapes = {boundary: value.shape for boundary, value in oracle.values.items()}
    values = candidate.taps(batch, shapes)
    records, bad, good = _compare(oracle.values, eager.values, values, reference.precision)
    if not records:
        return cause
    if bad is None:
        if cause is not None:
            return Finding(module="", text=cause.text, cause=cause.cause, modules=tuple(records))
        text, shown = "every module agrees", ""
        if not right:
            text += " as far as it can be seen; what follows the last one differs"
            if reference.precision == "float32":
                shown = explain_output(reference, oracle, candidate.run(batch))
        return Finding(
            module="",
            text=f"{text}: {shown}" if shown else text,
            cause=shown or "unknown",
            modules=tuple(records),
        )
    module = _blamed(bad, values, oracle)
    if reference.precision == "float32":
        shown = explain_boundary(
            reference,
            module,
            bad,
            oracle=oracle,
            eager=eager.values,
            values=values,
            tokens=case.tokens,
        )
    else:
        shown = explain_overflow(reference.precision, oracle.values[bad], values[bad])
    before = records[[r.module + r.side for r in records].index(bad.module + bad.side)]
    text = _words(module, bad, good, before)
    if shown:
        text += f": {shown}"
    elif cause is not None:
        text += f"; {cause.text}"
    return Finding(
        module=module,
        text=text,
        cause=shown or (cause.cause if cause is not None else "unknown"),
        modules=tuple(records),
    )


def _compare(
    oracle: Values, eager: Values, values: Values, precision: Precision
) -> tuple[list[ModuleRecord], Boundary | None, Boundary | None]:
    """Return all boundaries, the first bad one and the last good one before it."""
    records: list[ModuleRecord] = []
    wrong: dict[Boundary, bool] = {}
    for boundary, exact in oracle.items():
        if boundary in values and boundary in eager:
            own, theirs = error(exact, eager[boundary]), error(exact, values[boundary])
            wrong[boundary] = theirs > limit(own, precision)
            records.append(
                ModuleRecord(
                    module=boundary.module,
                    side=boundary.side,
                    sqnr=clipped(theirs),
                    yardstick=clipped(own),
                )
            )
    good: Boundary | None = None
    for boundary, is_wrong in wrong.items():
        if not is_wrong:
            good = boundary
        elif not _folded(boundary, oracle, wrong):
            return records, boundary, good
    return records, None, good


def _folded(boundary: Boundary, oracle: Values, wrong: Mapping[Boundary, bool]) -> bool:
    """Whether a module that takes in this very value gives a right output nevertheless.

    Then the two were folded into one, such as a batch norm into its convolution, and the value
    between them is another by right.
    """
    return any(
        wrong.get(Boundary(other.module, "out")) is False
        for other in oracle
        if other.side == "in"
        and (other == boundary or np.array_equal(oracle[other], oracle[boundary]))
    )


def _blamed(bad: Boundary, values: Values, oracle: Trace) -> str:
    """Return the module whose own arithmetic lies before a bad boundary.

    What enters a part is made by the module around it. What leaves a part is its own doing, if
    what entered was seen to be right, or if nothing enters it but sizes; else the module around
    both is named.
    """
    parent = bad.module.rpartition(".")[0]
    while parent and _is_list(parent, values):
        parent = parent.rpartition(".")[0]
    if bad.side == "in":
        return parent
    alone = Boundary(bad.module, "in") in values or not oracle.calls[bad.module].tensors
    return bad.module if alone else parent


def _is_list(name: str, values: Values) -> bool:
    """Whether nothing passes the boundaries of a name: it is a list of modules."""
    return Boundary(name, "in") not in values and Boundary(name, "out") not in values


def _words(module: str, bad: Boundary, good: Boundary | None, record: ModuleRecord) -> str:
    drop = f"{_db(record.yardstick)} -> {_db(record.sqnr)}"
    if bad.side == "out" and module == bad.module:
        return f"{module}: {drop}"
    where = f"what enters {bad.module}" if bad.side == "in" else f"what leaves {bad.module}"
    after = f", after {good.module}" if good is not None else ""
    return f"{module or 'the network itself'}, {where}{after}: {drop}"


def _clearest_case(reference: Reference, report: CandidateReport) -> Case | None:
    """Return the case to look into, or None if there is none that ran.

    The more numbers, the clearer; but a case of moderate cost is enough, one that fails comes
    first, and one without padding comes before one that has it.
    """
    failing = {row.case for row in reference.failing(report.rows)}

    def rank(number: int) -> tuple[bool, bool, int]:
        case = reference.lattice.cases[number]
        cheap = case.tokens <= ENOUGH
        return not _padded(reference, case), cheap, case.tokens if cheap else -case.tokens

    answered = {row.case for row in report.rows}  # the others failed to run, or their shapes do
    best = max(sorted(failing or answered), key=rank, default=None)
    return None if best is None else reference.lattice.cases[best]


def _padded(reference: Reference, case: Case) -> bool:
    samples: Sequence[Mapping[str, int]] = [
        reference.lattice.samples[row].sizes for row in case.rows
    ]
    return any(sizes[axis] < size for sizes in samples for axis, size in case.sizes.items())


def _db(value: float) -> str:
    return "exact" if value >= LOUDEST else f"{value:.0f} dB"
