"""`zoo parity`: is this artefact the network that it says it is?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.bundle import MANIFEST
from zoo.cli.lazy import example
from zoo.cli.output import table

if TYPE_CHECKING:
    from zoo_export.parity import Report

REFUSED = 3  # exit code


@click.command(
    "parity",
    epilog=example(
        "zoo parity all-minilm-l6-v2 --against model.onnx",
        "zoo parity dist/dinov2-b14.onnx --layers",
        "zoo parity resnet-50 --against bfloat16 --weights random",
    ),
)
@click.argument("name")
@click.option(
    "--against",
    help="An ONNX file, a bundle's folder, or float16 or bfloat16: eager PyTorch in that type.",
)
@click.option("--weights", help="`random`, or a folder or file to read instead of the row's.")
@click.option("--layers", is_flag=True, help="Compare what passes the boundary of every module.")
@click.option("--thorough", is_flag=True, help="Run the cases above the token budget too.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the report.")
@click.option("--junit", "junit_file", type=click.Path(path_type=Path), help="Write it for CI.")
@click.pass_context
def command(
    context: click.Context,
    name: str,
    against: str | None,
    weights: str | None,
    layers: bool,
    thorough: bool,
    json_file: Path | None,
    junit_file: Path | None,
) -> None:
    """Judge an artefact of the model NAME, or the bundle in the folder NAME.

    Every number that leaves it is compared with eager PyTorch in float64, over batch sizes,
    lengths, padding, real and extreme inputs. It passes when it errs no more than eager float32
    does. Exit code 0: passed; 3: refused, or it could not be run.
    """
    if against is None and not Path(name, MANIFEST).is_file():
        raise click.UsageError(
            "Say what to judge: --against FILE.onnx, a bundle's folder, float16."
        )
    report = _report(name, against or name, weights, layers=layers, thorough=thorough)
    if json_file is not None:
        _write(json_file, report.to_json())
    if junit_file is not None:
        from zoo_export.parity.junit import junit

        _write(junit_file, junit(report))
    if layers:
        click.echo(_layers(report))
    click.echo(report.line())
    for case in report.not_run:
        click.echo(f"not run: {case} is above the token budget; --thorough runs it", err=True)
    if not report.passed:
        context.exit(REFUSED)


def _report(
    name: str, against: str, weights: str | None, *, layers: bool, thorough: bool
) -> Report:
    from zoo_export.parity import judge
    from zoo_export.parity.subject import open_subject

    subject = open_subject(name, against, weights)
    return judge(
        subject.row,
        subject.encoder.module,
        {subject.label: subject.candidate},
        profile=subject.profile,
        outputs=subject.outputs,
        preprocessor=subject.encoder.preprocessor,
        layers=layers,
        thorough=thorough,
    )


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
