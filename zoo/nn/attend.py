"""Attention alone, for networks that make queries, keys and biases of their own kind."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def attend(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None, *, scale: float | None = None
) -> Tensor:
    """Return softmax(scale q k^T + bias) v.

    Args:
        q: (B, H, M, E).
        k: (B, H, N, E).
        v: (B, H, N, F).
        bias: Broadcast to (B, H, M, N); `key_bias` makes one of a mask.
        scale: By default 1 / sqrt(E).

    Returns:
        (B, H, M, F).
    """
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, N, H E) -> (B, H, N, E)."""
    return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)


def key_bias(mask: Tensor | None, like: Tensor) -> Tensor | None:
    """(B, N), nonzero where real -> (B, 1, 1, N) in the dtype of `like`: the bias of `attend`."""
    return None if mask is None else allow(mask.bool()[:, None, None, :], like)


def allow(seen: Tensor, like: Tensor) -> Tensor:
    """Bool, True where a query sees a key -> 0 there, else the lowest number of `like`'s dtype.

    All conditions belong into one such mask: two of the lowest numbers make an infinity, and a row
    of these no attention at all.
    """
    lowest = like.new_full((), torch.finfo(like.dtype).min)
    return torch.where(seen, like.new_zeros(()), lowest)
