"""Bugs of rotary and relative positions, of windows, and of the attention of T5's kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tests.mutations.kinds import Mutation, edit, lost, patch

ROTARY = ("dinov3-b16", "nomic-embed-text-v1.5", "modernbert-embed-base")
TABLES = ("t5-small-encoder", "swin-s", "beit-b16", "data2vec-b16")
WINDOWS = ("swin-s", "simmim-swin-b")
T5 = ("t5-small-encoder", "flan-t5-base-encoder")
XLNETS = ("xlnet-base-cased", "xlnet-large-cased")
SITE = "blocks.1.attention"
Rope = tuple[Tensor, Tensor]


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


def _table(net: Any) -> Tensor:
    """Return the (last) table of relative positions of a network."""
    ends = ("relative.table", ".table")
    tables = [value for name, value in net.named_parameters()
              if name.endswith(ends) or name == "positions.weight"]  # fmt: skip
    found: Tensor = tables[-1]
    return found


def _reversed(net: Any) -> None:
    """What a token is to another, the other is to it: distances with the wrong sign."""
    if hasattr(net, "words"):
        net.positions.buckets = net.positions.buckets.flip(0)
        return
    table = _table(net)
    odd = table.shape[0] - (3 if hasattr(net, "class_token") else 0)  # the class token's own rows
    table[:odd] = table[:odd].flip(0)


def _other_head(net: Any) -> None:
    table = _table(net)
    table.copy_(table.roll(1, dims=1))


def _unshifted(net: Any) -> None:
    assert net.blocks[0].blocks[1].shifted
    net.blocks[0].blocks[1].shifted = False


def _merged_in_another_order(net: Any) -> None:
    weight = net.blocks[1].merging.reduction.weight  # (2 C, 4 C)
    weight.copy_(weight.roll(weight.shape[1] // 4, dims=1))


def _centred(net: Any) -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        return nn.functional.layer_norm(x, self.normalized_shape, self.weight, None, self.eps)

    patch(net.blocks[1].mlp_norm, forward)


def _scaled(net: Any) -> None:
    query = net.blocks[1].attention.q.weight
    query *= (query.shape[0] // net.blocks[1].attention.heads) ** -0.5


MUTATIONS = (
    Mutation(
        kind="rotary angles the other way",
        rows=ROTARY,
        apply=_turned(lambda cos, sin: (cos, -sin)),
        site=SITE,
    ),
    Mutation(
        kind="rotary angles of pairs for halves", rows=ROTARY, apply=_turned(_pairs), site=SITE
    ),
    Mutation(
        kind="rotary angles lost",
        rows=ROTARY,
        apply=_turned(lambda cos, sin: (torch.ones_like(cos), torch.zeros_like(sin))),
        site=SITE,
    ),
    Mutation(kind="relative positions with the wrong sign", rows=TABLES, apply=edit(_reversed)),
    Mutation(
        kind="relative positions lost",
        rows=TABLES,
        apply=edit(lambda net: lost(_table(net))),
        causes=("left out",),
    ),
    Mutation(kind="relative positions of another head", rows=TABLES, apply=edit(_other_head)),
    Mutation(
        kind="windows not shifted", rows=WINDOWS, apply=edit(_unshifted), site="blocks.0.blocks.1"
    ),
    Mutation(
        kind="patches merged in another order",
        rows=WINDOWS,
        apply=edit(_merged_in_another_order),
        site="blocks.1.merging.reduction",
    ),
    Mutation(
        kind="layer norm for RMS norm", rows=T5, apply=edit(_centred), site="blocks.1.mlp_norm"
    ),
    Mutation(
        kind="scale of attention where there is none",
        rows=T5,
        apply=edit(_scaled),
        site="blocks.1.attention.q",
    ),
    Mutation(
        kind="bias of distances lost",
        rows=XLNETS,
        apply=edit(lambda net: lost(net.blocks[1].attention.distance_bias)),
        site=SITE,
    ),
    Mutation(
        kind="norm of distances lost",
        rows=("deberta-v3-small", "deberta-v3-base"),
        apply=edit(lambda net: setattr(net.distances, "norm", nn.Identity())),
        site="distances.norm",
        causes=("does nothing",),
    ),
    Mutation(
        kind="probe of the map pool lost",
        rows=("siglip-b16-image", "siglip2-b16-image"),
        apply=edit(lambda net: lost(net.map_pool.probe)),
        site="map_pool",
    ),
)
