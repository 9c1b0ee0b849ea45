"""What candidates are measured by: the lattice, the oracle's answers and the yardstick's."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from zoo.manifest import Precision
from zoo.preprocess import Array, Batch, Preprocessor
from zoo.spec import ModelSpec
from zoo_export.outputs import LEVEL
from zoo_export.parity import metrics
from zoo_export.parity.cases import Case, Lattice, lattice
from zoo_export.parity.double import in_float64
from zoo_export.parity.eager import Outputs, forward, run_each
from zoo_export.parity.metrics import Measure
from zoo_export.parity.precisions import limits_of
from zoo_export.parity.profile import Profile
from zoo_export.parity.taps import Trace, tracing
from zoo_export.parity.thresholds import BUDGET
from zoo_export.parity.verdict import Row, failing

LEAST_SCALE = 1e-3  # of the lattice's root mean square: a sample of nothing is no unit of length


@dataclass(slots=True, kw_only=True)
class Reference:
    """Oracle and yardstick of a module over a lattice; serves any number of candidates.

    Attributes:
        spec: The row.
        module: Eager, the yardstick.
        float32: The network in float32: the yardstick itself, unless that has low precision.
        outputs: Names of what is compared.
        preprocessor: Of the row, if there is one.
        lattice: Samples and cases.
        oracle: A sample's outputs in float64, each.
        scales: Output's name to what each sample's errors are relative to.
        yardstick: Output's name to the yardstick's distance from the oracle, a sample each.
        dtypes: Output's name to the dtype that a candidate must give.
        largest: Tokens of the largest case that runs; None runs all.
        seconds: Part of the run to the time it took.
        dtype: Of the yardstick's floating-point inputs.
        precision: Of the yardstick and the candidates.
        measured_by: What the yardstick is, in words.
    """

    spec: ModelSpec
    module: nn.Module
    float32: nn.Module
    outputs: tuple[str, ...]
    preprocessor: Preprocessor | None
    lattice: Lattice
    oracle: list[Outputs]
    scales: dict[str, list[float]]
    yardstick: dict[str, tuple[Measure, ...]]
    dtypes: dict[str, np.dtype[np.generic]]
    largest: int | None
    seconds: dict[str, float] = field(default_factory=dict)
    dtype: torch.dtype = torch.float32
    precision: Precision = "float32"
    measured_by: str = "eager float32"
    _exact: nn.Module | None = field(default=None, init=False, repr=False)

    @property
    def exact(self) -> nn.Module:
        """The network in float64, made when it is first asked for: only who looks inside does.

        While candidates run, memory has to hold them in its place.
        """
        if self._exact is None:
            self._exact = in_float64(self.float32)
        return self._exact

    @property
    def elements(self) -> dict[str, int]:
        """Output's name to the numbers that the yardstick's error is pooled over."""
        return {name: sum(found[name].size for found in self.oracle) for name in self.outputs}

    def failing(self, rows: Sequence[Row]) -> list[Row]:
        """Return the answers that are worse than the pooled limit, each by itself."""
        return failing(rows, self.yardstick, self.elements, limits_of(self.precision))

    def runs(self, case: Case) -> bool:
        """Whether a case is within the budget."""
        return self.largest is None or case.tokens <= self.largest

    def trace(self, batch: Batch, *, exact: bool) -> Trace:
        """Return what passes the boundaries of modules in the oracle, or in the yardstick."""
        module = self.exact if exact else self.module
        with tracing(module) as trace:
            forward(self.spec, module, batch, torch.float64 if exact else self.dtype)
        return trace

    def measured(self, found: Sequence[Outputs]) -> dict[str, tuple[Measure, ...]]:
        """Measure outputs of all samples, each run alone."""
        return {
            name: tuple(self.measure(name, i, arrays[name]) for i, arrays in enumerate(found))
            for name in self.outputs
        }

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
        module=module,
        float32=module,
        outputs=tuple(outputs),
        preprocessor=preprocessor,
        lattice=kept,
        oracle=oracle,
        scales={name: _scales([found[name] for found in oracle]) for name in outputs},
        yardstick={},
        dtypes={name: eager[0][name].dtype for name in outputs},
        largest=largest,
        seconds=seconds,
    )
    reference.yardstick = reference.measured(eager)
    return reference


def _scales(found: Sequence[Array]) -> list[float]:
    """Return what each sample's errors are relative to: its own size, or at least the lattice's."""
    sizes = [metrics.rms(array) for array in found]
    whole = float(np.sqrt(np.mean(np.square(sizes)))) or 1.0
    return [max(size, LEAST_SCALE * whole) for size in sizes]
