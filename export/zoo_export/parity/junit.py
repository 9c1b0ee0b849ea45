"""A report as JUnit XML, which CI systems show as tests. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from zoo_export.parity.report import CandidateReport, Report


def junit(reports: Sequence[Report]) -> str:
    """Return a test suite a candidate, a test an output and one for the structure."""
    root = ElementTree.Element("testsuites", name="parity")
    for report in reports:
        _report(root, report)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _report(root: ElementTree.Element, report: Report) -> None:
    for candidate in report.candidates:
        _suite(root, report, candidate)
    if not report.candidates or report.reason:
        suite = ElementTree.SubElement(root, "testsuite", name=report.model, tests="1")
        case = ElementTree.SubElement(
            suite, "testcase", name="oracle and yardstick", classname=report.model
        )
        kind = "skipped" if report.verdict == "deferred" else "failure"
        ElementTree.SubElement(case, kind, message=report.reason)


def _suite(root: ElementTree.Element, report: Report, candidate: CandidateReport) -> None:
    failures = bool(candidate.faults) + sum(not output.passed for output in candidate.outputs)
    suite = ElementTree.SubElement(
        root,
        "testsuite",
        name=f"{report.model}: {candidate.name}",
        tests=str(1 + len(candidate.outputs)),
        failures=str(failures),
        time=f"{candidate.seconds:.3f}",
    )
    classname = f"{report.model}.{candidate.name}"
    case = ElementTree.SubElement(suite, "testcase", name="structure", classname=classname)
    if candidate.faults:
        failure = ElementTree.SubElement(case, "failure", message=candidate.faults[0])
        failure.text = "\n".join(candidate.faults)
    for output in candidate.outputs:
        case = ElementTree.SubElement(suite, "testcase", name=output.output, classname=classname)
        if not output.passed:
            finding = candidate.finding
            ElementTree.SubElement(
                case,
                "failure",
                message=f"{output.worst:.3g} times the limit: {output.where}",
            ).text = finding.text if finding is not None else ""
