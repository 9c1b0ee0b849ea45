"""What can be judged, and how its answers are measured over the lattice."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np

from zoo.preprocess import Array, Preprocessor
from zoo_export.parity import metrics
from zoo_export.parity.cases import Case, collate
from zoo_export.parity.preparing import preparation_faults
from zoo_export.parity.reference import Reference
from zoo_export.parity.report import CandidateReport
from zoo_export.parity.verdict import Row

POOLED = "pooled"


@runtime_checkable
class Candidate(Protocol):
    """Whatever is to be proven: a graph on a runtime, or a module.

    A candidate that prepares raw items itself has them in an attribute `preprocessor`; it must make
    the same arrays as the row's.
    """

    def run(self, batch: dict[str, Array]) -> dict[str, Array]:
        """Run a batch of the row's inputs, masks included; return the outputs by name."""
        ...


def measure_candidate(reference: Reference, name: str, candidate: Candidate) -> CandidateReport:
    """Run a candidate over the lattice."""
    rows: list[Row] = []
    faults = _preparation(reference, candidate)
    vectors: dict[int, Array] = {}
    seconds = 0.0
    for number, case in enumerate(reference.lattice.cases):
        if not reference.runs(case):
            continue
        batch = collate(
            reference.spec, [reference.lattice.samples[row] for row in case.rows], case.sizes
        )
        start = time.perf_counter()
        try:
            found = candidate.run(batch)
        except Exception as error:  # whatever a runtime raises: a graph that fails is refused
            faults.append(f"fails in {case.name}: {type(error).__name__}: {_first_line(error)}")
            continue
        seconds += time.perf_counter() - start
        wrong = structure_faults(reference, case, found)
        if wrong:
            faults.extend(fault for fault in wrong if fault not in faults)
            continue
        for place, sample in enumerate(case.rows):
            measures = {}
            for output in reference.outputs:
                row = _cut(found[output][place], reference.oracle[sample][output].shape)
                measures[output] = reference.measure(output, sample, row)
                fault = f"{output} is not finite in {case.name}"
                if not measures[output].finite and fault not in faults:
                    faults.append(fault)
            rows.append(Row(case=number, place=place, sample=sample, outputs=measures))
            if POOLED in found:
                vectors.setdefault(sample, found[POOLED][place])
    return CandidateReport(
        name=name,
        rows=tuple(rows),
        faults=tuple(faults),
        gallery=_gallery(reference, vectors),
        seconds=seconds,
    )


def _gallery(reference: Reference, vectors: Mapping[int, Array]) -> dict[str, tuple[float, float]]:
    """Return what a search among the samples would make of a candidate's vectors."""
    if POOLED not in reference.outputs or not vectors:
        return {}
    exact = [reference.oracle[sample][POOLED] for sample in vectors]
    return {POOLED: metrics.gallery(np.stack(exact), np.stack(list(vectors.values())))}


def _preparation(reference: Reference, candidate: Candidate) -> list[str]:
    theirs: Preprocessor | None = getattr(candidate, "preprocessor", None)
    if theirs is None or reference.preprocessor is None:
        return []
    return preparation_faults(reference.spec, reference.preprocessor, theirs)


def structure_faults(reference: Reference, case: Case, found: Mapping[str, Array]) -> list[str]:
    """Return what is wrong with the names, dtypes and shapes of a batch's outputs."""
    missing = [name for name in reference.outputs if name not in found]
    if missing:
        return [f"there is no output {', '.join(missing)}; it gives {', '.join(found) or 'none'}"]
    faults = []
    for name in reference.outputs:
        array, dtype = found[name], reference.dtypes[name]
        if array.dtype != dtype:
            faults.append(f"{name} is {array.dtype}, not {dtype}")
        elif array.ndim < 1 or array.shape[0] != len(case.rows):
            faults.append(f"{name} has shape {array.shape} for a batch of {len(case.rows)}")
        else:
            wanted = [reference.oracle[sample][name].shape for sample in case.rows]
            wrong = [
                shape
                for shape, sample in zip(wanted, case.rows, strict=True)
                if not _fits(array.shape[1:], shape, padded=_padded(reference, case, sample))
            ]
            if wrong:
                faults.append(
                    f"{name} has shape {array.shape[1:]} a sample, not {wrong[0]}, in {case.name}"
                )
    return faults


def _padded(reference: Reference, case: Case, sample: int) -> bool:
    own = reference.lattice.samples[sample].sizes
    return any(own[axis] < size for axis, size in case.sizes.items())


def _fits(got: tuple[int, ...], wanted: tuple[int, ...], *, padded: bool) -> bool:
    """Whether a shape is the oracle's, or holds it, where the sample is padded."""
    if not padded:
        return got == wanted
    return len(got) == len(wanted) and all(a >= b for a, b in zip(got, wanted, strict=True))


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")[:200]


def _cut(array: Array, shape: tuple[int, ...]) -> Array:
    """Return the part of a padded output that belongs to the sample."""
    return array[tuple(slice(0, size) for size in shape)]
