"""Reports as one page for people: no script, nothing from elsewhere, on paper too. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from zoo.errors import MissingExtraError
from zoo_export.parity.curve import Curve, curve
from zoo_export.parity.report import CandidateReport, CaseRecord, Report
from zoo_export.parity.verdict import Use, uses

WORST = 10  # answers that are shown


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseLine:
    """One batch of the lattice, as a candidate answered it.

    Attributes:
        case: The batch.
        share: Largest part of a limit that an answer in it used up; None if it has none.
    """

    case: CaseRecord
    share: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """What the page says of a candidate.

    Attributes:
        report: The candidate's.
        curve: Signal to noise by module, if that was looked into.
        worst: The answers nearest to their limits, or beyond them.
        cases: Every batch that ran.
    """

    report: CandidateReport
    curve: Curve | None
    worst: tuple[Use, ...]
    cases: tuple[CaseLine, ...]


def html(reports: Sequence[Report]) -> str:
    """Return a page about all of some reports.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ModuleNotFoundError as error:
        raise MissingExtraError("jinja2", extra="export") from error
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(db=_db, number=_number, percent=_percent, seconds=_seconds)
    return environment.get_template("page.html.jinja").render(
        reports=[(report, chapters(report), _limits(report)) for report in reports],
        passed=all(report.passed for report in reports),
    )


def chapters(report: Report) -> list[Chapter]:
    """Return what there is to say of each candidate."""
    found = []
    for candidate in report.candidates:
        used = sorted(
            uses(candidate.rows, report.yardstick, report.elements, report.thresholds),
            key=lambda use: -use.share,
        )
        most: dict[int, float] = {}
        for use in used:
            most.setdefault(use.row.case, use.share)
        finding = candidate.finding
        found.append(
            Chapter(
                report=candidate,
                curve=None if finding is None else curve(finding.modules, finding.module),
                worst=tuple(_different(used))[:WORST],
                cases=tuple(
                    CaseLine(case=case, share=most.get(number))
                    for number, case in enumerate(report.cases)
                    if case.ran
                ),
            )
        )
    return found


def _different(used: Sequence[Use]) -> list[Use]:
    """Return the worst answer of each sample and output; it may stand in many batches."""
    first: dict[tuple[int, str], Use] = {}
    for use in used:
        first.setdefault((use.row.sample, use.output), use)
    return list(first.values())


def _limits(report: Report) -> Mapping[str, str]:
    """Return every limit of the verdict in words."""
    limits = report.thresholds
    steps, least = {}, 0
    for below, k in limits.ratios:
        span = f"from {least:,}" if below > 10**12 else f"{least:,} to {below - 1:,}"
        steps[f"k, {span} elements"] = f"{k:g}"
        least = below
    rest = {name: f"{value:.3g}" for name, value in asdict(limits).items() if name != "ratios"}
    return {**steps, **rest}


def _db(value: float) -> str:
    return "exact" if value >= 300 else "none" if value == float("-inf") else f"{value:.0f} dB"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f} %" if value < 10 else f"{value:.3g} times"


def _seconds(value: float) -> str:
    return f"{value:.2f} s"
