"""Bugs of attention, masks and blocks, in every transformer here."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from tests.mutations.kinds import Mutation, edit, lost, patch
from zoo.nn.rotary import Rope, rotate

VITS = ("vit-b16", "dinov2-b14-reg")
TEXTS = ("all-minilm-l6-v2", "roberta-base")
CLIPS = ("clip-b16-text",)
MIXED = ("vit-b16", "all-minilm-l6-v2", "clip-b16-text", "dinov2-g14")
SITE = "blocks.1.attention"


def attend(
    self: Any,
    x: Tensor,
    mask: Tensor | None = None,
    rope: Rope | None = None,
    *,
    scale: float | None = None,
    order: tuple[int, int, int] = (0, 1, 2),
    interleaved: bool = False,
    causal: bool | None = None,
    masked: float = -math.inf,
    half: bool = False,
) -> Tensor:
    """Attention with one thing wrong; with the defaults it is right."""
    batch, tokens, width = x.shape
    size = width // self.heads
    qkv = self.qkv(x).reshape(batch, tokens, 3, self.heads, size)
    if interleaved:  # the heads of q, k and v one after the other, as GPT-NeoX stores them
        qkv = self.qkv(x).reshape(batch, tokens, self.heads, 3, size).transpose(2, 3)
    parts = qkv.permute(2, 0, 3, 1, 4).unbind(0)
    q, k, v = (parts[place] for place in order)
    if rope is not None:
        q, k = rotate(q, rope), rotate(k, rope)
    logits = q @ k.transpose(-1, -2) * (scale or size**-0.5)
    if mask is not None:
        logits = logits.masked_fill(~mask, masked)
    if self.causal if causal is None else causal:
        ahead = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)
        logits = logits.masked_fill(ahead, -math.inf)
    weights = logits.half().softmax(-1).float() if half else logits.softmax(-1)
    out: Tensor = self.proj((weights @ v).transpose(1, 2).reshape(batch, tokens, width))
    return out


def attention(**wrong: Any) -> Any:
    """Return a mutation of the attention of the last block."""
    return edit(
        lambda net: patch(
            net.blocks[1].attention,
            lambda self, x, mask=None, rope=None: attend(self, x, mask, rope, **wrong),
        )
    )


def _causal(net: Any) -> None:
    for block in net.blocks:
        block.attention.causal = False


def _one_percent(net: Any) -> None:
    net.blocks[1].attention.qkv.bias[3] *= 1.01


def _heads(net: Any) -> None:
    weight = net.blocks[1].attention.proj.weight  # (D, H * size)
    half = weight.shape[1] // 2
    weight.copy_(torch.cat((weight[:, half:], weight[:, :half]), dim=1))


def _swap_blocks(net: Any) -> None:
    one, other = net.blocks[0], net.blocks[1]
    net.blocks[0], net.blocks[1] = other, one


def _without_block(net: Any) -> None:
    patch(net.blocks[1], lambda self, x, *_mask: x)


def _without_residual(net: Any) -> None:
    patch(net.blocks[1].mlp, lambda self, x: type(self).forward(self, x) - x)


def _padding_seen(net: Any) -> None:
    for block in net.blocks:
        patch(block.attention, lambda self, x, mask=None, rope=None: attend(self, x, None, rope))


MUTATIONS = (
    Mutation(
        kind="attention scaled by the width of a token",
        rows=MIXED,
        apply=attention(scale=16**-0.5),
        site=SITE,
        causes=("scale",),
    ),
    Mutation(
        kind="attention without its scale",
        rows=MIXED,
        apply=attention(scale=1.0),
        site=SITE,
        causes=("scale",),
    ),
    Mutation(
        kind="queries and keys swapped",
        rows=MIXED,
        apply=attention(order=(1, 0, 2)),
        site=SITE,
        causes=("queries and keys",),
    ),
    Mutation(
        kind="keys and values swapped",
        causes=("keys and values",),
        rows=MIXED,
        apply=attention(order=(0, 2, 1)),
        site=SITE,
    ),
    Mutation(
        kind="q, k and v of a head interleaved",
        rows=MIXED,
        apply=attention(interleaved=True),
        site=SITE,
        causes=("taken head by head",),
    ),
    Mutation(kind="softmax in half precision", rows=MIXED, apply=attention(half=True), site=SITE),
    Mutation(
        kind="order of heads",
        rows=MIXED,
        apply=edit(_heads),
        site="blocks.1.attention.proj",
        causes=("are taken in the order 2 1",),
    ),
    Mutation(
        kind="a query bias lost",
        rows=MIXED,
        apply=edit(lambda net: lost(net.blocks[1].attention.qkv.bias)),
        site="blocks.1.attention.qkv",
        causes=("bias",),
    ),
    Mutation(
        kind="one number of a bias off by 1 %",
        rows=MIXED,
        apply=edit(_one_percent),
        site="blocks.1.attention.qkv",
    ),
    Mutation(
        kind="a block skipped",
        causes=("does nothing",),
        rows=MIXED,
        apply=edit(_without_block),
        site="blocks.1",
    ),
    Mutation(kind="two blocks swapped", rows=MIXED, apply=edit(_swap_blocks)),
    Mutation(
        kind="a residual sum lost", rows=MIXED, apply=edit(_without_residual), site="blocks.1.mlp"
    ),
    Mutation(
        kind="causal mask lost",
        causes=("causal is",),
        rows=("clip-b16-text", "openclip-b16-text"),
        apply=edit(_causal),
        site="blocks.0.attention",
    ),
    Mutation(
        kind="causal mask where there is none",
        causes=("causal is",),
        rows=("vit-b16", "all-minilm-l6-v2"),
        apply=attention(causal=True),
        site=SITE,
    ),
    Mutation(
        kind="padding is attended to",
        causes=("`mask` is left out",),
        rows=TEXTS,
        apply=edit(_padding_seen),
    ),
    Mutation(
        kind="padding masked by -10 only",
        causes=("batch",),
        rows=TEXTS,
        apply=attention(masked=-10.0),
    ),
)
