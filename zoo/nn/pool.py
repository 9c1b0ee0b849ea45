"""From tokens to one vector."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def masked_mean(tokens: Tensor, mask: Tensor | None) -> Tensor:
    """(B, N, D), mask (B, N) nonzero where real -> (B, D), the mean of the real tokens.

    Tokens of 16 bits are added up in float32, as `Tensor.mean` does inside: the sum over a long
    text overflows in float16.
    """
    if mask is None:
        return tokens.mean(dim=1)
    weights = mask.to(torch.promote_types(tokens.dtype, torch.float32))[..., None]  # (B, N, 1)
    mean = (tokens * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-9)
    return mean.to(tokens.dtype)


def last_token(tokens: Tensor, mask: Tensor | None) -> Tensor:
    """(B, N, D), mask (B, N), padded on the right -> (B, D), the last real token."""
    if mask is None:
        return tokens[:, -1]
    last = mask.long().sum(dim=1) - 1  # (B,)
    index = last[:, None, None].expand(-1, 1, tokens.shape[-1])  # (B, 1, D)
    return tokens.gather(1, index).squeeze(1)


def unit(vectors: Tensor) -> Tensor:
    """(..., D) -> (..., D) with unit L2 norm; a zero vector stays zero.

    Vectors of 16 bits are scaled in float32: float16 has no number as small as the least norm.
    """
    wide = vectors.to(torch.promote_types(vectors.dtype, torch.float32))
    return F.normalize(wide, dim=-1).to(vectors.dtype)
