"""The lattice: which samples meet in which batch, and how they are padded. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from zoo.preprocess import Array, Batch, Preprocessor
from zoo.spec import Dim, ModelSpec, TensorSpec
from zoo_export.parity.profile import Profile, Range
from zoo_export.parity.samples import (
    Sample,
    carried,
    dynamic,
    made_samples,
    pad_id,
    points,
    real_samples,
)
from zoo_export.parity.thresholds import BUDGET

# Real samples: of cheap models, of dear ones, and of all under `thorough`.
REAL, REAL_DEAR, REAL_THOROUGH = 3, 1, 6
FREE_BATCH = Range(min=1, typical=1, max=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One batch.

    Attributes:
        name: What it is, in words.
        rows: Index of the sample at each position.
        sizes: Dynamic axis to the size that shorter samples are padded to.
        tokens: What it costs: rows times positions.
    """

    name: str
    rows: tuple[int, ...]
    sizes: Mapping[str, int]
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lattice:
    """All samples and all batches of them.

    Attributes:
        samples: Each different from the others.
        cases: Batches, the cheapest first.
    """

    samples: tuple[Sample, ...]
    cases: tuple[Case, ...]


def lattice(
    spec: ModelSpec, profile: Profile, preprocessor: Preprocessor | None, *, thorough: bool
) -> Lattice:
    """Return the lattice of a row over a profile."""
    shapes = points(spec, profile)
    dear = spec.params * tokens(spec, shapes["typical"]) > BUDGET.sample_work
    dear = dear and spec.modality != "text"  # sentences are short, whatever is typical
    most = REAL_THOROUGH if thorough else REAL_DEAR if dear else REAL
    real = real_samples(spec, profile, preprocessor, most=most)
    samples = [*real, *made_samples(spec, shapes, real=bool(real))]
    builder = _Builder(spec, profile, samples)
    if builder.masked:
        builder.mixed()
    else:
        builder.equal()
    cases = sorted(builder.cases.values(), key=lambda case: case.tokens)
    return Lattice(samples=tuple(samples), cases=tuple(cases))


class _Builder:
    """Collects cases; two that would be the same batch are one."""

    def __init__(self, spec: ModelSpec, profile: Profile, samples: Sequence[Sample]) -> None:
        self.spec = spec
        self.samples = samples
        self.cases: dict[tuple[object, ...], Case] = {}
        self.ranges = {name: profile.range(dim) for name, dim in dynamic(spec).items()}
        first = spec.inputs[0].shape[0]
        self.batch = profile.range(first) if isinstance(first, Dim) else FREE_BATCH
        self.masked = any(tensor.padding == "masked" for tensor in spec.inputs)

    def equal(self) -> None:
        """Samples of one shape together: all batch sizes at the first shape, two at the others."""
        groups: dict[tuple[tuple[str, int], ...], list[int]] = {}
        for index, sample in enumerate(self.samples):
            groups.setdefault(tuple(sample.sizes.items()), []).append(index)
        for number, (_, group) in enumerate(groups.items()):
            for batch in self._batches() if number == 0 else self._batches()[:2]:
                self._turns(group, batch)
            self._rest(group)

    def mixed(self) -> None:
        """Samples of all lengths together, shorter ones padded; the longest only once or twice."""
        sized = sorted(
            range(len(self.samples)), key=lambda i: math.prod(self.samples[i].sizes.values())
        )
        shortest, middle, longest = sized[0], sized[len(sized) // 2], sized[-1]
        for batch in self._batches():
            last = [longest] if batch == self.batch.max else []
            others = [index for index in sized if index not in (0, shortest, middle, *last)]
            self._turns([0, *others, middle, shortest, *last], batch)
        self._rest(sized)
        if self.batch.min == 1:
            for point in ("typical", "max"):
                sizes = {name: getattr(axis, point) for name, axis in self.ranges.items()}
                self._add([shortest], sizes, "padded")

    def _batches(self) -> list[int]:
        """Return batch sizes 1, 2, 3, typical and largest, where the profile has them."""
        sizes = {1, 2, 3, self.batch.typical, self.batch.max}
        return sorted(size for size in sizes if self.batch.min <= size <= self.batch.max)

    def _turns(self, group: Sequence[int], batch: int) -> None:
        """Add a batch; the group's first sample has another place in each size of batch."""
        rows = _turn(group, batch, start=1 - batch)
        self._add(rows, self._longest(rows), f"batch {batch}")

    def _rest(self, group: Sequence[int]) -> None:
        """Add the samples of a group that are in no batch yet."""
        batch = self.batch.max
        seen = {row for case in self.cases.values() for row in case.rows}
        left = [index for index in group if index not in seen]
        while left:
            rows, left = left[:batch], left[batch:]
            rows += rows[-1:] * (self.batch.min - len(rows))
            self._add(rows, self._longest(rows), f"batch {len(rows)}, others")

    def _longest(self, rows: Sequence[int]) -> dict[str, int]:
        return {
            name: max(self.samples[row].sizes[name] for row in rows) for name in self.ranges
        }  # fmt: skip

    def _add(self, rows: Sequence[int], sizes: Mapping[str, int], name: str) -> None:
        fits = all(
            self.samples[row].sizes[axis] <= size for row in rows for axis, size in sizes.items()
        )
        if not fits:
            return
        key = (tuple(rows), *sizes.items())
        shape = " x ".join(f"{axis} {size}" for axis, size in sizes.items())
        self.cases.setdefault(
            key,
            Case(
                name=f"{name}, {shape}" if shape else name,
                rows=tuple(rows),
                sizes=dict(sizes),
                tokens=len(rows) * tokens(self.spec, sizes),
            ),
        )


def _turn(group: Sequence[int], count: int, start: int = 0) -> list[int]:
    """Return that many of a group, going round."""
    return [group[(start + place) % len(group)] for place in range(count)]


def tokens(spec: ModelSpec, sizes: Mapping[str, int]) -> int:
    """Return the positions that one sample costs: tokens of a text, frames, patches."""
    tensor = spec.inputs[0]
    shape = [sizes[s.name] if isinstance(s, Dim) else s for s in tensor.shape[1:]]
    if spec.modality == "image" and getattr(spec.config, "stride", None):
        rows, columns = spec.grid(shape[-2], shape[-1])
        return rows * columns
    if spec.modality == "video":
        rows, columns = spec.grid(shape[-2], shape[-1])
        tubelet: int = getattr(spec.config, "tubelet", 1)
        return shape[0] // tubelet * rows * columns
    if spec.modality == "audio":
        stride: int = getattr(spec.config, "stride", 1)
        return max(1, shape[-1] // stride)
    return math.prod(shape) if spec.modality != "image" else 1


def collate(spec: ModelSpec, samples: Sequence[Sample], sizes: Mapping[str, int]) -> Batch:
    """Return a batch as the row's preprocessing would make it, padded to given sizes."""
    batch: Batch = {}
    for tensor in spec.inputs:
        if not carried(tensor):
            rows = [np.ones(_own_shape(tensor, sample.sizes), np.int64) for sample in samples]
        else:
            rows = [sample.arrays[tensor.name] for sample in samples]
        fill = pad_id(spec) if tensor.dtype == "int64" and not tensor.skippable else 0
        batch[tensor.name] = np.stack([
            _padded(row, _own_shape(tensor, sizes), fill) for row in rows
        ])  # fmt: skip
    return batch


def _own_shape(tensor: TensorSpec, sizes: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(sizes[s.name] if isinstance(s, Dim) else s for s in tensor.shape[1:])


def _padded(array: Array, shape: tuple[int, ...], fill: int) -> Array:
    """Return an array with its content at the start of every axis."""
    if array.shape == shape:
        return array
    padded = np.full(shape, fill, dtype=array.dtype)
    padded[tuple(slice(0, size) for size in array.shape)] = array
    return padded
