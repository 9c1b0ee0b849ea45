"""Bugs of relative positions, and of the attention and norms of T5's kind."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from tests.mutations.kinds import Mutation, edit, lost, patch

TABLES = ("t5-small-encoder", "swin-s", "beit-b16", "data2vec-b16")
T5 = ("t5-small-encoder", "flan-t5-base-encoder")
XLNETS = ("xlnet-base-cased", "xlnet-large-cased")
DEBERTAS = ("deberta-v3-small", "deberta-v3-base")
MAPS = ("siglip-b16-image", "siglip2-b16-image")
SITE = "blocks.1.attention"


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


def _turned_index(place: int) -> Any:
    """Return a mutation of the distances of the last block, which it is given at some place."""

    def forward(self: Any, *given: Any) -> Tensor:
        changed = [value.T if at == place else value for at, value in enumerate(given)]
        out: Tensor = type(self).forward(self, *changed)
        return out

    return edit(lambda net: patch(net.blocks[1].attention, forward))


def _one_sided(net: Any) -> None:
    """Distances as in a decoder: what follows a token is as near as itself."""
    buckets = net.positions.buckets.clone()
    middle = len(buckets) // 2
    buckets[middle:] = buckets[middle]
    net.positions.buckets = buckets


def _other_head(net: Any) -> None:
    table = _table(net)
    table.copy_(table.roll(1, dims=1))


def _centred(net: Any) -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        return nn.functional.layer_norm(x, self.normalized_shape, self.weight, None, self.eps)

    patch(net.blocks[1].mlp_norm, forward)


def _scaled(net: Any) -> None:
    query = net.blocks[1].attention.q.weight
    query *= (query.shape[0] // net.blocks[1].attention.heads) ** -0.5


def _scale_of_content(net: Any) -> None:
    """The sum of three scores has the scale that one alone should have."""
    net.blocks[1].attention.scale *= 3**0.5


def _opposite(net: Any) -> None:
    part = net.blocks[1].attention
    patch(part, lambda self, x, table, rows, keys: type(self).forward(self, x, -table, rows, keys))


MUTATIONS = (
    Mutation(
        kind="relative positions with the wrong sign",
        rows=TABLES,
        apply=edit(_reversed),
        causes=("query and key are swapped",),
    ),
    Mutation(
        kind="relative positions lost",
        rows=TABLES,
        apply=edit(lambda net: lost(_table(net))),
        causes=("left out", "`weight` is lost", "`table` is lost"),
    ),
    Mutation(
        kind="relative positions of another head",
        rows=TABLES,
        apply=edit(_other_head),
        causes=("heads of `mask` are off by one", "columns of `weight`", "columns of `table`"),
    ),
    Mutation(
        kind="relative positions of a decoder", rows=T5, apply=edit(_one_sided), site="positions"
    ),
    Mutation(
        kind="relative positions of half the size",
        rows=(*TABLES[:1], *TABLES[2:]),
        apply=edit(lambda net: _table(net).mul_(0.5)),
        causes=("all numbers are 0.5 times",),
    ),
    Mutation(
        kind="distances with the wrong sign",
        rows=XLNETS,
        apply=_turned_index(2),
        site=SITE,
        causes=("query and key are swapped in `index`",),
    ),
    Mutation(
        kind="rows of distances with the wrong sign",
        rows=DEBERTAS,
        apply=_turned_index(2),
        site=SITE,
        causes=("query and key are swapped in `rows`",),
    ),
    Mutation(
        kind="distances of the opposite direction",
        rows=DEBERTAS,
        apply=edit(_opposite),
        site=SITE,
    ),
    Mutation(
        kind="three scores with the scale of one",
        rows=DEBERTAS,
        apply=edit(_scale_of_content),
        site=SITE,
        causes=("scale of attention is",),
    ),
    Mutation(
        kind="layer norm for RMS norm",
        rows=T5,
        apply=edit(_centred),
        site="blocks.1.mlp_norm",
        causes=("the mean is taken away",),
    ),
    Mutation(
        kind="scale of attention where there is none",
        rows=T5,
        apply=edit(_scaled),
        site="blocks.1.attention.q",
        causes=("all numbers are 0.5 times",),
    ),
    Mutation(
        kind="bias of distances lost",
        rows=XLNETS,
        apply=edit(lambda net: lost(net.blocks[1].attention.distance_bias)),
        site=SITE,
        causes=("`distance_bias` is lost",),
    ),
    Mutation(
        kind="norm of distances lost",
        rows=DEBERTAS,
        apply=edit(lambda net: setattr(net.distances, "norm", nn.Identity())),
        site="distances.norm",
        causes=("does nothing",),
    ),
    Mutation(
        kind="probe of the map pool lost",
        rows=MAPS,
        apply=edit(lambda net: lost(net.map_pool.probe)),
        site="map_pool",
        causes=("`probe` is lost",),
    ),
)
