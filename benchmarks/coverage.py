"""What has been shown of each row, by running it: `python -m benchmarks.coverage [--only PATTERN]`.

Results go to model_cards/results.json, from which cards read them, a row at a time: a run that is
cut short goes on where it stopped. A row is run again when a version of what runs it has changed,
or with --again. Rows run in worker processes, a new one after some rows, since the libraries keep
memory. Nothing here is written by hand; what was not run says why.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from importlib.metadata import version
from pathlib import Path

import click

from benchmarks.coverage_table import markdown
from zoo.cards.results import RowResults, read_results, write_results
from zoo.records import to_plain
from zoo.registry import default_registry
from zoo.spec import ModelSpec

CARDS = Path("model_cards")
TABLE = Path("docs/coverage.md")
PACKAGES = ("encoder-zoo", "torch", "onnx", "onnxruntime", "tensorrt-rtx", "numpy")
ROWS_A_WORKER = 25


def versions() -> dict[str, str]:
    """Return the versions of what runs the checks."""
    return {package: version(package) for package in PACKAGES}


def forget(rows: Sequence[ModelSpec]) -> None:
    """Take away what was found out about some rows, but for the numbers of their networks."""
    stored = read_results(CARDS)
    own = {row.name: stored[row.name] for row in rows if row.name in stored}
    kept = {name: RowResults(measured=found.measured, latency=found.latency)
            for name, found in own.items()}  # fmt: skip
    write_results(CARDS, {**stored, **kept})


def pending(rows: Sequence[ModelSpec]) -> list[ModelSpec]:
    """Return the rows without results of these versions."""
    stored, now = read_results(CARDS), versions()
    done = {name for name, own in stored.items() if own.checks and dict(own.versions) == now}
    return [row for row in rows if row.name not in done]


def run_row(row: ModelSpec) -> RowResults:
    """Run and store all checks of a row; graphs of an equal tiny row are not made again."""
    from benchmarks.coverage_checks import graph_checks, graph_key, reference_checks

    start = time.process_time()
    reference, checks = reference_checks(row)
    stored = read_results(CARDS)
    twin = _twin(row, stored, graph_key(row))
    if twin:
        own = {check.name for check in checks}
        graphs = tuple(check for check in stored[twin].checks if check.name not in own)
    else:
        graphs = graph_checks(row)
    stored = read_results(CARDS)  # anew: others may have written meanwhile
    results = replace(
        stored.get(row.name, RowResults()),
        reference=reference,
        checks=(*checks, *graphs),
        versions=versions(),
        seconds=round(time.process_time() - start, 1),
        graphs_of=twin,
    )
    write_results(CARDS, {**stored, row.name: results})
    return results


def _twin(row: ModelSpec, stored: Mapping[str, RowResults], key: str) -> str:
    """Return a row that was run with these versions on the same tiny configuration, if any."""
    from benchmarks.coverage_checks import graph_key

    now = versions()
    for other in default_registry() if key else ():
        own = stored.get(other.name, RowResults())
        if other.name == row.name or own.graphs_of or not own.checks or dict(own.versions) != now:
            continue
        if graph_key(other) == key:
            return other.name
    return ""


def run_in_workers(names: Sequence[str]) -> None:
    """Run rows in one process after another; a row at which one ends early is left out."""
    left = list(names)
    while left:
        chunk, left = left[:ROWS_A_WORKER], left[ROWS_A_WORKER:]
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.coverage", "--here"]
        command += [f"--only={name}" for name in chunk]
        ended = subprocess.run(command, env={**os.environ, "HF_HUB_OFFLINE": "1"}, check=False)
        if ended.returncode:
            over = [row.name for row in pending([default_registry().row(name) for name in chunk])]
            click.echo(f"A worker ended with {ended.returncode} at {over[:1]}.", err=True)
            left = [*over[1:], *left]


@click.command()
@click.option("--only", multiple=True, default=("*",), help="Rows of these names or patterns.")
@click.option("--again", is_flag=True, help="Run what has been run with these versions too.")
@click.option("--here", is_flag=True, help="Run in this process, not in workers.")
@click.option("--table", "as_table", is_flag=True, help="Write docs/coverage.md and run nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def main(only: tuple[str, ...], again: bool, here: bool, as_table: bool, as_json: bool) -> None:
    """Run the checks of the rows that have no results yet, and store what was found."""
    every = list(default_registry())
    if as_table:
        TABLE.write_text(markdown(every, read_results(CARDS)), encoding="utf-8")
        return
    rows = [row for row in every if any(fnmatchcase(row.name, pattern) for pattern in only)]
    if again:
        forget(rows)
    todo = pending(rows)
    if here:
        _run_here(todo)
    else:
        run_in_workers([row.name for row in todo])
    if as_json:
        stored = read_results(CARDS)
        chosen = {row.name: to_plain(stored[row.name]) for row in rows if row.name in stored}
        click.echo(json.dumps(chosen, indent=1))


def _run_here(rows: Sequence[ModelSpec]) -> None:
    import torch
    from transformers.utils import logging

    torch.set_num_threads(1)
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        for row in rows:
            found = run_row(row)
            failed = [check.name for check in found.checks if check.outcome == "failed"]
            words = f"{row.name}  {found.seconds} s  failed: {', '.join(failed) or 'none'}"
            click.echo(words, err=True)
    finally:
        if shown:  # of the process, not of this run alone
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
