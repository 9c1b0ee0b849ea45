"""The numbers that fix a ConvNeXt. No torch until `build()`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from zoo_vision.nets.convnext import ConvNeXt

STAGES = 4
Stages = tuple[int, int, int, int]
PATCH, KERNEL, WIDER = 4, 7, 4  # side of a patch, of a filter; width inside an MLP, in channels


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvNeXtConfig:
    """Depthwise convolutions and MLPs in four stages, each half as fine as the one before.

    Attributes:
        depths: Blocks of each stage.
        widths: Channels of each stage.
        norm_eps: Epsilon of every LayerNorm.
        normalize: Whether the vector leaves with unit L2 norm.
        pooling: The mean of the last map, then a LayerNorm.
        stride: Pixels from one token of the last stage to the next.
    """

    depths: Stages
    widths: Stages
    norm_eps: float = 1e-6
    normalize: bool = False
    pooling: Literal["mean_norm"] = "mean_norm"
    stride: Literal[32] = 32

    @property
    def dim(self) -> int:
        """Width of the pooled vector."""
        return self.widths[-1]

    @property
    def params(self) -> int:
        """Parameters of the network."""
        first = self.widths[0]
        total = first * (3 * PATCH**2 + 1) + 2 * first  # patches and their norm
        before = None
        for width, depth in zip(self.widths, self.depths, strict=True):
            if before is not None:
                total += 2 * before + width * (4 * before + 1)  # norm, four neighbours to one
            mlp = 2 * WIDER * width**2 + (WIDER + 1) * width
            total += depth * (width * (KERNEL**2 + 1) + 2 * width + mlp + width)
            before = width
        return total + 2 * self.dim

    def build(self) -> ConvNeXt:
        """Build the network."""
        from zoo_vision.nets.convnext import ConvNeXt

        return ConvNeXt(self)

    def tiny(self) -> Self:
        """Return a version of one or two blocks a stage, a few channels wide."""
        return replace(self, depths=(1, 2, 1, 1), widths=(8, 12, 16, 20))
