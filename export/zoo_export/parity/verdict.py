"""From numbers to a verdict: the ratio test, without running anything. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from zoo_export.parity.metrics import Measure, decibel
from zoo_export.parity.thresholds import Thresholds

Outcome = Literal["passed", "refused", "deferred"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One sample in one batch, as a candidate answered it.

    Attributes:
        case: Index of the case.
        place: Position in the batch.
        sample: Index of the sample.
        outputs: Output's name to its distance from the oracle.
    """

    case: int
    place: int
    sample: int
    outputs: Mapping[str, Measure]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputVerdict:
    """One output of one candidate over the whole lattice.

    Attributes:
        output: Its name.
        elements: Numbers that the yardstick's error was pooled over.
        ratio: Pooled error over the yardstick's.
        limit: Largest `ratio` that passes; the rounding floor comes on top.
        error: Pooled relative error.
        yardstick: The yardstick's.
        worst: Largest part of any limit that was used up; above 1 it is refused.
        where: The measure, case, place and sample of the worst.
        cosine: Worst 1 - cosine of a vector.
        cosine_p01: Worst, over samples, of what one vector in a hundred exceeds.
        norm: Norm ratio that is farthest from 1.
        overlap: Part of the nearest neighbours that agree, over the samples; of `pooled` alone.
        rank: Spearman's correlation of all similarities; of `pooled` alone.
        passed: Whether every limit holds.
    """

    output: str
    elements: int
    ratio: float
    limit: float
    error: float
    yardstick: float
    worst: float
    where: str
    cosine: float
    cosine_p01: float
    norm: float
    overlap: float | None
    rank: float | None
    passed: bool

    @property
    def sqnr(self) -> float:
        """Signal to noise of the candidate, dB."""
        return decibel(self.error)


def pooled(measures: Iterable[Measure]) -> float:
    """Return the root mean square of relative errors."""
    errors = [measure.error for measure in measures]
    return math.sqrt(math.fsum(error * error for error in errors) / len(errors)) if errors else 0.0


def yardstick_faults(
    yardstick: Mapping[str, Sequence[Measure]], thresholds: Thresholds, name: str = "eager float32"
) -> tuple[str, ...]:
    """Return why a yardstick cannot be measured by, or nothing."""
    faults = []
    for output, measures in yardstick.items():
        if not all(measure.finite for measure in measures):
            faults.append(f"{output}: {name} is not finite, so nothing can be measured by it")
        elif decibel(pooled(measures)) < thresholds.yardstick_db:
            faults.append(
                f"{output}: {name} has {decibel(pooled(measures)):.0f} dB only, below "
                f"{thresholds.yardstick_db:.0f} dB, so nothing can be measured by it"
            )
    return tuple(faults)


def allowances(
    yardstick: Sequence[Measure], elements: int, thresholds: Thresholds, *, row: float = 1.0
) -> list[dict[str, float]]:
    """Return what the answer to each sample may err by, for each measure.

    Args:
        yardstick: Of each sample.
        elements: Numbers that it was pooled over.
        thresholds: Limits.
        row: Times the pooled limit that an answer's own error may be. With 1, some answer is beyond
            its limit wherever all of them together are.
    """
    k, floor = thresholds.ratio(elements), thresholds.floor
    error = pooled(yardstick)
    vector = _typical([measure.vector for measure in yardstick])
    peak = _typical([measure.peak for measure in yardstick])
    return [
        {
            "error": row * k * max(error, own.error) + floor,
            "vector": thresholds.vector * k * max(vector, own.vector) + floor,
            "peak": thresholds.peak * k * max(peak, own.peak) + thresholds.peak_floor,
        }
        for own in yardstick
    ]


def _typical(values: Sequence[float]) -> float:
    """Return the root mean square of a sample's extremes: one lucky sample sets no limit."""
    return math.sqrt(math.fsum(value * value for value in values) / len(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """How near one output of one answer came to its limits.

    Attributes:
        row: The answer.
        output: Its output.
        measure: Its distance from the oracle.
        share: Largest part of a limit that it used up; above 1 it is refused.
        kind: Of which measure: `error`, `vector` or `peak`.
    """

    row: Row
    output: str
    measure: Measure
    share: float
    kind: str


def uses(
    rows: Sequence[Row],
    yardstick: Mapping[str, Sequence[Measure]],
    elements: Mapping[str, int],
    thresholds: Thresholds,
) -> Iterator[Use]:
    """Yield what every output of every answer used up of its limits."""
    for output, measures in yardstick.items():
        allowed = allowances(measures, elements[output], thresholds, row=thresholds.row)
        for row in rows:
            if output in row.outputs:
                measure = row.outputs[output]
                limits = allowed[row.sample].items()
                share, kind = max((getattr(measure, name) / most, name) for name, most in limits)
                yield Use(row=row, output=output, measure=measure, share=share, kind=kind)


def judge_output(
    output: str,
    rows: Sequence[Row],
    yardstick: Sequence[Measure],
    *,
    elements: int,
    names: tuple[Sequence[str], Sequence[str]],
    found: tuple[float, float] | None,
    thresholds: Thresholds,
) -> OutputVerdict:
    """Judge one output of one candidate.

    Args:
        output: Its name.
        rows: All answers; at least one holds it.
        yardstick: Of each sample.
        elements: Numbers that the yardstick was pooled over.
        names: Of the cases, of the samples.
        found: Neighbour overlap and rank correlation, where they were computed.
        thresholds: Limits.
    """
    answers = list(uses(rows, {output: yardstick}, {output: elements}, thresholds))
    measures = [answer.measure for answer in answers]
    own, error, k = pooled(yardstick), pooled(measures), thresholds.ratio(elements)
    worst, where = error / (k * own + thresholds.floor), "pooled over all cases"
    for answer in answers:
        if answer.share > worst:
            row = answer.row
            place = f"position {row.place} of {names[0][row.case]}"
            worst, where = answer.share, f"{answer.kind} of {names[1][row.sample]} at {place}"
    return OutputVerdict(
        output=output,
        elements=elements,
        ratio=error / own if own else (0.0 if error == 0 else math.inf),
        limit=k,
        error=error,
        yardstick=own,
        worst=worst,
        where=where,
        cosine=max(measure.cosine for measure in measures),
        cosine_p01=max(measure.cosine_p01 for measure in measures),
        norm=max((measure.norm for measure in measures), key=lambda norm: abs(norm - 1)),
        overlap=None if found is None else found[0],
        rank=None if found is None else found[1],
        passed=worst <= 1,
    )


def failing(
    rows: Sequence[Row],
    yardstick: Mapping[str, Sequence[Measure]],
    elements: Mapping[str, int],
    thresholds: Thresholds,
) -> list[Row]:
    """Return the answers that are worse than the pooled limit, each by itself."""
    limits = {
        output: allowances(measures, elements[output], thresholds)
        for output, measures in yardstick.items()
    }
    return [
        row
        for row in rows
        if any(m.error > limits[output][row.sample]["error"] for output, m in row.outputs.items())
    ]
