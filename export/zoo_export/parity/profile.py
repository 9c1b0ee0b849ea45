"""The shapes that an artefact is exported for, and therefore proven on. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from zoo.spec import Dim, ImagePreprocess, ModelSpec

# The default profile: what most callers send at once, and as many tokens as most texts have.
BATCH_MAX = 8
LENGTH_TYPICAL = 128
LENGTH_MAX = 512
SAMPLES_TYPICAL = 2 * 16_000  # two seconds
SAMPLES_MAX = 30 * 16_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Sizes of one axis.

    Attributes:
        min: Smallest.
        typical: Size that most callers use.
        max: Largest.
        multiple: All sizes are multiples of this.
    """

    min: int
    typical: int
    max: int
    multiple: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.min <= self.typical <= self.max:
            raise ValueError("A range needs 0 < min <= typical <= max.")
        if any(size % self.multiple for size in (self.min, self.typical, self.max)):
            raise ValueError(f"Every size must be a multiple of {self.multiple}.")

    @property
    def fixed(self) -> bool:
        """Whether there is only one size."""
        return self.min == self.max

    @property
    def odd(self) -> int:
        """A size that is not round: an odd number of multiples near the middle, or the nearest."""
        steps = (self.min + self.max) // 2 // self.multiple
        steps += 1 - steps % 2
        return min(max(steps * self.multiple, self.min), self.max)


NO_RANGES: Mapping[str, Range] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Ranges of the dynamic axes, by the name of their Dim.

    Attributes:
        ranges: `batch`, `length`, `height`, ...; an axis that is not named has its Dim's range.
    """

    ranges: Mapping[str, Range] = field(default_factory=lambda: NO_RANGES)

    def range(self, dim: Dim) -> Range:
        """Return the range of an axis.

        Raises:
            ValueError: The profile goes beyond what the row accepts.
        """
        wanted = self.ranges.get(dim.name)
        if wanted is None:
            return Range(min=dim.min, typical=dim.typical, max=dim.max, multiple=dim.multiple)
        if wanted.min < dim.min or wanted.max > dim.max:
            raise ValueError(
                f"The model takes a {dim.name} of {dim.min}..{dim.max}; the profile asks for "
                f"{wanted.min}..{wanted.max}."
            )
        return Range(min=wanted.min, typical=wanted.typical, max=wanted.max, multiple=dim.multiple)


def default_profile(spec: ModelSpec) -> Profile:
    """Return a batch of 1 to 8, the row's own image size, texts of 512 tokens, half a minute."""
    ranges = {}
    own = dict(zip(("height", "width"), _size(spec), strict=False))
    for dim in (size for tensor in spec.inputs for size in tensor.shape if isinstance(size, Dim)):
        if dim.name == "batch":
            ranges[dim.name] = Range(min=1, typical=1, max=min(BATCH_MAX, dim.max))
        elif dim.name in own:
            size = own[dim.name]
            ranges[dim.name] = Range(min=size, typical=size, max=size, multiple=dim.multiple)
        elif spec.modality == "text":
            largest = min(dim.max, LENGTH_MAX)
            ranges[dim.name] = Range(min=dim.min, typical=min(largest, LENGTH_TYPICAL), max=largest)
        elif spec.modality == "audio":
            largest = min(dim.max, SAMPLES_MAX)
            typical = min(largest, dim.typical, SAMPLES_TYPICAL)
            ranges[dim.name] = Range(min=dim.min, typical=typical, max=largest)
    return Profile(ranges=ranges)


def _size(spec: ModelSpec) -> tuple[int, ...]:
    """Return the height and width that the row's images are brought to, pixels."""
    return spec.preprocess.size if isinstance(spec.preprocess, ImagePreprocess) else ()
