"""Bugs before the first block: patches, words, positions, class token and registers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.mutations.kinds import Mutation, edit, lost, override

TEXTS = ("all-minilm-l6-v2", "roberta-base")


def _interpolated(**options: Any) -> Any:
    def change(net: Any) -> None:
        def positions(table: Tensor, grid: tuple[int, int]) -> Tensor:
            table = table[:, net.config.placed :]
            if grid == net.config.grid:
                return table
            image = table.reshape(1, *net.config.grid, -1).permute(0, 3, 1, 2)
            image = F.interpolate(image, size=grid, **options)
            return image.flatten(2).transpose(1, 2)

        override(net, ("_patch_positions",), positions)

    return edit(change)


def _grid_turned(net: Any) -> None:
    inner = net._patch_positions

    def positions(table: Tensor, grid: tuple[int, int]) -> Tensor:
        rows, columns = grid
        table = inner(table, grid).reshape(1, rows, columns, -1)
        return table.transpose(1, 2).flatten(1, 2)

    override(net, ("_patch_positions",), positions)


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

    override(net.embeddings, ("_position_embeddings",), positions)


def _without_class(net: Any) -> None:
    lost(net.class_token)


MUTATIONS = (
    Mutation(
        kind="positions resampled bilinearly",
        rows=("vit-b16", "dinov2-b14-reg"),
        apply=_interpolated(mode="bilinear"),
        causes=("position_mode is 'linear'",),
    ),
    Mutation(
        kind="positions resampled without antialiasing",
        rows=("dinov2-b14-reg", "dinov2-g14-reg"),
        apply=_interpolated(mode="bicubic"),
        causes=("position_antialias is False",),
    ),
    Mutation(
        kind="positions resampled without the offset",
        rows=("dinov2-b14", "dino-b16"),
        apply=_interpolated(mode="bicubic"),
        causes=("position_offset is 0.0, not 0.1",),
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
        causes=("rows of `positions` are", "rows of `positions.weight` are"),
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
        causes=("`types.weight` is lost",),
    ),
    Mutation(
        kind="class token lost",
        rows=("vit-b16", "clip-b16-image"),
        apply=edit(_without_class),
        causes=("`class_token` is lost",),
    ),
    Mutation(
        kind="registers lost",
        rows=("dinov2-b14-reg", "dinov2-g14-reg"),
        apply=edit(lambda net: lost(net.registers)),
        causes=("`registers` is lost",),
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
)
