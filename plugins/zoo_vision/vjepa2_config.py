"""Numbers that fix a vision transformer over clips. No torch until `build()`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class VJepa2Config:
    """V-JEPA 2's encoder: tubelets, rotary positions in time, height and width.

    Attributes:
        width: Of a token.
        depth: Blocks.
        heads: Attention heads of a block.
        hidden: Width inside a block's feed-forward half.
        size: Side of a frame, pixels.
        patch: Side of a patch, pixels.
        tubelet: Frames that a token spans.
        eps: Of the layer norms.
        pooling: The mean of all tokens.
        normalize: Whether the vector is scaled to unit L2 norm.
    """

    width: int
    depth: int
    heads: int
    hidden: int
    size: int = 256
    patch: int = 16
    tubelet: int = 2
    eps: float = 1e-6
    pooling: Literal["mean"] = "mean"
    normalize: bool = False

    @property
    def dim(self) -> int:
        """Width of the pooled vector."""
        return self.width

    @property
    def stride(self) -> int:
        """Pixels from one token to the next."""
        return self.patch

    @property
    def image_size(self) -> tuple[int, int]:
        """Height, width of a frame, pixels."""
        return self.size, self.size

    def build(self) -> nn.Module:
        """Build the network."""
        from zoo_vision.nets.vjepa2 import VJepa2

        return VJepa2(self)

    def tiny(self) -> Self:
        """Return a version of a few thousand parameters with every feature still on."""
        return replace(self, width=32, depth=2, heads=2, hidden=48, size=24, patch=8)
