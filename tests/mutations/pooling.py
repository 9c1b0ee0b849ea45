"""Bugs after the last block: the final norm, pooling, projection, L2 norm."""

from __future__ import annotations

from typing import Any

import torch

from tests.mutations.kinds import Mutation, edit, lost, override, patch

TEXTS = ("all-minilm-l6-v2", "roberta-base")


def _pool(net: Any, pool: Any) -> None:
    override(net, ("pool", "_pool"), pool)


def _mean_of_padding(net: Any) -> None:
    _pool(net, lambda tokens, _mask: tokens.mean(dim=1))


def _max_pool(net: Any) -> None:
    _pool(net, lambda tokens, mask: tokens.masked_fill(~mask.bool()[..., None], -1e9).amax(1))


def _last_position(net: Any) -> None:
    override(net, ("_end",), lambda ids: torch.full((len(ids),), ids.shape[1] - 1))


def _largest_pool(net: Any) -> None:
    stage = net.blocks[3]
    inner = stage.forward
    patch(stage, lambda _self, x: inner(x) + 1e-4 * inner(x).amax(dim=(2, 3), keepdim=True))


MUTATIONS = (
    Mutation(
        kind="final norm lost",
        causes=("does nothing",),
        rows=("vit-b16", "clip-b16-text"),
        apply=edit(lambda net: setattr(net, "norm", torch.nn.Identity())),
        site="norm",
    ),
    Mutation(
        kind="mean for class token",
        rows=("vit-b16", "dinov2-b14-reg"),
        apply=edit(lambda net: _pool(net, lambda x, prefix: x[:, prefix:].mean(1))),
        causes=("pooling is 'mean', not 'cls'",),
    ),
    Mutation(
        kind="class token for mean",
        rows=("all-minilm-l6-v2", "roberta-base"),
        apply=edit(lambda net: _pool(net, lambda x, mask: x[:, 0])),
    ),
    Mutation(
        kind="pooled token off by one",
        causes=("batch",),
        rows=("vit-b16", "bge-small-en-v1.5"),
        apply=edit(lambda net: _pool(net, lambda x, mask: x[:, 1 % x.shape[1]])),
    ),
    Mutation(
        kind="prefix counted in the mean",
        rows=("mae-b16", "dinov2-b14-reg"),
        apply=edit(lambda net: _pool(net, lambda x, prefix: x.mean(1))),
    ),
    Mutation(
        kind="padding counted in the mean",
        causes=("batch",),
        rows=TEXTS,
        apply=edit(_mean_of_padding),
    ),
    Mutation(kind="largest for mean", rows=TEXTS, apply=edit(_max_pool)),
    Mutation(
        kind="vector of the last position",
        rows=("clip-b16-text", "openclip-b16-text"),
        apply=edit(_last_position),
    ),
    Mutation(
        kind="a little of the largest in the last map",
        rows=("resnet-50", "resnet-18"),
        apply=edit(_largest_pool),
    ),
    Mutation(
        kind="L2 norm lost",
        rows=("all-minilm-l6-v2", "bge-small-en-v1.5"),
        apply=edit(lambda net: setattr(net, "normalize", False)),
        causes=("normalize is False",),
    ),
    Mutation(
        kind="L2 norm where there is none",
        rows=("vit-b16", "roberta-base", "resnet-50"),
        apply=edit(lambda net: setattr(net, "normalize", True)),
        causes=("normalize is True",),
    ),
    Mutation(
        kind="projection lost its last column",
        rows=("clip-b16-image", "clip-b16-text"),
        apply=edit(lambda net: lost(net.projection.weight[:, -1])),
        site="projection",
    ),
    Mutation(
        kind="pooler without tanh",
        rows=("simcse-sup-bert-base", "simcse-sup-roberta-base"),
        apply=edit(lambda net: _pool(net, lambda x, mask: net.pooler(x[:, 0]))),
    ),
)
