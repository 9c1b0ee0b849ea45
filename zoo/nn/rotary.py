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
