"""What shows a refused graph's error without this package: a folder that anyone can run.

    <candidate>/          model.onnx, inputs.npz, expected.npz, limits.json, run.py, README.md
    <candidate>/module/   the same of the one module that differs, where it can be cut out and
                          still shows the error

The batch is the cheapest that fails. What is expected comes from the network in float64, what is
allowed from the same limits as the verdict.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zoo.preprocess import Array
from zoo.weights.cache import disk_errors
from zoo_export.outputs import LEVEL
from zoo_export.parity import rerun
from zoo_export.parity.candidate import Candidate
from zoo_export.parity.cases import Case, collate
from zoo_export.parity.cutting import float32, load_graph, save
from zoo_export.parity.modules import cut_module
from zoo_export.parity.onnx_candidate import OnnxCandidate
from zoo_export.parity.reference import Reference
from zoo_export.parity.report import CandidateReport, Report
from zoo_export.parity.thresholds import Thresholds
from zoo_export.parity.verdict import allowances

MODULE = "module"
RUN = "python run.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """One array that a graph should give.

    Attributes:
        output: Name of the graph's output.
        place: Position in the batch; None where the whole output is meant.
        oracle: In float64.
        dtype: That the graph should give it in.
        scale: What errors are relative to.
        limits: Largest `error`, `vector` and `peak`, as far as they are limited.
        channels_first: Whether a vector runs along the first axis.
    """

    output: str
    place: int | None
    oracle: Array
    dtype: str
    scale: float
    limits: Mapping[str, float]
    channels_first: bool = False


def write_repros(
    reference: Reference, report: Report, candidates: Mapping[str, Candidate], folder: Path
) -> Iterator[Path]:
    """Write a folder for every graph that was refused for its numbers; yield their paths.

    Args:
        reference: That the candidates were judged by.
        report: The verdict.
        candidates: By the names in the report; those that are no graphs are passed over.
        folder: To be made; a folder in it that is in the way is replaced.
    """
    if reference.precision != "float32":
        return  # judged on an emulated copy, which no runtime of numpy's kind shows
    for judged in report.candidates:
        candidate = candidates.get(judged.name)
        case = failing_case(reference, judged)
        if judged.passed or case is None or not isinstance(candidate, OnnxCandidate):
            continue
        place = folder / judged.name.replace("/", "_")
        with disk_errors(place):
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            _write_whole(reference, judged, candidate, case, place, report.thresholds)
            _write_module(reference, judged, candidate, case, place / MODULE)
        yield place


def failing_case(reference: Reference, judged: CandidateReport) -> Case | None:
    """Return the cheapest batch that fails, or None if no batch does."""
    cases = reference.lattice.cases
    answered = {row.case for row in judged.rows}
    wrong = {row.case for row in reference.failing(judged.rows)} or {
        number for number, case in enumerate(cases)
        if reference.runs(case) and number not in answered
    }  # fmt: skip
    return min((cases[number] for number in wrong), key=lambda case: case.tokens, default=None)


def _write_whole(
    reference: Reference,
    judged: CandidateReport,
    candidate: OnnxCandidate,
    case: Case,
    place: Path,
    thresholds: Thresholds,
) -> None:
    batch = collate(
        reference.spec, [reference.lattice.samples[row] for row in case.rows], case.sizes
    )
    expected = {}
    for output in reference.outputs:
        allowed = allowances(reference.yardstick[output], reference.elements[output], thresholds)
        for position, sample in enumerate(case.rows):
            expected[f"{output}.{position}"] = Expected(
                output=output,
                place=position,
                oracle=reference.oracle[sample][output],
                dtype=str(reference.dtypes[output]),
                scale=reference.scales[output][sample],
                limits=allowed[sample],
                channels_first=output.startswith(LEVEL),
            )
    save(load_graph(candidate.path), place / "model.onnx", candidate.path.parent)
    feeds = {name: float32(batch[name]) for name in candidate.inputs}
    words = f'{reference.spec.name}: `{judged.name}` in the batch "{case.name}".'
    if judged.faults:
        words += "\n\n" + "\n".join(f"- {fault}" for fault in judged.faults)
    if judged.finding is not None:
        words += f"\n\n{judged.finding.text}"
    _write(place, feeds, expected, words)


def _write_module(
    reference: Reference, judged: CandidateReport, candidate: OnnxCandidate, case: Case, place: Path
) -> None:
    """Write the module that differs, if it shows the error by itself."""
    if judged.finding is None or not judged.finding.module:
        return
    piece = cut_module(reference, candidate, case, judged.finding.module)
    if piece is None:
        return
    place.mkdir()
    save(piece.model, place / "model.onnx", candidate.path.parent)
    expected = {
        piece.output: Expected(
            output=piece.output,
            place=None,
            oracle=piece.oracle,
            dtype="float32",
            scale=piece.scale,
            limits={"error": piece.limit},
        )
    }
    words = (
        f"The module `{judged.finding.module}` of {reference.spec.name}, cut out of "
        f"`{judged.name}`, on the inputs that PyTorch's float64 gives it."
    )
    _write(place, piece.feeds, expected, words)


def _write(
    place: Path, feeds: Mapping[str, Array], expected: Mapping[str, Expected], words: str
) -> None:
    arrays: dict[str, Any] = {name: one.oracle for name, one in expected.items()}
    inputs: dict[str, Any] = dict(feeds)
    np.savez(place / "inputs.npz", **inputs)
    np.savez(place / "expected.npz", **arrays)
    limits = {
        name: {
            "output": one.output,
            "place": one.place,
            "dtype": one.dtype,
            "scale": one.scale,
            "channels_first": one.channels_first,
            **one.limits,
        }
        for name, one in expected.items()
    }
    (place / "limits.json").write_text(json.dumps(limits, indent=1) + "\n", encoding="utf-8")
    shutil.copyfile(Path(rerun.__file__), place / "run.py")
    (place / "README.md").write_text(
        f"# A graph that is wrong\n\n{words}\n\n"
        "```\npython -m pip install numpy onnxruntime\n"
        f"{RUN}              # this graph: exit code 1\n"
        f"{RUN} OTHER.onnx   # another one\n```\n\n"
        "`expected.npz` holds what PyTorch computes in float64, `limits.json` how far float32 may\n"
        "be from it: a few times what PyTorch's own float32 is.\n",
        encoding="utf-8",
    )
