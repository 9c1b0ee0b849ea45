"""The columns of the coverage table: checks of one row, each with a figure or why not."""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import tests.torchvision_operators  # noqa: F401  before timm, open_clip and transformers
from benchmarks.coverage_table import ENGINE, KEYS, PARITY, PREPROCESSING
from tests import preprocessing, shown
from tests.comparisons import NoReferenceError, compare
from tests.preprocessing import NotShownError
from tests.reference import FLOAT32, FLOAT64
from zoo.bundle import read_manifest
from zoo.cards.results import Check
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
    names = [f"{dtype} error" for dtype in BOUNDS]
    try:
        comparison = compare(row)
    except NoReferenceError as error:
        return "", [_no(name, str(error)) for name in names]
    except Exception as error:  # one broken comparison must not end an hour's run
        traceback.print_exc()
        return "", [_no(name, _words(error)) for name in names]
    if comparison is None:
        why = f"no comparison is registered for the family {row.family.name}"
        return "", [_no(name, why) for name in names]
    return comparison.library, [
        Check(
            name=f"{dtype} error",
            outcome="yes" if error <= BOUNDS[dtype] else "no",
            detail=f"{error:.1e}" if error else "exact",
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
    parity, engine = f"{PARITY} {name}", f"{ENGINE} {name}"
    if row.export != "torch":
        why = f"its export is `{row.export}`: there is no graph to judge"
        yield _no(parity, why)
        yield _no(engine, why)
        return
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        check = _attempt(parity, lambda: _bundle(tiny(row), bundle, PRECISIONS[name]))
        yield check
        if check.outcome == "no":
            yield _no(engine, f"no {name} graph passed")
        else:
            yield _attempt(engine, lambda: _engine(bundle))


def _bundle(row: ModelSpec, bundle: Path, precision: Precision) -> str:
    try:
        built = build_bundle(
            row, bundle, profile=default_profile(row), weights="random", precision=precision
        )
    except (OptionError, ParityError) as error:
        raise NotShownError(str(error).replace(str(bundle), "its folder")) from error
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


def _attempt(name: str, run: Callable[[], str]) -> Check:
    """Run a check; one that breaks must not end an hour's run."""
    try:
        return Check(name=name, outcome="yes", detail=run())
    except NotShownError as error:
        return _no(name, str(error))
    except Exception as error:
        traceback.print_exc()
        return _no(name, _words(error))


def _no(name: str, why: str) -> Check:
    return Check(name=name, outcome="no", detail=why)


def _words(error: Exception) -> str:
    line = next((line for line in str(error).splitlines() if line.strip()), "it failed")
    return f"{type(error).__name__}: {line}"[:200]
