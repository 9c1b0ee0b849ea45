"""Bugs before the first block and after the last: tokens, positions, pooling, outputs, batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.mutations.kinds import (
    Mutation,
    batch_changed,
    edit,
    lost,
    noise,
    outputs_changed,
    patch,
)
from zoo.preprocess import Array

TEXTS = ("all-minilm-l6-v2", "roberta-base")
VITS = ("vit-b16", "dinov2-b14-reg")
ALL = ("vit-b16", "all-minilm-l6-v2", "clip-b16-text", "resnet-50")
Found = dict[str, Array]


def _interpolated(**options: Any) -> Any:
    def change(net: Any) -> None:
        def positions(grid: tuple[int, int]) -> Tensor:
            table = net.positions[:, net.config.placed :]
            if grid == net.config.grid:
                return table  # type: ignore[no-any-return]
            image = table.reshape(1, *net.config.grid, -1).permute(0, 3, 1, 2)
            image = F.interpolate(image, size=grid, **options)
            return image.flatten(2).transpose(1, 2)

        net._patch_positions = positions

    return edit(change)


def _grid_turned(net: Any) -> None:
    inner = net._patch_positions

    def positions(grid: tuple[int, int]) -> Tensor:
        rows, columns = grid
        table: Tensor = inner(grid).reshape(1, rows, columns, -1)
        return table.transpose(1, 2).flatten(1, 2)

    net._patch_positions = positions


def _shifted_positions(net: Any) -> None:
    table = net.positions if hasattr(net, "positions") else net.embeddings.positions.weight
    axis = 1 if table.ndim == 3 else 0
    table.copy_(table.roll(1, dims=axis))


def _offset(net: Any) -> None:
    net.embeddings.offset += 1 if net.embeddings.offset else 2
    net.embeddings.positions.weight.data = F.pad(net.embeddings.positions.weight, (0, 0, 0, 2))


def _no_pad_positions(net: Any) -> None:
    def positions(ids: Tensor) -> Tensor:
        table: Tensor = net.embeddings.positions.weight
        return table[: ids.shape[1]]

    net.embeddings._position_embeddings = positions


def _pool(net: Any, pool: Any) -> None:
    net._pool = pool


def _without_class(net: Any) -> None:
    lost(net.class_token)


def _registers_as_tokens(found: Found, _batch: Mapping[str, Array]) -> Found:
    whole = np.concatenate((found["prefix"], found["tokens"]), axis=1)
    start = found["prefix"].shape[1] - 1
    return {**found, "tokens": whole[:, start : start + found["tokens"].shape[1]]}


def _position_of_batch(found: Found, _batch: Mapping[str, Array]) -> Found:
    """The last of several samples gets a little of the first."""
    found = {name: array.copy() for name, array in found.items()}
    if len(found["pooled"]) > 1:
        found["pooled"][-1] += 1e-4 * found["pooled"][0]
    return found


def _large_batches(found: Found, _batch: Mapping[str, Array]) -> Found:
    """Right up to a batch of 4, as an engine with a wrong kernel for larger ones."""
    if len(found["pooled"]) <= 4:
        return found
    return {**found, "pooled": found["pooled"] + 1e-3 * noise(found["pooled"])}


def _frozen(found: Found, _batch: Mapping[str, Array]) -> Found:
    return {name: array[:1] for name, array in found.items()}


def _repeated(found: Found, _batch: Mapping[str, Array]) -> Found:
    return {name: np.repeat(array[:1], len(array), axis=0) for name, array in found.items()}


def _cut_at_eight(batch: Found) -> Found:
    return {name: array[:, :8] for name, array in batch.items()}


def _mean_of_padding(net: Any) -> None:
    _pool(net, lambda tokens, _mask: tokens.mean(dim=1))


def _max_pool(net: Any) -> None:
    _pool(net, lambda tokens, mask: tokens.masked_fill(~mask.bool()[..., None], -1e9).amax(1))


def _last_position(net: Any) -> None:
    net._end = lambda ids: torch.full((len(ids),), ids.shape[1] - 1)


def _not_pooled(found: Found, _batch: Mapping[str, Array]) -> Found:
    return {**found, "pooled": found["tokens"][:, 0]}


def _swap_tokens(found: Found, _batch: Mapping[str, Array]) -> Found:
    return {**found, "tokens": found["tokens"][:, ::-1]}


def _wide_dtype(found: Found, _batch: Mapping[str, Array]) -> Found:
    return {name: array.astype(np.float64) for name, array in found.items()}


def _nothing(found: Found, _batch: Mapping[str, Array]) -> Found:
    return {**found, "pooled": np.full_like(found["pooled"], np.nan)}


def _lost_output(found: Found, _batch: Mapping[str, Array]) -> Found:
    return {name: array for name, array in found.items() if name != "tokens"}


def _turned_image(batch: Found) -> Found:
    return {name: array[:, :, :, ::-1] for name, array in batch.items()}


def _zeroed_extremes(batch: Found) -> Found:
    """Clamp inputs as a graph with a Clip in the wrong place."""
    return {name: array.clip(-1.9, 1.9) for name, array in batch.items()}


def _largest_pool(net: Any) -> None:
    stage = net.blocks[3]
    inner = stage.forward
    patch(stage, lambda _self, x: inner(x) + 1e-4 * inner(x).amax(dim=(2, 3), keepdim=True))


MUTATIONS = (
    Mutation(
        kind="positions resampled bilinearly",
        rows=("vit-b16", "dinov2-b14-reg"),
        apply=_interpolated(mode="bilinear"),
    ),
    Mutation(
        kind="positions resampled without antialiasing",
        rows=("dinov2-b14-reg", "dinov2-g14-reg"),
        apply=_interpolated(mode="bicubic"),
    ),
    Mutation(
        kind="positions resampled without the offset",
        rows=("dinov2-b14", "dino-b16"),
        apply=_interpolated(mode="bicubic"),
    ),
    Mutation(
        kind="positions resampled by the nearest",
        rows=("vit-b16", "dinov2-b14"),
        apply=_interpolated(mode="nearest"),
    ),
    Mutation(
        kind="positions of columns for rows",
        rows=("vit-b16", "dinov2-b14-reg"),
        apply=edit(_grid_turned),
    ),
    Mutation(
        kind="positions off by one",
        rows=("vit-b16", "all-minilm-l6-v2", "clip-b16-text"),
        apply=edit(_shifted_positions),
    ),
    Mutation(kind="first position wrong", rows=TEXTS, apply=edit(_offset)),
    Mutation(
        kind="positions that ignore padding ids",
        rows=("roberta-base", "bge-m3"),
        apply=edit(_no_pad_positions),
    ),
    Mutation(
        kind="token types lost",
        rows=("all-minilm-l6-v2", "roberta-base"),
        apply=edit(lambda net: lost(net.embeddings.types.weight)),
    ),
    Mutation(
        kind="class token lost", rows=("vit-b16", "clip-b16-image"), apply=edit(_without_class)
    ),
    Mutation(
        kind="registers lost",
        rows=("dinov2-b14-reg", "dinov2-g14-reg"),
        apply=edit(lambda net: lost(net.registers)),
    ),
    Mutation(
        kind="a register among the tokens",
        rows=("dinov2-b14-reg", "dinov2-g14-reg"),
        apply=outputs_changed(_registers_as_tokens),
    ),
    Mutation(
        kind="LayerScale lost",
        causes=("does nothing",),
        rows=("dinov2-b14", "dinov2-b14-reg"),
        apply=edit(lambda net: net.blocks[1].scale1.scale.fill_(1.0)),
        site="blocks.1.scale1",
    ),
    Mutation(
        kind="patch bias lost",
        rows=("vit-b16", "dinov2-b14"),
        apply=edit(lambda net: lost(net.patches.bias)),
        site="patches",
        causes=("bias",),
    ),
    Mutation(
        kind="norm before the blocks lost",
        causes=("does nothing",),
        rows=("clip-b16-image", "openclip-b16-image"),
        apply=edit(lambda net: setattr(net, "pre_norm", torch.nn.Identity())),
        site="pre_norm",
    ),
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
    ),
    Mutation(
        kind="L2 norm where there is none",
        rows=("vit-b16", "roberta-base", "resnet-50"),
        apply=edit(lambda net: setattr(net, "normalize", True)),
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
    Mutation(
        kind="result depends on the place in the batch",
        rows=ALL,
        apply=outputs_changed(_position_of_batch),
        causes=("batch",),
    ),
    Mutation(
        kind="wrong for large batches only",
        rows=ALL,
        apply=outputs_changed(_large_batches),
        causes=("batch",),
    ),
    Mutation(kind="batch frozen at 1", rows=ALL, apply=outputs_changed(_frozen)),
    Mutation(
        kind="first sample for all", rows=ALL, apply=outputs_changed(_repeated), causes=("batch",)
    ),
    Mutation(kind="texts cut at 8 tokens", rows=TEXTS, apply=batch_changed(_cut_at_eight)),
    Mutation(
        kind="image mirrored", rows=("vit-b16", "resnet-50"), apply=batch_changed(_turned_image)
    ),
    Mutation(
        kind="inputs clamped",
        rows=("dinov2-b14", "resnet-50"),
        apply=batch_changed(_zeroed_extremes),
    ),
    Mutation(
        kind="outputs in the wrong order",
        causes=("batch",),
        rows=("vit-b16", "all-minilm-l6-v2"),
        apply=outputs_changed(_swap_tokens),
    ),
    Mutation(
        kind="first token named pooled",
        rows=("all-minilm-l6-v2", "mae-b16"),
        apply=outputs_changed(_not_pooled),
    ),
    Mutation(kind="an output lost", rows=ALL, apply=outputs_changed(_lost_output)),
    Mutation(kind="outputs in float64", rows=ALL, apply=outputs_changed(_wide_dtype)),
    Mutation(kind="not a number", rows=ALL, apply=outputs_changed(_nothing)),
)
