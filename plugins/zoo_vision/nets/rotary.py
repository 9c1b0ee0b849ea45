"""Rotary positions on a grid: half of a head turns with the row, half with the column.

DINOv3, arXiv 2508.10104; order of operations as in timm's RotaryEmbeddingDinoV3 (version 1.0.31,
Apache-2.0). The periods are those of the formula, as in timm and transformers; timm notes that the
authors' own files hold them rounded to bfloat16.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo.nn.rotary import Rope


def axial_rope(grid: tuple[int, int], *, prefix: int, head: int, base: float, like: Tensor) -> Rope:
    """Return the rotations of prefix tokens, which do not turn, and of a grid's patches.

    Args:
        grid: Rows, columns of patches.
        prefix: Tokens before the patches.
        head: Width of a head, a multiple of 4.
        base: Of the periods, which grow from 1 to nearly this.
        like: Has the device and dtype of the result; angles are computed in float32 or better.
    """
    dtype = torch.float64 if like.dtype == torch.float64 else torch.float32

    def angles(places: int) -> Tensor:
        steps = torch.arange(places, device=like.device, dtype=dtype)
        coordinates = 2 * ((steps + 0.5) / places) - 1  # (places,), centres of patches in [-1, 1]
        exponents = 2 * torch.arange(head // 4, device=like.device, dtype=dtype) / (head // 2)
        return 2 * math.pi * coordinates[:, None] / base**exponents  # (places, head / 4)

    rows, columns = grid
    down = angles(rows)[:, None].expand(rows, columns, -1)
    along = angles(columns)[None].expand(rows, columns, -1)
    both = torch.cat((down, along), dim=-1).flatten(0, 1)  # (N, head / 2)
    turns = F.pad(torch.cat((both, both), dim=-1), (0, 0, prefix, 0))  # (P + N, head)
    return turns.cos().to(like.dtype), turns.sin().to(like.dtype)
