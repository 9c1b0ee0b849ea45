"""The gate: run the oracle, the yardstick and the candidates over the lattice, and judge."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import nn

from zoo import __version__
from zoo.preprocess import Array, Preprocessor
from zoo.spec import ModelSpec
from zoo_export.outputs import LEVEL
from zoo_export.parity import metrics
from zoo_export.parity.cases import Case, Lattice, collate, lattice
from zoo_export.parity.metrics import Measure
from zoo_export.parity.profile import Profile
from zoo_export.parity.reference import Outputs, in_float64, memory_short, run_each
from zoo_export.parity.report import CandidateReport, CaseRecord, Report
from zoo_export.parity.thresholds import BUDGET, DEFAULT, Thresholds
from zoo_export.parity.verdict import Row

LEAST_SCALE = 1e-3  # of the lattice's root mean square: a sample of nothing is no unit of length


@runtime_checkable
class Candidate(Protocol):
    """Whatever is to be proven: a graph on a runtime, or a module."""

    def run(self, batch: dict[str, Array]) -> dict[str, Array]:
        """Run a batch of the row's inputs, masks included; return the outputs by name."""
        ...


@dataclass(slots=True, kw_only=True)
class Reference:
    """Oracle and yardstick of a module over a lattice; serves any number of candidates.

    Attributes:
        spec: The row.
        outputs: Names of what is compared.
        lattice: Samples and cases.
        oracle: A sample's outputs in float64, each.
        scales: Output's name to what each sample's errors are relative to.
        yardstick: Output's name to eager float32's distance, a sample each.
        dtypes: Output's name to the dtype that a candidate must give.
        largest: Tokens of the largest case that runs; None runs all.
        seconds: Part of the run to the time it took.
    """

    spec: ModelSpec
    outputs: tuple[str, ...]
    lattice: Lattice
    oracle: list[Outputs]
    scales: dict[str, list[float]]
    yardstick: dict[str, tuple[Measure, ...]]
    dtypes: dict[str, np.dtype[np.generic]]
    largest: int | None
    seconds: dict[str, float] = field(default_factory=dict)

    def runs(self, case: Case) -> bool:
        """Whether a case is within the budget."""
        return self.largest is None or case.tokens <= self.largest

    def measure(self, output: str, sample: int, array: Array) -> Measure:
        """Measure one sample's output."""
        return metrics.measure(
            self.oracle[sample][output],
            array,
            scale=self.scales[output][sample],
            channels_first=output.startswith(LEVEL),
        )


def prepare(
    spec: ModelSpec,
    module: nn.Module,
    *,
    profile: Profile,
    outputs: Sequence[str],
    preprocessor: Preprocessor | None = None,
    thorough: bool = False,
) -> Reference:
    """Run the oracle and the yardstick, every sample alone."""
    cases = lattice(spec, profile, preprocessor, thorough=thorough)
    largest = None if thorough else BUDGET.case_tokens
    used = sorted(
        {r for c in cases.cases if largest is None or c.tokens <= largest for r in c.rows}
    )
    samples = [cases.samples[index] for index in used]
    clock = time.perf_counter()
    oracle = run_each(spec, in_float64(module), samples, outputs, torch.float64)
    middle = time.perf_counter()
    eager = run_each(spec, module, samples, outputs, torch.float32)
    seconds = {"oracle": middle - clock, "yardstick": time.perf_counter() - middle}
    place = {old: new for new, old in enumerate(used)}
    kept = Lattice(
        samples=tuple(samples),
        cases=tuple(
            Case(
                name=case.name,
                rows=tuple(place.get(row, -1) for row in case.rows),
                sizes=case.sizes,
                tokens=case.tokens,
            )
            for case in cases.cases
        ),
    )
    reference = Reference(
        spec=spec,
        outputs=tuple(outputs),
        lattice=kept,
        oracle=oracle,
        scales={name: _scales([found[name] for found in oracle]) for name in outputs},
        yardstick={},
        dtypes={name: eager[0][name].dtype for name in outputs},
        largest=largest,
        seconds=seconds,
    )
    reference.yardstick = {
        name: tuple(reference.measure(name, i, found[name]) for i, found in enumerate(eager))
        for name in outputs
    }
    return reference


def judge(
    spec: ModelSpec,
    module: nn.Module,
    candidates: Mapping[str, Candidate],
    *,
    profile: Profile,
    outputs: Sequence[str],
    preprocessor: Preprocessor | None = None,
    thorough: bool = False,
    thresholds: Thresholds = DEFAULT,
) -> Report:
    """Judge candidates against a module.

    Args:
        spec: The row.
        module: The unpatched eager module in float32, in evaluation mode; it is left as it is.
        candidates: Name to candidate.
        profile: The shapes that it was made for.
        outputs: Names of what is compared, as `named_outputs` gives them.
        preprocessor: Of the row; brings real texts into the lattice.
        thorough: Run the cases above the budget too.
        thresholds: Limits.

    Returns:
        A report; `report.passed` alone lets an artefact out.
    """
    short = memory_short(module, BUDGET.memory)
    if short:
        return Report(
            model=spec.name,
            verdict="deferred",
            reason=short,
            elements={},
            yardstick={},
            thresholds=thresholds,
            seconds={},
            versions=versions(),
        )
    reference = prepare(
        spec,
        module,
        profile=profile,
        outputs=outputs,
        preprocessor=preprocessor,
        thorough=thorough,
    )
    return judge_against(reference, candidates, thresholds=thresholds)


def judge_against(
    reference: Reference,
    candidates: Mapping[str, Candidate],
    *,
    thresholds: Thresholds = DEFAULT,
) -> Report:
    """Judge candidates by a reference that has been run."""
    judged = tuple(_run(reference, name, candidate) for name, candidate in candidates.items())
    return Report(
        model=reference.spec.name,
        verdict="refused",
        samples=tuple(sample.name for sample in reference.lattice.samples),
        cases=tuple(
            CaseRecord(
                name=case.name,
                samples=case.rows if reference.runs(case) else (),
                tokens=case.tokens,
                ran=reference.runs(case),
            )
            for case in reference.lattice.cases
        ),
        elements={
            name: sum(found[name].size for found in reference.oracle) for name in reference.outputs
        },
        yardstick=reference.yardstick,
        candidates=judged,
        seconds={**reference.seconds, **{c.name: c.seconds for c in judged}},
        versions=versions(),
    ).rejudge(thresholds)


def versions() -> dict[str, str]:
    """Return what computes."""
    return {"encoder-zoo": __version__, "torch": torch.__version__, "numpy": np.__version__}


def _run(reference: Reference, name: str, candidate: Candidate) -> CandidateReport:
    """Run a candidate over the lattice."""
    rows: list[Row] = []
    faults: list[str] = []
    first: dict[str, dict[int, Array]] = {output: {} for output in reference.outputs}
    start = time.perf_counter()
    seconds = 0.0
    for number, case in enumerate(reference.lattice.cases):
        if not reference.runs(case):
            continue
        batch = collate(
            reference.spec, [reference.lattice.samples[row] for row in case.rows], case.sizes
        )
        start = time.perf_counter()
        found = candidate.run(batch)
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
                first[output].setdefault(sample, row)
            rows.append(Row(case=number, place=place, sample=sample, outputs=measures))
    return CandidateReport(
        name=name,
        rows=tuple(rows),
        faults=tuple(faults),
        gallery={
            output: metrics.gallery(
                np.stack([reference.oracle[sample][output] for sample in answers]),
                np.stack(list(answers.values())),
            )
            for output, answers in first.items()
            if answers and next(iter(answers.values())).ndim == 1
        },
        seconds=seconds,
    )


def structure_faults(reference: Reference, case: Case, found: Mapping[str, Array]) -> list[str]:
    """Return what is wrong with names, dtypes, shapes and finiteness of a batch's outputs."""
    missing = [name for name in reference.outputs if name not in found]
    if missing:
        return [f"there is no output {', '.join(missing)}; it gives {', '.join(found) or 'none'}"]
    faults = []
    for name in reference.outputs:
        array, dtype = found[name], reference.dtypes[name]
        if array.dtype != dtype:
            faults.append(f"{name} is {array.dtype}, not {dtype}")
            continue
        if array.ndim < 1 or array.shape[0] != len(case.rows):
            faults.append(f"{name} has shape {array.shape} for a batch of {len(case.rows)}")
            continue
        padded = False
        for sample in case.rows:
            wanted = reference.oracle[sample][name].shape
            own = reference.lattice.samples[sample].sizes
            padded = any(own[axis] < size for axis, size in case.sizes.items())
            fits = array.ndim == len(wanted) + 1 and all(
                got >= size if padded else got == size
                for got, size in zip(array.shape[1:], wanted, strict=True)
            )
            if not fits:
                faults.append(
                    f"{name} has shape {array.shape[1:]} a sample, not {wanted}, in {case.name}"
                )
                break
        else:
            if not np.isfinite(array[: len(case.rows)]).all() and not padded:
                faults.append(f"{name} is not finite in {case.name}")
    return faults


def _cut(array: Array, shape: tuple[int, ...]) -> Array:
    """Return the part of a padded output that belongs to the sample."""
    return array[tuple(slice(0, size) for size in shape)]


def _scales(found: Sequence[Array]) -> list[float]:
    """Return what each sample's errors are relative to: its own size, or at least the lattice's."""
    sizes = [metrics.rms(array) for array in found]
    whole = float(np.sqrt(np.mean(np.square(sizes)))) or 1.0
    return [max(size, LEAST_SCALE * whole) for size in sizes]
