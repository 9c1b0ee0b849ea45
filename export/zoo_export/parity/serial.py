"""Reports to plain values and back. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from zoo_export.parity.metrics import Measure
from zoo_export.parity.report import (
    SCHEMA,
    CandidateReport,
    CaseRecord,
    Finding,
    ModuleRecord,
    Report,
)
from zoo_export.parity.thresholds import Thresholds
from zoo_export.parity.verdict import Row

FORMAT = "zoo-parity"


def report_to_dict(report: Report) -> dict[str, Any]:
    """Return a report as values that JSON can hold: no infinity, no NaN."""
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        "model": report.model,
        "verdict": report.verdict,
        "reason": report.reason,
        "line": report.line(),
        "samples": list(report.samples),
        "cases": [asdict(case) for case in report.cases],
        "elements": dict(report.elements),
        "yardstick": {
            output: [measure.to_list() for measure in measures]
            for output, measures in report.yardstick.items()
        },
        "candidates": [_candidate_to_dict(candidate) for candidate in report.candidates],
        "thresholds": report.thresholds.to_dict(),
        "seconds": dict(report.seconds),
        "versions": dict(report.versions),
        "precision": report.precision,
        "executed": report.executed,
        "structure": report.structure,
        "measured_by": report.measured_by,
    }


def report_from_dict(values: Mapping[str, Any]) -> Report:
    """Return a report; verdicts on outputs are computed from the numbers, not read.

    Raises:
        ValueError: It is no parity report, or one of another schema.
    """
    if values.get("format") != FORMAT or values.get("schema") != SCHEMA:
        raise ValueError(
            f"This is no parity report of schema {SCHEMA}: format {values.get('format')!r}, "
            f"schema {values.get('schema')!r}."
        )
    report = Report(
        model=values["model"],
        verdict=values["verdict"],
        reason=values["reason"],
        samples=tuple(values["samples"]),
        cases=tuple(
            CaseRecord(**{**case, "samples": tuple(case["samples"])}) for case in values["cases"]
        ),
        elements=values["elements"],
        yardstick={
            output: tuple(map(Measure.from_list, measures))
            for output, measures in values["yardstick"].items()
        },
        candidates=tuple(map(_candidate_from_dict, values["candidates"])),
        seconds=values["seconds"],
        versions=values["versions"],
        precision=values["precision"],
        executed=values["executed"],
        structure=values["structure"],
        measured_by=values["measured_by"],
    )
    return report.rejudge(Thresholds.from_dict(values["thresholds"]))


def _candidate_to_dict(candidate: CandidateReport) -> dict[str, Any]:
    finding = candidate.finding
    return {
        "name": candidate.name,
        "passed": candidate.passed,
        "faults": list(candidate.faults),
        "seconds": candidate.seconds,
        "gallery": {output: list(found) for output, found in candidate.gallery.items()},
        "outputs": [_finite(asdict(output)) for output in candidate.outputs],
        "finding": None if finding is None else {
            **asdict(finding), "modules": [_finite(asdict(m)) for m in finding.modules]
        },
        "rows": [
            {
                "case": row.case,
                "place": row.place,
                "sample": row.sample,
                "outputs": {name: measure.to_list() for name, measure in row.outputs.items()},
            }
            for row in candidate.rows
        ],
    }  # fmt: skip


def _candidate_from_dict(values: Mapping[str, Any]) -> CandidateReport:
    finding = values["finding"]
    return CandidateReport(
        name=values["name"],
        faults=tuple(values["faults"]),
        seconds=values["seconds"],
        gallery={output: (found[0], found[1]) for output, found in values["gallery"].items()},
        finding=None if finding is None else Finding(**{
            **finding, "modules": tuple(ModuleRecord(**_infinite(m)) for m in finding["modules"])
        }),
        rows=tuple(
            Row(
                case=row["case"],
                place=row["place"],
                sample=row["sample"],
                outputs={n: Measure.from_list(m) for n, m in row["outputs"].items()},
            )
            for row in values["rows"]
        ),
    )  # fmt: skip


def _finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with None for what is not finite."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }


def _infinite(module: Mapping[str, Any]) -> dict[str, Any]:
    """Return a module's record, where None stood for no noise at all."""
    return {name: math.inf if value is None else value for name, value in module.items()}
