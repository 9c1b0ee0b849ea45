"""Shapes that an engine was made for, and which of them a batch runs in. No torch, no GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from zoo.errors import OptionError
from zoo.spec import Dim, TensorSpec

Shape = tuple[int, ...]

BATCH = "batch"
# A masked length grows to one of about this many: a CUDA graph is recorded for each, and more of
# them cost memory and slow first runs, fewer cost padding.
LENGTHS = 64
LEAST_STEP = 16  # tokens; matrix units take no fewer at once


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineProfile:
    """Ranges of shapes that an engine takes, and the one that it is tuned for.

    Attributes:
        shapes: Input's name to its smallest, typical and largest shape.
    """

    shapes: Mapping[str, tuple[Shape, Shape, Shape]]

    def takes(self, shapes: Mapping[str, Shape]) -> bool:
        """Whether all inputs may have these shapes at once."""
        return all(
            len(shapes[name]) == len(least)
            and all(a <= b <= c for a, b, c in zip(least, shapes[name], most, strict=True))
            for name, (least, _, most) in self.shapes.items()
        )

    @property
    def batches(self) -> tuple[int, int]:
        """Smallest and largest number of samples."""
        least, _, most = next(iter(self.shapes.values()))
        return least[0], most[0]

    @property
    def volume(self) -> int:
        """Number of elements of the inputs at their largest: what a run may cost at most."""
        return sum(prod(most) for _, _, most in self.shapes.values())


def profiles_for(
    inputs: Sequence[TensorSpec], batches: Sequence[int] = ()
) -> tuple[EngineProfile, ...]:
    """Return the profiles of a bundle's inputs: one, or one a range of batch sizes.

    Args:
        inputs: Whose Dims say what the graph was proven for.
        batches: Largest batch of each profile, ascending; the last must be the inputs' own.

    Raises:
        OptionError: The batches are not ascending, or go beyond what was proven.
    """
    dims = {size for tensor in inputs for size in tensor.shape if isinstance(size, Dim)}
    batch = next((dim for dim in dims if dim.name == BATCH), None)
    if not batches or batch is None:
        return (_profile(inputs, {}),)
    ordered = list(batches) == sorted(set(batches))
    if not ordered or batches[0] < batch.min or batches[-1] != batch.max:
        raise OptionError(
            f"Profiles for batches up to {', '.join(map(str, batches))} do not divide the batches "
            f"that the graph is made for, {batch.min}..{batch.max}: they must ascend and end at "
            f"{batch.max}."
        )
    starts = [batch.min, *(size + 1 for size in batches[:-1])]
    return tuple(
        _profile(inputs, {BATCH: (start, end, end)})
        for start, end in zip(starts, batches, strict=True)
    )


def _profile(
    inputs: Sequence[TensorSpec], ranges: Mapping[str, tuple[int, int, int]]
) -> EngineProfile:
    def sizes(tensor: TensorSpec, which: int) -> Shape:
        return tuple(
            ranges.get(size.name, (size.min, size.typical, size.max))[which]
            if isinstance(size, Dim)
            else size
            for size in tensor.shape
        )

    return EngineProfile(
        shapes={tensor.name: (sizes(tensor, 0), sizes(tensor, 1), sizes(tensor, 2))
                for tensor in inputs}
    )  # fmt: skip


def choose(profiles: Sequence[EngineProfile], shapes: Mapping[str, Shape]) -> int | None:
    """Return the index of the narrowest profile that takes these shapes, None if none does."""
    fitting = [index for index, profile in enumerate(profiles) if profile.takes(shapes)]
    return min(fitting, key=lambda index: profiles[index].volume, default=None)


def piece_sizes(samples: int, profiles: Sequence[EngineProfile]) -> list[tuple[int, int]]:
    """Cut a batch into pieces that an engine takes.

    Args:
        samples: Of the batch.
        profiles: Of the engine.

    Returns:
        For each piece its samples, and the samples that it is filled up to.
    """
    least = min(profile.batches[0] for profile in profiles)
    most = max(profile.batches[1] for profile in profiles)
    sizes = [most] * (samples // most) + ([samples % most] if samples % most else [])
    return [(size, max(size, least)) for size in sizes]


def bucket(
    inputs: Sequence[TensorSpec], shapes: Mapping[str, Shape], profile: EngineProfile
) -> dict[str, Shape]:
    """Return the shapes that a piece is filled up to, so that few shapes are ever run.

    A batch grows to the next power of two. A length grows to the next step, if a mask can say that
    what is added is not real.

    Args:
        inputs: Of the graph.
        shapes: Input's name to the piece's own shape.
        profile: That takes these shapes.
    """
    masked = any(tensor.skippable for tensor in inputs)
    grown = {}
    for tensor in inputs:
        most = profile.shapes[tensor.name][2]
        sizes = list(shapes[tensor.name])
        for axis, dim in enumerate(tensor.shape):
            if not isinstance(dim, Dim):
                continue
            if dim.name == BATCH:
                sizes[axis] = min(1 << (sizes[axis] - 1).bit_length(), most[axis])
            elif masked and tensor.padding == "masked":
                step = step_of(dim)
                sizes[axis] = min(-(-sizes[axis] // step) * step, most[axis])
        grown[tensor.name] = tuple(sizes)
    return grown


def step_of(dim: Dim) -> int:
    """Return what lengths of an axis are multiples of, once they are padded."""
    step = max(LEAST_STEP, 1 << (max(dim.max // LENGTHS, 1) - 1).bit_length())
    return -(-step // dim.multiple) * dim.multiple


def complaint(
    inputs: Sequence[TensorSpec],
    shapes: Mapping[str, Shape],
    profiles: Sequence[EngineProfile],
) -> str:
    """Return why no profile takes these shapes, and what to do."""
    for tensor in inputs:
        shape = shapes[tensor.name]
        ranges = [profile.shapes[tensor.name] for profile in profiles]
        for axis, size in enumerate(shape[: len(tensor.shape)]):
            least = min(smallest[axis] for smallest, _, _ in ranges)
            most = max(largest[axis] for _, _, largest in ranges)
            if not least <= size <= most:
                dim = tensor.shape[axis]
                what = (
                    f"{dim.name} of {size}"
                    if isinstance(dim, Dim)
                    else f"size of {size} on axis {axis}"
                )
                span = str(least) if least == most else f"{least}..{most}"
                return (
                    f"{tensor.name} has a {what}; the engine takes {span}. Export it with other "
                    "sizes for others."
                )
    given = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    return f"No profile of the engine takes {given}. Export it with other sizes for others."
