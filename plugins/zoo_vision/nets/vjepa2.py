"""V-JEPA 2's encoder: a vision transformer over tubelets with rotary positions in three directions.

Assran et al., arXiv 2506.09985; facebookresearch/vjepa2, src/models/utils/modules.py (MIT). Shapes:
B clips, T frames, H and W pixels, t, h, w tokens along each, N = t h w, D width, d features of a
head.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.encoded import Encoded
from zoo.nn.mlp import Mlp
from zoo.nn.pool import unit
from zoo_vision.vjepa2_config import VJepa2Config

BASE = 10_000.0

Rope = tuple[Tensor, Tensor]


def clip_rope(grid: tuple[int, int, int], width: int, like: Tensor) -> Rope:
    """Return cosines and sines (N, d): equal parts of a head for time, height, width; none beyond.

    Args:
        grid: t, h, w.
        width: d.
        like: Says dtype and device; angles of 16-bit types are computed in float32.
    """
    frames, rows, columns = grid
    part = 2 * (width // 3 // 2)
    dtype = torch.float64 if like.dtype == torch.float64 else torch.float32
    steps = torch.arange(part // 2, dtype=dtype, device=like.device) / (part / 2)
    speeds = 1.0 / BASE**steps  # (part / 2,)
    time, down, across = (torch.arange(size, dtype=dtype, device=like.device) for size in grid)
    places = (
        time[:, None, None].expand(frames, rows, columns),
        down[None, :, None].expand(frames, rows, columns),
        across[None, None, :].expand(frames, rows, columns),
    )
    angles = [place.reshape(-1, 1) * speeds for place in places]  # (N, part / 2), three times
    # The two features of a pair lie side by side but take their angles from the whole list, written
    # twice: the authors' own form, which turns by two angles at a time.
    angles = [torch.cat((angle, angle), dim=1) for angle in angles]
    rest = steps.new_zeros(frames * rows * columns, width - 3 * part)
    table = torch.cat((*angles, rest), dim=1)  # (N, d)
    return table.cos().to(like.dtype), table.sin().to(like.dtype)


def rotate_pairs(x: Tensor, rope: Rope) -> Tensor:
    """(B, heads, N, d) -> (B, heads, N, d), each feature with its neighbour."""
    cos, sin = rope
    first, second = x.reshape(*x.shape[:-1], -1, 2).unbind(-1)
    turned = torch.stack((-second, first), dim=-1).flatten(-2)
    return x * cos + turned * sin


class Attention(nn.Module):
    """Self-attention with rotated queries and keys.

    Args:
        width: Of a token.
        heads: Number of heads; width is a multiple of it.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, rope: Rope) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        batch, tokens, width = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, heads, N, d)
        x = F.scaled_dot_product_attention(rotate_pairs(q, rope), rotate_pairs(k, rope), v)
        out: Tensor = self.proj(x.transpose(1, 2).reshape(batch, tokens, width))
        return out


class Block(nn.Module):
    """Attention and feed-forward, each normalised first.

    Args:
        config: Of the network.
    """

    def __init__(self, config: VJepa2Config) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.width, eps=config.eps)
        self.attention = Attention(config.width, config.heads)
        self.mlp_norm = nn.LayerNorm(config.width, eps=config.eps)
        self.mlp = Mlp(config.width, config.hidden)

    def forward(self, x: Tensor, rope: Rope) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        x = x + self.attention(self.attention_norm(x), rope)
        hidden: Tensor = self.mlp(self.mlp_norm(x))
        return x + hidden


class VJepa2(nn.Module):
    """One vector a clip and one a tubelet.

    Args:
        config: Numbers that fix the network.

    Attributes:
        normalize: Whether the pooled vector leaves with unit L2 norm.
    """

    def __init__(self, config: VJepa2Config) -> None:
        super().__init__()
        self.normalize = config.normalize
        self.head_width = config.width // config.heads
        tubelet = (config.tubelet, config.patch, config.patch)
        self.stem = nn.Conv3d(3, config.width, tubelet, stride=tubelet)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width, eps=config.eps)

    def forward(self, clip: Tensor) -> Encoded:
        """(B, T, 3, H, W) -> pooled (B, D), tokens (B, N, D), the first frames' first."""
        x = self.stem(clip.transpose(1, 2))  # (B, D, t, h, w)
        rope = clip_rope((x.shape[2], x.shape[3], x.shape[4]), self.head_width, x)
        x = x.flatten(2).transpose(1, 2)  # (B, N, D)
        for block in self.blocks:
            x = block(x, rope)
        x = self.norm(x)
        pooled = x.mean(dim=1)  # (B, D)
        return Encoded(pooled=unit(pooled) if self.normalize else pooled, tokens=x)
