"""Numbers that fix a histogram of oriented gradients. No torch until `build()`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class HogConfig:
    """Histograms of oriented gradients over a fixed window.

    Attributes:
        size: Height, width of the window, pixels.
        orientations: Bins over 180 degrees.
        cell: Side of a cell, pixels.
        block: Side of a block, cells.
        clip: Largest entry of a block after its first L2 norm (L2-Hys).
        eps: Under the square root of a block's norm, squared.
        normalize: Whether the pooled vector has unit L2 norm.
        pooling: All blocks, one after the other.
    """

    size: tuple[int, int]
    orientations: int = 9
    cell: int = 8
    block: int = 2
    clip: float = 0.2
    eps: float = 1e-5
    normalize: bool = False
    pooling: Literal["concat"] = "concat"

    @property
    def dim(self) -> int:
        """Width of the pooled vector."""
        down, across = (side // self.cell - self.block + 1 for side in self.size)
        return down * across * self.block**2 * self.orientations

    def build(self) -> nn.Module:
        """Build the network, which has no parameters."""
        from zoo_classic.nets.hog import Hog

        return Hog(self)

    def tiny(self) -> Self:
        """Return the same over a small window."""
        return replace(self, size=(4 * self.cell, 3 * self.cell))
