"""The numbers that fix a Swin transformer. No torch until `build()`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from zoo_vision.nets.swin import Swin

STAGES = 4
Stages = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SwinConfig:
    """Attention in windows that shift every second block; four stages, each half as fine.

    Attributes:
        width: Of a token in the first stage; each further stage doubles it.
        depths: Blocks of each stage.
        heads: Of attention, in each stage.
        window: Side of a window, tokens; a stage whose grid is smaller at `image_size` has one
            window of its grid.
        image_size: Height, width that the weights were trained on, pixels.
        patch: Side of a patch, pixels.
        mlp_ratio: Width inside the MLP, in widths of a token.
        qkv_bias: Whether the fused query-key-value projection has a bias.
        norm_eps: Epsilon of every LayerNorm.
        normalize: Whether the vector leaves with unit L2 norm.
        pooling: Mean over the normalised last map.
    """

    width: int
    depths: Stages
    heads: Stages
    window: int
    image_size: tuple[int, int] = (224, 224)
    patch: int = 4
    mlp_ratio: float = 4.0
    qkv_bias: bool = True
    norm_eps: float = 1e-5
    normalize: bool = False
    pooling: Literal["mean"] = "mean"

    def __post_init__(self) -> None:
        for width, heads in zip(self.widths, self.heads, strict=True):
            if width % heads:
                raise ValueError(f"width {width} is no multiple of heads {heads}.")
        if any(size % self.patch for size in self.image_size):
            raise ValueError(f"image_size {self.image_size} is no multiple of patch {self.patch}.")

    @property
    def dim(self) -> int:
        """Width of the pooled vector."""
        return self.widths[-1]

    @property
    def stride(self) -> int:
        """Pixels from one token of the last stage to the next."""
        return 8 * self.patch

    @property
    def widths(self) -> Stages:
        """Of a token, in each stage."""
        first = self.width
        return first, 2 * first, 4 * first, 8 * first

    @property
    def windows(self) -> Stages:
        """Side of a window in each stage, tokens."""
        grid = min(self.image_size) // self.patch
        first, second, third, fourth = (
            min(self.window, -(-grid // 2**stage)) for stage in range(STAGES)
        )
        return first, second, third, fourth

    @property
    def params(self) -> int:
        """Parameters of the network."""
        total = self.width * (3 * self.patch**2 + 1) + 2 * self.width  # patches and their norm
        stages = zip(self.widths, self.depths, self.heads, self.windows, strict=True)
        for stage, (width, depth, heads, window) in enumerate(stages):
            if stage:
                total += 2 * width + 2 * width * width  # merging: 4 halves of this width to it
            hidden = int(self.mlp_ratio * width)
            attention = 3 * width * (width + self.qkv_bias) + width * (width + 1)
            mlp = hidden * (width + 1) + width * (hidden + 1)
            table = (2 * window - 1) ** 2 * heads
            total += depth * (4 * width + attention + mlp + table)
            if stage:
                total += 2 * width  # the norm before merging has twice this width
        return total + 2 * self.dim

    def build(self) -> Swin:
        """Build the network."""
        from zoo_vision.nets.swin import Swin

        return Swin(self)

    def tiny(self) -> Self:
        """Return a version with two blocks a stage, a shifted one in all stages but the last."""
        return replace(
            self,
            width=8,
            depths=(2, 2, 2, 2),
            heads=(1, 2, 4, 4),
            window=3,
            image_size=(96, 96),
            mlp_ratio=2.0,
        )
