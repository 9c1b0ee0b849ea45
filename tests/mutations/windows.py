"""Bugs of windows: where they lie, what may be seen in them, how maps are cut and merged."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.mutations.kinds import Mutation, edit, patch
from zoo_vision.nets.relative import bias_from
from zoo_vision.nets.swin import _far_apart

WINDOWS = ("swin-s", "simmim-swin-b")
SITE = "blocks.0.blocks.1"  # shifted, and the map has several windows


def attend(
    self: Any,
    x: Tensor,
    *,
    shift: int | None = None,
    back: int | None = None,
    apart: bool = True,
    strips: bool = False,
    columns: bool = False,
) -> Tensor:
    """Attention in windows with one thing wrong; with the defaults it is right."""
    batch, height, width, channels = x.shape
    side = self.window
    right = side // 2 if self.shifted and min(height, width) > side else 0
    shift = right if shift is None else shift
    back = shift if back is None else back
    x = F.pad(x, (0, 0, 0, -width % side, 0, -height % side))
    rows, cuts = x.shape[1] // side, x.shape[2] // side
    x = x.roll((-shift, -shift), dims=(1, 2))
    bias = bias_from(self.table, self.index)
    if right and apart:
        bias = bias + _far_apart(rows, cuts, side, right, x)
    axes = (0, 1, 3, 4, 2, 5) if columns else (0, 1, 3, 2, 4, 5)
    if strips:  # pieces of rows, as they lie in memory
        axes = (0, 1, 2, 3, 4, 5)
    cut = x.reshape(batch, rows, side, cuts, side, channels).permute(axes)
    out = self.attention(cut.reshape(-1, side * side, channels), bias).reshape(cut.shape)
    inverse = torch.tensor(axes).argsort().tolist()
    x = out.permute(inverse).reshape(batch, rows * side, cuts * side, channels)
    return x.roll((back, back), dims=(1, 2))[:, :height, :width]


def windows(**wrong: Any) -> Any:
    """Return a mutation of the second block of the first stage."""

    def change(net: Any) -> None:
        block = net.get_submodule(SITE)
        assert block.shifted
        block._attend = lambda x: attend(block, x, **wrong)

    return edit(change)


def _unshifted(net: Any) -> None:
    net.get_submodule(SITE).shifted = False


def _merged_in_another_order(net: Any) -> None:
    weight = net.blocks[1].merging.reduction.weight  # (2 C, 4 C)
    weight.copy_(weight.roll(weight.shape[1] // 4, dims=1))


def _merged_row_by_row(net: Any) -> None:
    """Four neighbours are joined row by row, as another library does, with weights for columns."""

    def forward(self: Any, x: Tensor) -> Tensor:
        batch, height, width, channels = x.shape
        x = F.pad(x, (0, 0, 0, width % 2, 0, height % 2))
        x = x.reshape(batch, -(-height // 2), 2, -(-width // 2), 2, channels)
        out: Tensor = self.reduction(self.norm(x.transpose(2, 3).flatten(3)))
        return out

    patch(net.blocks[1].merging, forward)


MUTATIONS = (
    Mutation(
        kind="windows not shifted",
        rows=WINDOWS,
        apply=edit(_unshifted),
        site=SITE,
        causes=("shifted is False",),
    ),
    Mutation(
        kind="windows shifted the other way",
        rows=WINDOWS,
        apply=windows(shift=-1),
        site=SITE,
        causes=("windows lie -2 places further",),
    ),
    Mutation(kind="windows not shifted back", rows=WINDOWS, apply=windows(back=0), site=SITE),
    Mutation(
        kind="windows that see both ends of the map",
        rows=WINDOWS,
        apply=windows(apart=False),
        site=f"{SITE}.attention",
        causes=("the first of `mask` stands for all",),
    ),
    Mutation(
        kind="windows made of pieces of rows", rows=WINDOWS, apply=windows(strips=True), site=SITE
    ),
    Mutation(
        kind="windows read column by column", rows=WINDOWS, apply=windows(columns=True), site=SITE
    ),
    Mutation(
        kind="patches merged in another order",
        rows=WINDOWS,
        apply=edit(_merged_in_another_order),
        site="blocks.1.merging.reduction",
        causes=("are taken in the order 2 3 4 1",),
    ),
    Mutation(
        kind="patches merged row by row",
        rows=WINDOWS,
        apply=edit(_merged_row_by_row),
        site="blocks.1.merging",
        causes=("come in the order 1 3 2 4",),
    ),
)
