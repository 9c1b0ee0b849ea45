"""What a run of the gate found; can be judged again without running. No torch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from zoo.manifest import Precision
from zoo_export.parity.metrics import Measure
from zoo_export.parity.thresholds import DEFAULT, Thresholds
from zoo_export.parity.verdict import (
    Outcome,
    OutputVerdict,
    Row,
    judge_output,
    yardstick_faults,
)

SCHEMA = 2
PROVEN = "proven"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRecord:
    """One batch of the lattice.

    Attributes:
        name: What it is, in words.
        samples: Index of the sample at each position.
        tokens: What it costs.
        ran: Whether it ran; larger than the budget, it did not.
    """

    name: str
    samples: tuple[int, ...]
    tokens: int
    ran: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleRecord:
    """One boundary of a module.

    Attributes:
        module: Its dotted name.
        side: `in` or `out`.
        sqnr: The candidate's signal to noise there, dB.
        yardstick: Eager float32's.
    """

    module: str
    side: str
    sqnr: float
    yardstick: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Where a candidate leaves the oracle.

    Attributes:
        module: The first module that differs, or empty.
        text: In words.
        cause: What it is, if an experiment showed it; else `unknown`.
        modules: Every boundary that could be compared, in the order of execution.
    """

    module: str
    text: str
    cause: str = "unknown"
    modules: tuple[ModuleRecord, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateReport:
    """One candidate.

    Attributes:
        name: Its name.
        rows: All its answers.
        faults: What is wrong with its structure: a name, shape, dtype or number that is not there.
        gallery: Overlap and rank correlation of outputs with one vector a sample.
        seconds: That it ran.
        finding: Where it differs, if it was looked for.
        outputs: Verdict on each output.
    """

    name: str
    rows: tuple[Row, ...] = ()
    faults: tuple[str, ...] = ()
    gallery: Mapping[str, tuple[float, float]]
    seconds: float = 0.0
    finding: Finding | None = None
    outputs: tuple[OutputVerdict, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether its structure is right and every output passes."""
        return not self.faults and bool(self.outputs) and all(o.passed for o in self.outputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The gate's answer; `passed` alone lets an artefact out.

    Attributes:
        model: Name of the row.
        verdict: `passed`, `refused`, or `deferred` where it could not be run.
        reason: Why it was not passed, where that is not a candidate's fault.
        samples: Names of the samples.
        cases: Batches of the lattice, those that did not run included.
        elements: Output's name to the numbers that the yardstick was pooled over.
        yardstick: Output's name to eager float32's distance from the oracle, a sample each.
        candidates: What was judged.
        thresholds: Limits that the verdict was made with.
        seconds: Part of the run to the time it took.
        versions: Of what computed.
        precision: Of the candidates.
        executed: `native`, or `emulated` where this machine has no operators of that precision.
        structure: Of low precision: `proven` if the candidate is the float32 graph that passed plus
            casts, else why that is not known; nothing in float32, where numbers prove it.
        measured_by: What the yardstick is, in words.
    """

    model: str
    verdict: Outcome
    reason: str = ""
    samples: tuple[str, ...] = ()
    cases: tuple[CaseRecord, ...] = ()
    elements: Mapping[str, int]
    yardstick: Mapping[str, tuple[Measure, ...]]
    candidates: tuple[CandidateReport, ...] = ()
    thresholds: Thresholds = DEFAULT
    seconds: Mapping[str, float]
    versions: Mapping[str, str]
    precision: Precision = "float32"
    executed: Literal["native", "emulated"] = "native"
    structure: str = ""
    measured_by: str = "eager float32"

    @property
    def passed(self) -> bool:
        """Whether every candidate passed."""
        return self.verdict == "passed"

    @property
    def not_run(self) -> tuple[str, ...]:
        """Names of the cases that were above the budget."""
        return tuple(case.name for case in self.cases if not case.ran)

    def rejudge(self, thresholds: Thresholds | None = None) -> Report:
        """Return the same measurements, judged by other limits.

        Args:
            thresholds: By default those of this version.
        """
        limits = thresholds or (DEFAULT if self.precision == "float32" else self.thresholds)
        if self.verdict == "deferred":
            return replace(self, thresholds=limits)
        names = ([case.name for case in self.cases], self.samples)
        judged = tuple(
            replace(
                candidate,
                outputs=tuple(
                    judge_output(
                        output,
                        candidate.rows,
                        self.yardstick[output],
                        elements=elements,
                        names=names,
                        found=candidate.gallery.get(output),
                        thresholds=limits,
                    )
                    for output, elements in self.elements.items()
                    if any(output in row.outputs for row in candidate.rows)
                ),
            )
            for candidate in self.candidates
        )
        faults = yardstick_faults(self.yardstick, limits, self.measured_by)
        good = not faults and bool(judged) and all(candidate.passed for candidate in judged)
        good = good and self.structure in ("", PROVEN)
        return replace(
            self,
            thresholds=limits,
            candidates=judged,
            verdict="passed" if good else "refused",
            reason="; ".join(faults),
        )

    def line(self) -> str:
        """Return the verdict as one line for a terminal."""
        head = f"parity {self.verdict}: {self.model}"
        if self.verdict == "deferred" or self.reason:
            return f"{head}: {self.reason}"
        words = [_summary(candidate, self.measured_by) for candidate in self.candidates]
        if self.structure:
            words.append(f"structure: {self.structure}")
        return f"{head}: " + "; ".join(words) + self._left_out()

    def _left_out(self) -> str:
        return f"; {len(self.not_run)} cases not run" if self.not_run else ""

    def to_json(self) -> str:
        """Return the whole report as JSON."""
        from zoo_export.parity.serial import report_to_dict

        return json.dumps(report_to_dict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return what `to_json` gave.

        Raises:
            ValueError: It is no parity report, or one of another schema.
        """
        from zoo_export.parity.serial import report_from_dict

        report: Any = report_from_dict(json.loads(text))
        return report  # type: ignore[no-any-return]


def _summary(candidate: CandidateReport, measured_by: str) -> str:
    """Return a candidate's verdict in a few words."""
    if candidate.faults:
        more = f" (and {len(candidate.faults) - 1} more)" if len(candidate.faults) > 1 else ""
        return f"{candidate.name}: {candidate.faults[0]}{more}"
    if not candidate.outputs:
        return f"{candidate.name}: nothing was compared"
    worst = max(candidate.outputs, key=lambda output: output.worst)
    words = (
        f"{candidate.name} {worst.output} {_db(worst.sqnr)}, {_ratio(worst.ratio)} of the error of "
        f"{measured_by} (limit {worst.limit:g})"
    )
    if candidate.passed:
        return words
    words += f", {worst.worst:.3g} times the limit: {worst.where}"
    if candidate.finding is not None:
        words += f"; {candidate.finding.text}"
    return words


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:.3g}"


def _db(value: float) -> str:
    return "exact" if math.isinf(value) and value > 0 else f"{value:.0f} dB"
