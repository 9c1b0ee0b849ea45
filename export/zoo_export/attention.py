"""Attention in the form that runtimes run fastest; docs/export.md has the measurements.

The module itself is left as it is: it is the oracle that the graph is proven against.
While it is traced, attention is one operator, and is written out when that becomes ONNX: torch
takes a product of more than two axes apart into views, which took a sixth of an export's time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.nn.attend import allow
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
        windows = 1
        if mask is not None and mask.is_floating_point():
            windows = mask.shape[0]
        elif mask is not None:
            mask = allow(mask, x)
        elif self.causal:
            tokens = x.shape[1]
            mask = x.new_full((), torch.finfo(x.dtype).min).expand(tokens, tokens).triu(1)
        return self._mixed(x, x, mask, rope, rope, windows)

    def first_tokens(
        self, x: Tensor, count: int, mask: Tensor | None = None, rope: Rope | None = None
    ) -> Tensor:
        """(B, N, D) -> (B, count, D): what `forward` gives for the first tokens, and only that."""
        first = None if rope is None else (rope[0][:count], rope[1][:count])
        mask = None if mask is None else mask[:, :, :count]
        return self._mixed(x[:, :count], x, mask, first, rope)

    def _mixed(
        self,
        x: Tensor,
        keys: Tensor,
        mask: Tensor | None,
        q_rope: Rope | None,
        k_rope: Rope | None,
        windows: int = 1,
    ) -> Tensor:
        """(B, M, D), (B, N, D) -> (B, M, D); a mask of W windows (W, H, M, N) is not copied."""
        q = self._split(F.linear(x, self.query_weight, self.query_bias), windows)
        k = self._split(F.linear(keys, self.key_weight, self.key_bias), windows)
        v = self._split(F.linear(keys, self.value_weight, self.value_bias), windows)
        if q_rope is not None and k_rope is not None:
            q, k = rotate(q, q_rope), rotate(k, k_rope)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=1.0)
        out: Tensor = self.proj(mixed.transpose(-3, -2).reshape(x.shape))  # (B, M, D)
        return out

    def _split(self, x: Tensor, windows: int) -> Tensor:
        """(B, N, D) -> (B, H, N, D / H), or (B / W, W, H, N, D / H)."""
        batch, tokens, width = x.shape
        frame = (batch,) if windows == 1 else (-1, windows)
        return x.reshape(*frame, tokens, self.heads, width // self.heads).transpose(-3, -2)


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

    Another library's networks call that one. Of its arguments only those are left that
    `written_out` knows.
    """
    if enable_gqa:
        each = query.shape[-3] // key.shape[-3]
        key, value = (x.repeat_interleave(each, dim=-3) for x in (key, value))
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        attn_mask = allow(attn_mask, query)
    if is_causal:
        lowest = query.new_full((), torch.finfo(query.dtype).min)
        attn_mask = lowest.expand(query.shape[-2], key.shape[-2]).triu(1)
    return F.scaled_dot_product_attention(query, key, value, attn_mask, scale=scale)


def written_out(
    query: Any,  # noqa: ANN401  values of the graph in the making
    key: Any,  # noqa: ANN401
    value: Any,  # noqa: ANN401
    attn_mask: Any = None,  # noqa: ANN401
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:  # noqa: ANN401
    """Write scaled_dot_product_attention as a product, a softmax, a product.

    The exporter's form takes four axes and no others, and looks for rows without any key.
    """
    from onnxscript import opset22 as op

    if scale is None:
        scale = query.shape[-1] ** -0.5
    if scale != 1.0:
        factor: Any = op.Constant(value_float=scale)
        query = op.Mul(query, op.CastLike(factor, query))
    axes = list(range(len(key.shape)))
    scores = op.MatMul(query, op.Transpose(key, perm=[*axes[:-2], axes[-1], axes[-2]]))
    if attn_mask is not None:
        scores = op.Add(scores, attn_mask)
    return op.MatMul(op.Softmax(scores, axis=-1), value)


WRITTEN_OUT: dict[Callable[..., Any], Callable[..., Any]] = {  # for the exporter
    torch.ops.aten.scaled_dot_product_attention.default: written_out
}
