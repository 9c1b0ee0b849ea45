"""`zoo verify`: prove a bundle on this machine."""

from __future__ import annotations

import math
from pathlib import Path

import click

from zoo.cli.lazy import example
from zoo.cli.output import echo_json, table
from zoo.errors import ParityError


@click.command(
    "verify",
    short_help="Prove a bundle on this machine.",
    epilog=example("zoo verify dist/all-minilm-l6-v2-onnx", "zoo verify DIR --device cuda --json"),
)
@click.argument("path", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--device", help="cpu, cuda, cuda:1. Default cpu, of an engine the first GPU.")
@click.option("--threads", type=click.IntRange(min=1), help="Of the processor.")
@click.option("--runtime", help="onnx for the graph itself. Default the bundle's engine, if any.")
@click.option("--json", "as_json", is_flag=True, help="As a JSON list.")
def command(
    path: Path, device: str | None, threads: int | None, runtime: str | None, as_json: bool
) -> None:
    """Check every byte of the bundle DIR, run its golden inputs here and compare the outputs.

    Needs no torch. Exit code 3 if an output is farther from the network's than it may be.
    """
    from zoo.verify import verify

    checks = verify(path, device=device, threads=threads, runtime=runtime)
    if as_json:
        echo_json([
            {"case": check.case, "output": check.output,
             "error": check.error if math.isfinite(check.error) else None,
             "limit": check.limit, "passed": check.passed}
            for check in checks
        ])  # fmt: skip
    else:
        cells = (
            (str(check.case), check.output, f"{check.error:.2e}", f"{check.limit:.2e}",
             "passed" if check.passed else "REFUSED")
            for check in checks
        )  # fmt: skip
        click.echo(table(("case", "output", "error", "limit", ""), cells, right="error limit"))
    bad = [check for check in checks if not check.passed]
    if bad:
        raise ParityError(
            f"{path} does not give here what it was proven to give: {len(bad)} of {len(checks)} "
            f"checks are refused."
        )
