"""Bugs of rotary positions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.mutations.kinds import Mutation, edit, patch
from zoo.nn.attend import split_heads
from zoo.nn.rotary import Rope, line_rope, rotate

ROTARY = ("dinov3-b16", "nomic-embed-text-v1.5", "modernbert-embed-base")
GRIDS = ("dinov3-b16", "dinov3-s16plus")
LINES = ("nomic-embed-text-v1.5", "modernbert-embed-base")
SITE = "blocks.1.attention"


def _turned(change: Callable[[Tensor, Tensor], Rope]) -> Any:
    """Return a mutation of the rotations that the last block's attention gets."""

    def forward(self: Any, x: Tensor, *rest: Any) -> Tensor:
        if hasattr(rest[0], "rope"):  # what it sees comes in one record
            rest = (rest[0]._replace(rope=change(*rest[0].rope)),)
        else:
            mask, rope = rest
            rest = (mask, change(*rope))
        out: Tensor = type(self).forward(self, x, *rest)
        return out

    return edit(lambda net: patch(net.blocks[1].attention, forward))


def _pairs(cos: Tensor, sin: Tensor) -> Rope:
    """Angles for neighbours, as GPT-J pairs features, where halves are rotated."""
    half = cos.shape[-1] // 2
    return tuple(part[..., :half].repeat_interleave(2, dim=-1) for part in (cos, sin))  # type: ignore[return-value]


def _base(factor: float) -> Any:
    """Return a mutation to a base that is so many times that of networks of today."""
    return _turned(lambda cos, sin: line_rope(cos.shape[0], cos.shape[1], factor * 1e6, cos))


def _columns_first(cos: Tensor, sin: Tensor) -> Rope:
    """The column turns the features that the row should, and the other way round."""
    order = (1, 0, 3, 2)
    found = (torch.cat([part.chunk(4, dim=-1)[p] for p in order], dim=-1)
             for part in (cos, sin))  # fmt: skip
    return tuple(found)  # type: ignore[return-value]


def _half_a_head(cos: Tensor, sin: Tensor) -> Rope:
    """Every second pair of features does not turn, as in networks that rotate a part of a head."""
    still = torch.arange(cos.shape[1]) % 2 == 1
    return cos.masked_fill(still, 1.0), sin.masked_fill(still, 0.0)


def _rotated(
    queries: Callable[[Tensor, Rope], Tensor], keys: Callable[[Tensor, Rope], Tensor]
) -> Any:
    """Return a mutation of how the last block's attention rotates, written out."""

    def forward(self: Any, x: Tensor, *rest: Any) -> Tensor:
        rope = rest[0].rope if hasattr(rest[0], "rope") else rest[1]
        bias = rest[0].bias if hasattr(rest[0], "rope") else rest[0]
        if hasattr(self, "qkv"):
            found = F.linear(x, self.qkv.weight, self.qkv_bias()).chunk(3, dim=-1)
        else:
            found = (self.q(x), self.k(x), self.v(x))
        q, k, v = (split_heads(part, self.heads) for part in found)
        q, k = queries(q, rope), keys(k, rope)
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        out: Tensor = self.proj(x.transpose(1, 2).flatten(2))
        return out

    return edit(lambda net: patch(net.blocks[1].attention, forward))


def _neighbours(x: Tensor, rope: Rope) -> Tensor:
    """Rotate features 0 and 1, 2 and 3, ... against each other."""
    cos, sin = (part[:, : part.shape[1] // 2] for part in rope)
    even, odd = x[..., ::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, odd * cos + even * sin), dim=-1).flatten(-2)


MUTATIONS = (
    Mutation(
        kind="rotary angles the other way",
        rows=ROTARY,
        apply=_turned(lambda cos, sin: (cos, -sin)),
        site=SITE,
        causes=("turn the other way",),
    ),
    Mutation(
        kind="rotary angles of pairs for halves",
        rows=ROTARY,
        apply=_turned(_pairs),
        site=SITE,
        causes=("angles are those of neighbouring",),
    ),
    Mutation(
        kind="rotary angles lost",
        rows=ROTARY,
        apply=_turned(lambda cos, sin: (torch.ones_like(cos), torch.zeros_like(sin))),
        site=SITE,
        causes=("rotations are left out",),
    ),
    Mutation(
        kind="rotary angles of another base",
        rows=LINES,
        apply=_base(1.0),
        site=SITE,
        causes=("base of the rotations is 1e+06",),
    ),
    Mutation(kind="rotary angles of a base of their own", rows=LINES, apply=_base(0.03), site=SITE),
    Mutation(
        kind="rotary angles of columns for rows",
        rows=GRIDS,
        apply=_turned(_columns_first),
        site=SITE,
        causes=("rows and columns are swapped",),
    ),
    Mutation(
        kind="rotary angles of the token before",
        rows=GRIDS,
        apply=_turned(lambda cos, sin: (cos.roll(1, 0), sin.roll(1, 0))),
        site=SITE,
        causes=("rotations are off by one token",),
    ),
    Mutation(
        kind="rotary angles of half a head",
        rows=ROTARY,
        apply=_turned(_half_a_head),
        site=SITE,
    ),
    Mutation(
        kind="neighbouring features rotated for halves",
        rows=ROTARY,
        apply=_rotated(_neighbours, _neighbours),
        site=SITE,
        causes=("neighbouring features are rotated",),
    ),
    Mutation(
        kind="keys not rotated",
        rows=ROTARY,
        apply=_rotated(rotate, lambda x, _rope: x),
        site=SITE,
    ),
)
