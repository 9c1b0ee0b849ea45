"""Rotary positions: queries and keys turn by angles that depend on where their tokens stand.

Su et al., "RoFormer", arXiv 2104.09864, in the form that rotates the halves of a head against each
other. Shapes: B samples, H heads, N tokens, d features of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor

Rope = tuple[Tensor, Tensor]
"""Cosines and sines (N, d) of the tokens' angles, each half of d the same."""


def rotate(x: Tensor, rope: Rope) -> Tensor:
    """(B, H, N, d) -> (B, H, N, d)."""
    cos, sin = rope
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


def line_rope(tokens: int, width: int, base: float, like: Tensor) -> Rope:
    """Return the rotations of tokens that stand in a line, in the dtype of `like`.

    Args:
        tokens: N, the first at place 0.
        width: d, features of a head.
        base: The slowest pair of features turns by nearly 1 / base a token.
        like: Says dtype and device; angles of 16-bit types are computed in float32.
    """
    dtype = torch.float64 if like.dtype == torch.float64 else torch.float32
    places = torch.arange(tokens, device=like.device).to(dtype)  # (N,)
    features = torch.arange(0, width, 2, device=like.device).to(dtype)  # (d / 2,)
    angles = places[:, None] * (1.0 / base ** (features / width))  # (N, d / 2)
    angles = torch.cat((angles, angles), dim=-1)  # (N, d)
    return angles.cos().to(like.dtype), angles.sin().to(like.dtype)
