"""Attention in the form that runtimes run fastest; docs/export.md has the measurements.

The module itself is left as it is: it is the oracle that the graph is proven against.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from zoo.nn.attention import SelfAttention
from zoo.nn.rotary import Rope, rotate


class PlainAttention(nn.Module):
    """What SelfAttention computes: three projections, a product, a softmax, a product.

    Query, key and value have a product each: one fused product would have to be cut apart again,
    which copies it. The scale of the query is in its weights. Masks are added, so that no operator
    looks for rows without any key, of which an encoder has none.

    Args:
        attention: Whose weights are taken; key and value share its memory.
    """

    def __init__(self, attention: SelfAttention) -> None:
        super().__init__()
        self.heads = attention.heads
        self.causal = attention.causal
        self.proj = attention.proj
        width = attention.proj.in_features
        scale = (width // attention.heads) ** -0.5
        weights = attention.qkv.weight.detach().chunk(3)
        self.query_weight = nn.Parameter(weights[0] * scale, requires_grad=False)
        self.key_weight, self.value_weight = (
            nn.Parameter(weight, requires_grad=False) for weight in weights[1:]
        )
        self.query_bias = self.key_bias = self.value_bias = None
        bias = attention.qkv_bias()
        if bias is not None:
            biases = bias.detach().chunk(3)
            self.query_bias = nn.Parameter(biases[0] * scale, requires_grad=False)
            self.key_bias, self.value_bias = (
                nn.Parameter(bias, requires_grad=False) for bias in biases[1:]
            )

    def forward(self, x: Tensor, mask: Tensor | None = None, rope: Rope | None = None) -> Tensor:
        """(B, N, D) -> (B, N, D), with SelfAttention's masks and rotations."""
        tokens = x.shape[1]
        scores = self._scores(x, x, rope, rope)  # (B, H, N, N)
        lowest = x.new_full((), torch.finfo(x.dtype).min)
        if mask is not None and mask.is_floating_point():
            # (B / W, W, H, N, N): the mask itself is not copied for every W samples
            scores = (scores.reshape(-1, mask.shape[0], *scores.shape[1:]) + mask).flatten(0, 1)
        elif mask is not None:
            scores = scores + torch.where(mask, x.new_zeros(()), lowest)
        if self.causal:
            scores = scores + lowest.expand(tokens, tokens).triu(1)
        return self._mixed(scores, x)

    def first_tokens(
        self, x: Tensor, count: int, mask: Tensor | None = None, rope: Rope | None = None
    ) -> Tensor:
        """(B, N, D) -> (B, count, D): what `forward` gives for the first tokens, and only that."""
        first = None if rope is None else (rope[0][:count], rope[1][:count])
        scores = self._scores(x[:, :count], x, first, rope)  # (B, H, count, N)
        return self._mixed(scores if mask is None else scores + mask[:, :, :count], x)

    def _scores(self, x: Tensor, keys: Tensor, q_rope: Rope | None, k_rope: Rope | None) -> Tensor:
        """(B, M, D), (B, N, D) -> (B, H, M, N), scaled."""
        q = self._split(F.linear(x, self.query_weight, self.query_bias)).transpose(1, 2)
        k = self._split(F.linear(keys, self.key_weight, self.key_bias))
        if q_rope is None or k_rope is None:
            return q @ k.permute(0, 2, 3, 1)
        return rotate(q, q_rope) @ rotate(k.transpose(1, 2), k_rope).transpose(2, 3)

    def _mixed(self, scores: Tensor, values: Tensor) -> Tensor:
        """(B, H, M, N), (B, N, D) -> (B, M, D)."""
        v = self._split(F.linear(values, self.value_weight, self.value_bias)).transpose(1, 2)
        x = scores.softmax(dim=-1) @ v  # (B, H, M, D / H)
        x = x.transpose(1, 2).reshape(values.shape[0], scores.shape[2], values.shape[2])
        out: Tensor = self.proj(x)  # (B, M, D)
        return out

    def _split(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, H, D / H)."""
        batch, tokens, width = x.shape
        return x.reshape(batch, tokens, self.heads, width // self.heads)


@contextmanager
def plain_attention(module: nn.Module) -> Iterator[dict[str, SelfAttention]]:
    """Put PlainAttention in the place of every SelfAttention of a module, for a while.

    Yields:
        Name of each place to what stood there.
    """
    places = [
        (parent, name, child)
        for parent in module.modules()
        for name, child in parent.named_children()
        if isinstance(child, SelfAttention)
    ]
    replaced = {name: child for name, child in module.named_modules()
                if isinstance(child, SelfAttention)}  # fmt: skip
    for parent, name, child in places:
        setattr(parent, name, PlainAttention(child))
    try:
        yield replaced
    finally:
        for parent, name, child in places:
            setattr(parent, name, child)


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """(..., M, E), (..., N, E), (..., N, F) -> (..., M, F), as torch's function of that name.

    Another library's networks call that one. The exporter's form takes four axes and no others,
    and looks for rows without any key.
    """
    if enable_gqa:
        each = query.shape[-3] // key.shape[-3]
        key, value = (x.repeat_interleave(each, dim=-3) for x in (key, value))
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    scores = (query * scale) @ key.transpose(-2, -1)  # (..., M, N)
    lowest = scores.new_full((), torch.finfo(scores.dtype).min)
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores + torch.where(attn_mask, scores.new_zeros(()), lowest)
    elif attn_mask is not None:
        scores = scores + attn_mask
    if is_causal:
        scores = scores + lowest.expand(scores.shape[-2:]).triu(1)
    return scores.softmax(dim=-1) @ value


class PlainCalls(TorchFunctionMode):
    """While it is entered, torch's own attention is computed by `attention`, whoever asks."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401  whatever the function returns
        """Call a function of torch's, or `attention` in the place of its own."""
        chosen = attention if func is F.scaled_dot_product_attention else func
        return chosen(*args, **(kwargs or {}))
