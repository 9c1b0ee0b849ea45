"""What has been shown of each row, by running it now: `python -m benchmarks.coverage [NAMES...]`.

Results go to model_cards/results.json, from which cards read them, a row at a time: a run that is
cut short goes on where it stopped. A row is run again when a version of what runs it has changed,
or with --again. Nothing here is written by hand; what was not run says why.
"""

from __future__ import annotations

import json
import tempfile
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import click
import torch

from tests.comparisons import compare
from tests.mutations.exports import judged
from tests.reference import FLOAT32, FLOAT64
from tests.tiny_rows import tiny
from zoo.cards.results import Check, RowResults, read_results, write_results
from zoo.cli.output import table
from zoo.records import to_plain
from zoo.registry import default_registry
from zoo.spec import ModelSpec

CARDS = Path("model_cards")
BOUNDS = {"float64": FLOAT64, "float32": FLOAT32}
PACKAGES = ("encoder-zoo", "torch", "onnx", "onnxruntime", "numpy")


def checks(row: ModelSpec) -> tuple[str, tuple[Check, ...]]:
    """Run all that can be run of a row; return the reference and the checks."""
    found: list[Check] = []
    reference = ""
    try:
        comparison = compare(row)
    except Exception as error:  # one broken comparison must not end an hour's run
        found += [_no(f"{dtype} error", _words(error)) for dtype in BOUNDS]
    else:
        if comparison is None:
            why = f"no comparison is registered for the family {row.family.name}"
            found += [_no(f"{dtype} error", why) for dtype in BOUNDS]
        else:
            reference = comparison.library
            found += [
                Check(
                    name=f"{dtype} error",
                    outcome="yes" if error <= BOUNDS[dtype] else "no",
                    detail=f"{error:.1e}",
                )
                for dtype, error in comparison.errors.items()
            ]
    found.append(_attempt("ONNX parity", lambda: _onnx(row)))
    return reference, tuple(found)


def _onnx(row: ModelSpec) -> Check:
    if row.export != "torch":
        return _no("ONNX parity", f"its export is {row.export}")
    with tempfile.TemporaryDirectory() as folder:
        result = judged(tiny(row), 0, Path(folder))
    if result["verdict"] != "passed":
        return _no("ONNX parity", str(result["line"]))
    used = max(share for *_, share in result["ratios"])
    return Check(name="ONNX parity", outcome="yes", detail=f"tiny, {used:.2f} of its limits")


def _attempt(name: str, run: Callable[[], Check]) -> Check:
    try:
        return run()
    except Exception as error:  # as above
        traceback.print_exc()
        return _no(name, _words(error))


def _no(name: str, why: str) -> Check:
    return Check(name=name, outcome="no", detail=why)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"[:200]


def shown(results: Mapping[str, RowResults]) -> str:
    """Return all results as a table."""
    names = list(dict.fromkeys(c.name for found in results.values() for c in found.checks))
    lines = []
    for row, found in results.items():
        cells = {check.name: f"{check.outcome}: {check.detail}" for check in found.checks}
        lines.append((row, found.reference or "-", *(cells.get(name, "-") for name in names)))
    return table(("row", "reference", *names), lines)


@click.command()
@click.argument("names", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="The results as JSON.")
@click.option("--again", is_flag=True, help="Run what has been run with these versions too.")
def main(names: tuple[str, ...], as_json: bool, again: bool) -> None:
    """Run the checks of the rows NAMES, by default of all, and print what was found."""
    torch.set_num_threads(1)
    registry = default_registry()
    rows = [registry.row(name) for name in names] if names else list(registry)
    versions = {package: version(package) for package in PACKAGES}
    for row in rows:
        stored = read_results(CARDS)  # read anew: others may have written cards meanwhile
        own = stored.get(row.name, RowResults())
        if own.checks and dict(own.versions) == versions and not again:
            continue
        click.echo(row.name, err=True)
        reference, found = checks(row)
        own = replace(own, reference=reference, checks=found, versions=versions)
        write_results(CARDS, {**stored, row.name: own})
    stored = read_results(CARDS)
    chosen = {row.name: stored[row.name] for row in rows}
    if as_json:
        click.echo(json.dumps({name: to_plain(found) for name, found in chosen.items()}, indent=1))
    else:
        click.echo(shown(chosen))


if __name__ == "__main__":
    main()
