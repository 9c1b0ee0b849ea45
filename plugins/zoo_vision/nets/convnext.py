"""ConvNeXt: a residual network whose blocks are a depthwise convolution and an MLP.

A ConvNet for the 2020s, arXiv 2201.03545; order of operations as in the authors' models/convnext.py
(github.com/facebookresearch/ConvNeXt, MIT). Shapes: B samples, C channels, H and W places of a map.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from zoo.encoded import Encoded
from zoo.nn.mlp import Mlp
from zoo.nn.pool import unit
from zoo_vision.convnext_config import KERNEL, PATCH, WIDER
from zoo_vision.nets.stages import Stage, check_sides

if TYPE_CHECKING:
    from zoo_vision.convnext_config import ConvNeXtConfig


class ChannelNorm(nn.LayerNorm):
    """A LayerNorm over the channels of each place of a map."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        normed: Tensor = super().forward(x.permute(0, 2, 3, 1))  # (B, H, W, C)
        return normed.permute(0, 3, 1, 2)


class Block(nn.Module):
    """Filters over neighbours, then an MLP over channels, scaled and added to the input.

    Args:
        width: Channels.
        eps: Of the norm.
    """

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, KERNEL, padding=KERNEL // 2, groups=width)
        self.norm = nn.LayerNorm(width, eps=eps)
        self.mlp = Mlp(width, WIDER * width)
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        y: Tensor = self.depthwise(x).permute(0, 2, 3, 1)  # (B, H, W, C)
        y = self.mlp(self.norm(y)) * self.scale
        return x + y.permute(0, 3, 1, 2)


class Merging(nn.Module):
    """Four neighbours become one place.

    Args:
        width: Channels that come in.
        wider: Channels that leave.
        eps: Of the norm.
    """

    def __init__(self, width: int, wider: int, eps: float) -> None:
        super().__init__()
        self.norm = ChannelNorm(width, eps=eps)
        self.reduction = nn.Conv2d(width, wider, 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / 2, W / 2)."""
        out: Tensor = self.reduction(self.norm(x))
        return out


def _stage(config: ConvNeXtConfig, stage: int) -> Stage:
    """Return one of the four stages, on maps (B, C, H, W)."""
    width, eps = config.widths[stage], config.norm_eps
    merging = Merging(config.widths[stage - 1], width, eps) if stage else None
    return Stage(merging, (Block(width, eps) for _ in range(config.depths[stage])))


class ConvNeXt(nn.Module):
    """Patches, four stages, the mean of the last map, then a LayerNorm.

    Args:
        config: Its numbers.

    Attributes:
        blocks: The four stages.
        normalize: Whether the pooled vector leaves with unit L2 norm.
    """

    def __init__(self, config: ConvNeXtConfig) -> None:
        super().__init__()
        self.stride = config.stride
        self.normalize = config.normalize
        self.patches = nn.Conv2d(3, config.widths[0], PATCH, stride=PATCH)
        self.patch_norm = ChannelNorm(config.widths[0], eps=config.norm_eps)
        self.blocks = nn.ModuleList(_stage(config, stage) for stage in range(len(config.depths)))
        self.norm = nn.LayerNorm(config.dim, eps=config.norm_eps)

    def forward(self, pixels: Tensor) -> Encoded:
        """(B, 3, H, W) -> pooled (B, C), tokens (B, N, C) row by row, pyramid at 4, 8, 16, 32.

        The pyramid's maps leave their stages as they are; `tokens` is the last one, normalised.

        Raises:
            InputError: Height or width is no multiple of 32: the rest would not be looked at.
        """
        check_sides(pixels, self.stride, "cannot be halved into places of")
        x = self.patch_norm(self.patches(pixels))  # (B, C, H / 4, W / 4)
        levels = []
        for stage in self.blocks:
            x = stage(x)
            levels.append(x)
        pooled = self.norm(x.mean(dim=(2, 3)))  # (B, C), the mean first
        return Encoded(
            pooled=unit(pooled) if self.normalize else pooled,
            tokens=self.norm(x.flatten(2).transpose(1, 2)),  # (B, N, C)
            pyramid=tuple(levels),
        )
