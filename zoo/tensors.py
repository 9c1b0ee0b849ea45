"""Plain data: the inputs of a network, and which of their axes are dynamic. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DType = Literal["float32", "float64", "float16", "bfloat16", "int64", "bool", "uint8"]
Padding = Literal["none", "masked", "fixed", "forbidden"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dim:
    """A dynamic axis of an input: the range that tracing, profiles and parity cases obey.

    Attributes:
        name: Name of the axis in ONNX graphs.
        min: Smallest size that the model accepts.
        typical: Size that most callers use; engines are tuned for it.
        max: Largest size that is supported.
        multiple: Sizes are multiples of this (the patch, in pixels).
    """

    name: str
    min: int
    typical: int
    max: int
    multiple: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.min <= self.typical <= self.max:
            raise ValueError(f"Dim {self.name!r} needs 0 < min <= typical <= max, got {self}.")
        if any(size % self.multiple for size in (self.min, self.typical, self.max)):
            raise ValueError(f"Dim {self.name!r} has a size that is no multiple, got {self}.")


BATCH = Dim(name="batch", min=1, typical=8, max=4096)


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """One input of a network.

    Attributes:
        name: Argument of the network's forward, and the ONNX input.
        dtype: Element type.
        shape: Sizes, with a Dim where the axis is dynamic.
        padding: How shorter samples share a batch: `masked` (a mask input says what is real),
            `fixed` (always padded to one length), `forbidden` (only equal sizes together), `none`.
        skippable: A mask; leaving it out means that everything is real.
    """

    name: str
    dtype: DType
    shape: tuple[int | Dim, ...]
    padding: Padding = "none"
    skippable: bool = False
