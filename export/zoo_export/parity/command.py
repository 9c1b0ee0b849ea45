"""`zoo parity`: is this artefact the network that it says it is?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.bundle import MANIFEST
from zoo.cli.complete import model_names
from zoo.cli.lazy import example
from zoo.cli.output import table

if TYPE_CHECKING:
    from zoo_export.parity import Report

REFUSED = 3  # exit code
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(
    "parity",
    short_help="Judge an exported graph against the network.",
    epilog=example(
        "zoo parity all-minilm-l6-v2 --against model.onnx --html report.html",
        "zoo parity dist/dinov2-b14.onnx --layers",
        "zoo parity resnet-50 --against compile --against bfloat16 --weights random",
        "zoo parity --rejudge report.json --limit ratio=1.5",
    ),
)
@click.argument("name", required=False, shell_complete=model_names)
@click.option(
    "--against",
    multiple=True,
    help="An ONNX file or a bundle's folder (`FILE@cuda` runs it on a GPU), `compile`, `float16` "
    "or `bfloat16`: eager PyTorch in that type. Any number of times.",
)
@click.option("--twin", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="The float32 graph of which a graph of low precision was made.")  # fmt: skip
@click.option("--weights", help="`random`, or a folder or file to read instead of the row's.")
@click.option("--layers", is_flag=True, help="Compare what passes the boundary of every module.")
@click.option("--thorough", is_flag=True, help="Run the cases above the token budget too.")
@click.option("--json", "json_file", type=_FILE, help="Write the report; of a joint space, one a "
              "tower, its name before the ending.")  # fmt: skip
@click.option("--html", "html_file", type=_FILE, help="Write one page for people.")
@click.option("--junit", "junit_file", type=_FILE, help="Write it for CI.")
@click.option("--repro", "repro_folder", type=click.Path(path_type=Path, file_okay=False),
              help="Write what shows a refused graph's error without this package.")  # fmt: skip
@click.option("--rejudge", "old_report", type=click.Path(path_type=Path, exists=True),
              help="Judge a report's numbers again, without running anything.")  # fmt: skip
@click.option("--limit", "limits", multiple=True, metavar="NAME=NUMBER",
              help="Of --rejudge: ratio, row, vector, peak, floor, ...")  # fmt: skip
@click.pass_context
def command(
    context: click.Context,
    name: str | None,
    against: tuple[str, ...],
    twin: Path | None,
    weights: str | None,
    layers: bool,
    thorough: bool,
    json_file: Path | None,
    html_file: Path | None,
    junit_file: Path | None,
    repro_folder: Path | None,
    old_report: Path | None,
    limits: tuple[str, ...],
) -> None:
    """Judge artefacts of the model NAME, or the bundle in the folder NAME.

    Every number that leaves one is compared with eager PyTorch in float64, over batch sizes,
    lengths, padding, real and extreme inputs. It passes when it errs no more than eager float32
    does. Exit code 0: passed; 3: refused, or it could not be run.

    A graph of low precision must be the float32 graph plus casts: --twin names that, unless it is a
    bundle of `zoo export`, of which it is made again. Its rounding is then held against eager
    PyTorch of its own precision.
    """
    if old_report is not None:
        if name is not None or against or repro_folder is not None:
            raise click.UsageError("--rejudge runs nothing: it takes neither a model nor --repro.")
        reports = [_rejudged(old_report, limits)]
    else:
        if limits:
            raise click.UsageError("--limit belongs to --rejudge; the gate's own limits stand.")
        if name is None:
            raise click.UsageError("Say which model, or --rejudge REPORT.json.")
        if not against and not Path(name, MANIFEST).is_file():
            raise click.UsageError(
                "Say what to judge: --against FILE.onnx, a bundle's folder, compile, float16."
            )
        reports = list(
            _judged(
                name,
                against,
                weights,
                layers=layers,
                thorough=thorough,
                repro=repro_folder,
                twin=twin,
            )
        )
    _write_all(reports, json_file, html_file, junit_file)
    for report in reports:
        if layers:
            click.echo(_layers(report))
        click.echo(report.line())
        for case in report.not_run:
            click.echo(f"not run: {case} is above the token budget; --thorough runs it", err=True)
    if not all(report.passed for report in reports):
        context.exit(REFUSED)


def _judged(
    name: str,
    against: Sequence[str],
    weights: str | None,
    *,
    layers: bool,
    thorough: bool,
    repro: Path | None,
    twin: Path | None,
) -> Iterator[Report]:
    """Yield a report a tower; what it held in memory is gone before the next."""
    from zoo_export.parity.gate import deferred, judge_against
    from zoo_export.parity.low_graph import LowGraph, judge_graph
    from zoo_export.parity.reference import prepare
    from zoo_export.parity.repro import write_repros
    from zoo_export.parity.subject import open_subjects

    for subject in open_subjects(name, against, weights):
        module = subject.encoder.module
        report = deferred(subject.row, module)
        if report is None:
            reference = prepare(
                subject.row,
                module,
                profile=subject.profile,
                outputs=subject.outputs,
                preprocessor=subject.encoder.preprocessor,
                thorough=thorough,
            )
            low = {n: c for n, c in subject.candidates.items() if isinstance(c, LowGraph)}
            for name_of, candidate in low.items():
                yield from judge_graph(reference, candidate, name_of, twin=twin, layers=layers)
            others = {n: c for n, c in subject.candidates.items() if n not in low}
            if not others:
                continue
            report = judge_against(reference, others, layers=layers)
            if repro is not None:
                for folder in write_repros(reference, report, others, repro):
                    click.echo(f"repro: {folder}", err=True)
        yield report


def _rejudged(file: Path, limits: Sequence[str]) -> Report:
    """Return a report judged by this version's limits, some of them changed."""
    from zoo.errors import OptionError
    from zoo_export.parity import Report, Thresholds

    try:
        report = Report.from_json(file.read_text(encoding="utf-8"))
        return report.rejudge(Thresholds().changed(limits))
    except json.JSONDecodeError as error:
        raise OptionError(
            f"{file} is no report: not JSON: {error}. Make one with --json."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise OptionError(f"{file}: {error}") from error


def _write_all(
    reports: Sequence[Report], json_file: Path | None, html_file: Path | None, junit: Path | None
) -> None:
    if json_file is not None:
        for report in reports:
            kind = "" if report.precision == "float32" else f".{report.precision}"
            own = json_file if len(reports) == 1 else json_file.with_suffix(
                f".{report.model}{kind}{json_file.suffix}"
            )  # fmt: skip
            _write(own, report.to_json())
    if html_file is not None:
        from zoo_export.parity.html import html

        _write(html_file, html(reports))
    if junit is not None:
        from zoo_export.parity.junit import junit as as_junit

        _write(junit, as_junit(reports))


def _write(path: Path, text: str) -> None:
    from zoo.weights.cache import disk_errors

    with disk_errors(path):
        path.write_text(text, encoding="utf-8")


def _layers(report: Report) -> str:
    """Return a table of signal to noise by boundary."""
    rows = [
        (
            candidate.name,
            record.module,
            record.side,
            f"{record.sqnr:.0f}",
            f"{record.yardstick:.0f}",
        )
        for candidate in report.candidates
        if candidate.finding is not None
        for record in candidate.finding.modules
    ]
    return table(("candidate", "module", "side", "dB", "eager"), rows, right="dB eager")
