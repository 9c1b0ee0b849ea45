"""Numbers that fix a ResNet. No torch until `build()`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from torch import nn

SHRINK = 4  # a bottleneck's 3x3 convolution has a quarter of the block's channels


@dataclass(frozen=True, slots=True, kw_only=True)
class ResNetConfig:
    """A residual network of four stages.

    Attributes:
        block: `basic` (two 3x3 convolutions) or `bottleneck` (1x1, 3x3, 1x1; v1.5, which strides
            in the 3x3).
        depths: Blocks of each stage.
        widths: Channels that leave each stage.
        stem: Channels that leave the 7x7 convolution before the stages.
        normalize: Whether the pooled vector has unit L2 norm.
        pooling: Average over the last map.
        stride: Pixels between two places of the last map.
    """

    block: Literal["basic", "bottleneck"]
    depths: tuple[int, int, int, int]
    widths: tuple[int, int, int, int]
    stem: int = 64
    normalize: bool = False
    pooling: Literal["mean"] = "mean"
    stride: Literal[32] = 32

    @property
    def dim(self) -> int:
        """Width of the pooled vector."""
        return self.widths[-1]

    @property
    def params(self) -> int:
        """Number of parameters."""
        total, channels = _conv_norm(3, self.stem, 7), self.stem
        for stage, (depth, width) in enumerate(zip(self.depths, self.widths, strict=True)):
            for index in range(depth):
                if self.block == "basic":
                    total += _conv_norm(channels, width, 3) + _conv_norm(width, width, 3)
                else:
                    inner = width // SHRINK
                    total += _conv_norm(channels, inner, 1) + _conv_norm(inner, inner, 3)
                    total += _conv_norm(inner, width, 1)
                if channels != width or (index == 0 and stage > 0):
                    total += _conv_norm(channels, width, 1)
                channels = width
        return total

    def build(self) -> nn.Module:
        """Build the network."""
        from zoo_vision.nets.resnet import ResNet

        return ResNet(self)

    def tiny(self) -> Self:
        """Return the same kind of network, one or two blocks a stage, a few channels wide."""
        stem = 8 * self.stem // self.widths[0]  # the first stage keeps or loses its shortcut
        return replace(self, depths=(1, 2, 1, 1), widths=(8, 8, 12, 16), stem=stem)


def _conv_norm(channels: int, width: int, kernel: int) -> int:
    """Return the parameters of a convolution without bias and its batch norm."""
    return channels * width * kernel**2 + 2 * width
