"""Swin: attention inside windows, shifted every second block; patches merge between stages.

Swin Transformer: Hierarchical Vision Transformer using Shifted Windows, arXiv 2103.14030; order of
operations as in the authors' models/swin_transformer.py (github.com/microsoft/Swin-Transformer,
MIT). Merging stands at the start of a stage, as in timm; the authors count it to the one before.
Shapes: B samples, H and W places of a map, C channels, G windows of N places.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.encoded import Encoded
from zoo.nn.attention import SelfAttention
from zoo.nn.mlp import Mlp
from zoo.nn.pool import unit
from zoo_vision.nets.relative import bias_from, relative_index
from zoo_vision.nets.stages import Stage, check_sides

if TYPE_CHECKING:
    from zoo_vision.swin_config import SwinConfig

FAR = -100.0  # added to the score of two places that only the shift brought into one window


class Block(nn.Module):
    """Attention in windows and an MLP, each normalised before and added to its input.

    Args:
        config: Of the network.
        stage: Which of the four.
        shifted: Whether its windows lie across those of the block before.
    """

    def __init__(self, config: SwinConfig, stage: int, *, shifted: bool) -> None:
        super().__init__()
        width, heads = config.widths[stage], config.heads[stage]
        self.window = config.windows[stage]
        self.shifted = shifted
        self.norm1 = nn.LayerNorm(width, eps=config.norm_eps)
        self.attention = SelfAttention(width, heads, qkv_bias=config.qkv_bias)
        self.table = nn.Parameter(torch.zeros((2 * self.window - 1) ** 2, heads))
        self.norm2 = nn.LayerNorm(width, eps=config.norm_eps)
        self.mlp = Mlp(width, int(config.mlp_ratio * width))
        self.index: Tensor
        self.register_buffer("index", relative_index(self.window, self.window), persistent=False)

    def make_buffers(self, device: torch.device) -> None:
        """Compute what no checkpoint holds."""
        self.index = relative_index(self.window, self.window, device)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        x = x + self._attend(self.norm1(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out

    def _attend(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        batch, height, width, channels = x.shape
        side = self.window
        # A map that is one window has nothing to shift into.
        shift = side // 2 if self.shifted and min(height, width) > side else 0
        # Maps are filled up with zeros behind the norm, and these are attended to: the authors
        # trained detectors so.
        down, along = -height % side, -width % side
        if down or along:
            x = F.pad(x, (0, 0, 0, along, 0, down))
        rows, columns = (height + down) // side, (width + along) // side
        bias = bias_from(self.table, self.index)  # (1, heads, N, N)
        if shift:
            x = x.roll((-shift, -shift), dims=(1, 2))
            bias = bias + _far_apart(rows, columns, side, shift, x)  # (G, heads, N, N)
        x = x.reshape(batch, rows, side, columns, side, channels).transpose(2, 3)
        x = self.attention(x.reshape(-1, side * side, channels), bias)  # (B * G, N, C)
        x = x.reshape(batch, rows, columns, side, side, channels).transpose(2, 3)
        x = x.reshape(batch, rows * side, columns * side, channels)
        if shift:
            x = x.roll((shift, shift), dims=(1, 2))
        return x[:, :height, :width] if down or along else x


def _far_apart(rows: int, columns: int, side: int, shift: int, like: Tensor) -> Tensor:
    """Return (G, 1, N, N): FAR for each pair of places that do not belong together.

    After the shift the last window of a row or column holds two ends of the map.
    """

    def piece(windows: int) -> Tensor:
        place = torch.arange(windows * side, device=like.device)  # (windows * side,)
        last, wrapped = place >= (windows - 1) * side, place >= windows * side - shift
        return (last.long() + wrapped.long()).reshape(windows, side)

    down, along = piece(rows), piece(columns)  # (rows, side), (columns, side)
    pieces = down[:, None, :, None] * 3 + along[None, :, None, :]  # (rows, columns, side, side)
    pieces = pieces.reshape(rows * columns, 1, side * side)  # (G, 1, N)
    apart = pieces[:, :, :, None] != pieces[:, :, None, :]  # (G, 1, N, N)
    return torch.where(apart, FAR, 0.0).to(like.dtype)


class Merging(nn.Module):
    """Four neighbours become one token of twice the width.

    Args:
        width: Of a token that comes in.
        eps: Of the norm.
    """

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * width, eps=eps)
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H / 2, W / 2, 2 C), odd sizes filled up with zeros."""
        batch, height, width, channels = x.shape
        if height % 2 or width % 2:
            x = F.pad(x, (0, 0, 0, width % 2, 0, height % 2))
        x = x.reshape(batch, (height + 1) // 2, 2, (width + 1) // 2, 2, channels)
        x = x.permute(0, 1, 3, 4, 2, 5).flatten(3)  # (B, H / 2, W / 2, 4 C), column by column
        out: Tensor = self.reduction(self.norm(x))
        return out


def _stage(config: SwinConfig, stage: int) -> Stage:
    """Return one of the four stages, on maps (B, H, W, C)."""
    merging = Merging(config.widths[stage - 1], config.norm_eps) if stage else None
    blocks = (Block(config, stage, shifted=index % 2 == 1) for index in range(config.depths[stage]))
    return Stage(merging, blocks)


class Swin(nn.Module):
    """Patches, four stages, the mean of the normalised last map.

    Args:
        config: Its numbers.

    Attributes:
        blocks: The four stages.
        normalize: Whether the pooled vector leaves with unit L2 norm.
    """

    def __init__(self, config: SwinConfig) -> None:
        super().__init__()
        self.patch = config.patch
        self.normalize = config.normalize
        self.patches = nn.Conv2d(3, config.width, config.patch, stride=config.patch)
        self.patch_norm = nn.LayerNorm(config.width, eps=config.norm_eps)
        self.blocks = nn.ModuleList(_stage(config, stage) for stage in range(len(config.depths)))
        self.norm = nn.LayerNorm(config.dim, eps=config.norm_eps)

    def forward(self, pixels: Tensor) -> Encoded:
        """(B, 3, H, W) -> pooled (B, C), tokens (B, N, C) row by row, pyramid at 4, 8, 16, 32.

        The pyramid's maps leave their stages as they are; `tokens` is the last one, normalised.

        Raises:
            InputError: Height or width is no multiple of the patch.
        """
        check_sides(pixels, self.patch, "cannot be cut into patches of")
        x = self.patch_norm(self.patches(pixels).permute(0, 2, 3, 1))  # (B, H / 4, W / 4, C)
        levels = []
        for stage in self.blocks:
            x = stage(x)
            levels.append(x.permute(0, 3, 1, 2))  # (B, C, H', W')
        tokens = self.norm(x).flatten(1, 2)  # (B, N, C)
        pooled = tokens.mean(dim=1)  # (B, C)
        return Encoded(
            pooled=unit(pooled) if self.normalize else pooled,
            tokens=tokens,
            pyramid=tuple(levels),
        )
