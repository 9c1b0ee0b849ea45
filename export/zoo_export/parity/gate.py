"""The gate: run the oracle, the yardstick and the candidates over the lattice, and judge."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from zoo import __version__
from zoo.preprocess import Preprocessor
from zoo.spec import ModelSpec
from zoo_export.parity.candidate import Candidate, measure_candidate
from zoo_export.parity.double import memory_short
from zoo_export.parity.localise import localise
from zoo_export.parity.precisions import limits_of
from zoo_export.parity.profile import Profile
from zoo_export.parity.reference import Reference, prepare
from zoo_export.parity.report import CaseRecord, Report
from zoo_export.parity.thresholds import BUDGET, DEFAULT, Thresholds


def judge(
    spec: ModelSpec,
    module: nn.Module,
    candidates: Mapping[str, Candidate],
    *,
    profile: Profile,
    outputs: Sequence[str],
    preprocessor: Preprocessor | None = None,
    thorough: bool = False,
    layers: bool = False,
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
        layers: Compare the boundaries of all modules, even if the candidate passes.
        thresholds: Limits.

    Returns:
        A report; `report.passed` alone lets an artefact out.
    """
    put_off = deferred(spec, module, thresholds)
    if put_off is not None:
        return put_off
    reference = prepare(
        spec,
        module,
        profile=profile,
        outputs=outputs,
        preprocessor=preprocessor,
        thorough=thorough,
    )
    return judge_against(reference, candidates, layers=layers, thresholds=thresholds)


def deferred(
    spec: ModelSpec, module: nn.Module, thresholds: Thresholds = DEFAULT, *, beside: int = 0
) -> Report | None:
    """Return a report that says why the gate cannot run here, or None if it can.

    Args:
        spec: The row.
        module: Its network, maybe on the meta device.
        thresholds: Limits.
        beside: Bytes that are needed beside the oracle, and not held yet.
    """
    short = memory_short(module, BUDGET.memory, beside=beside)
    if not short:
        return None
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


def judge_against(
    reference: Reference,
    candidates: Mapping[str, Candidate],
    *,
    layers: bool = False,
    thresholds: Thresholds | None = None,
) -> Report:
    """Judge candidates by a reference that has been run.

    Where one fails, or with `layers`, one more run of it finds out where. The limits are those of
    the reference's precision, unless others are given.
    """
    report = _measured(reference, candidates).rejudge(thresholds or limits_of(reference.precision))
    clock = time.perf_counter()
    found = tuple(
        replace(judged, finding=localise(reference, candidates[judged.name], judged))
        if layers or not judged.passed
        else judged
        for judged in report.candidates
    )
    seconds = {**report.seconds, "layers": time.perf_counter() - clock}
    return replace(report, candidates=found, seconds=seconds)


def _measured(reference: Reference, candidates: Mapping[str, Candidate]) -> Report:
    """Return what candidates measure, not yet judged."""
    judged = tuple(
        measure_candidate(reference, name, candidate) for name, candidate in candidates.items()
    )
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
        elements=reference.elements,
        yardstick=reference.yardstick,
        candidates=judged,
        seconds={**reference.seconds, **{c.name: c.seconds for c in judged}},
        versions=versions(),
        precision=reference.precision,
        measured_by=reference.measured_by,
    )


def versions() -> dict[str, str]:
    """Return what computes."""
    return {"encoder-zoo": __version__, "torch": torch.__version__, "numpy": np.__version__}
