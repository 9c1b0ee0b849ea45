"""The columns of the coverage table: checks of one row, each with a figure or why not."""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import tests.torchvision_operators  # noqa: F401  before timm, open_clip and transformers
from benchmarks.coverage_table import ENGINE, GRAPH, KEYS, OUTPUTS, PREPROCESSING
from tests import preprocessing, shown
from tests.comparisons import NoReferenceError, compare
from tests.preprocessing import NotShownError
from tests.reference import FLOAT32, FLOAT64
from zoo.bundle import read_manifest
from zoo.cards.results import Check, Outcome
from zoo.errors import OptionError, ParityError
from zoo.manifest import Precision
from zoo.spec import ModelSpec
from zoo.targets import TENSORRT_RTX, EngineOptions
from zoo.testing.shrink import tiny
from zoo_export.build import build_bundle
from zoo_export.parity import Report, default_profile
from zoo_export.tensorrt.build import build_engine

BOUNDS = {"float64": FLOAT64, "float32": FLOAT32}
PRECISIONS: Mapping[str, Precision] = {"float32": "float32", "float16": "float16"}


class RefusedError(Exception):
    """A graph was judged and did not pass; the words say by what."""


def reference_checks(row: ModelSpec) -> tuple[str, tuple[Check, ...]]:
    """Hold a row against its libraries; return the library of the errors, and the checks."""
    reference, errors = _errors(row)
    return reference, (
        *errors,
        _attempt(KEYS, lambda: _keys(row)),
        _attempt(PREPROCESSING, lambda: preprocessing.parity(row)),
    )


def graph_checks(row: ModelSpec) -> tuple[Check, ...]:
    """Export the tiny row in both precisions, judge the graphs and build their engines."""
    return tuple(check for name in PRECISIONS for check in _graph(row, name))


def graph_key(row: ModelSpec) -> str:
    """Return what the graph checks of a row depend on; empty if it has no graph."""
    if row.export != "torch":
        return ""
    small = tiny(row)
    return repr((small.config, small.preprocess, small.inputs, small.outputs))


def _errors(row: ModelSpec) -> tuple[str, list[Check]]:
    names = [f"{OUTPUTS} in {dtype}" for dtype in BOUNDS]
    try:
        comparison = compare(row)
    except NoReferenceError as error:
        return "", [_not_run(name, str(error)) for name in names]
    except Exception as error:  # one broken comparison must not end an hour's run
        traceback.print_exc()
        return "", [_failed(name, error) for name in names]
    if comparison is None:
        why = f"no comparison is registered for the family {row.family.name}"
        return "", [_not_run(name, why) for name in names]
    return comparison.library, [
        Check(
            name=f"{OUTPUTS} in {dtype}",
            outcome="passed" if error <= BOUNDS[dtype] else "failed",
            detail=f"{f'error {error:.1e}' if error else 'equal'} (limit {BOUNDS[dtype]:g})",
        )
        for dtype, error in comparison.errors.items()
    ]


def _keys(row: ModelSpec) -> str:
    if not row.params:
        raise NotShownError("it has no file of weights")
    cases = shown.run(shown.FULL_SIZE, row)
    if not cases:
        raise NotShownError("no test holds its keys against a file of full size")
    return f"{len(cases)} layout{'s' if len(cases) > 1 else ''} of files"


def _graph(row: ModelSpec, name: str) -> Iterator[Check]:
    graph, engine = f"{GRAPH} in {name}", f"{ENGINE} in {name}"
    if row.export != "torch":
        why = f"its export is `{row.export}`: there is no graph to judge"
        yield _not_run(graph, why)
        yield _not_run(engine, why)
        return
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        check = _attempt(graph, lambda: _bundle(tiny(row), bundle, PRECISIONS[name]))
        yield check
        if check.outcome != "passed":
            yield _not_run(engine, f"no {name} graph passed")
        else:
            yield _attempt(engine, lambda: _engine(bundle), outcome="built")


def _bundle(row: ModelSpec, bundle: Path, precision: Precision) -> str:
    try:
        built = build_bundle(
            row, bundle, profile=default_profile(row), weights="random", precision=precision
        )
    except OptionError as error:
        raise NotShownError(str(error)) from error
    except ParityError as error:
        raise RefusedError(str(error).replace(str(bundle), "its folder")) from error
    return _figures(built.report)


def _figures(report: Report) -> str:
    worst = max(
        (output for candidate in report.candidates for output in candidate.outputs),
        key=lambda output: output.worst,
    )
    executed = "" if report.executed == "native" else f", {report.executed}"
    decibels = "exact" if worst.sqnr == float("inf") else f"{worst.sqnr:.0f} dB"
    return f"{decibels}, {worst.ratio:.2f} of eager's error (limit {worst.limit:g}){executed}"


def _engine(bundle: Path) -> str:
    engine = build_engine(
        TENSORRT_RTX, bundle, read_manifest(bundle), EngineOptions(progress=False)
    )
    return f"one engine for {', '.join(engine.devices)}; not run"


def _attempt(name: str, run: Callable[[], str], outcome: Outcome = "passed") -> Check:
    """Run a check; one that breaks must not end an hour's run."""
    try:
        return Check(name=name, outcome=outcome, detail=run())
    except NotShownError as error:
        return _not_run(name, str(error))
    except RefusedError as error:
        return Check(name=name, outcome="failed", detail=str(error))
    except Exception as error:
        traceback.print_exc()
        return _failed(name, error)


def _not_run(name: str, why: str) -> Check:
    return Check(name=name, outcome="not run", detail=why)


def _failed(name: str, error: Exception) -> Check:
    line = next((line for line in str(error).splitlines() if line.strip()), "it failed")
    return Check(name=name, outcome="failed", detail=f"{type(error).__name__}: {line}"[:200])
