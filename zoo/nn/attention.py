"""Multi-head self-attention with one fused query-key-value projection."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.nn.rotary import Rope, rotate


class SelfAttention(nn.Module):
    """Scaled dot-product self-attention.

    Args:
        width: Of a token.
        heads: Number of heads; width is a multiple of it.
        qkv_bias: Whether the fused projection has a bias.
        key_bias: Whether keys have a part in it; without, queries and values have one each.
        causal: Whether a token sees only itself and earlier ones.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        qkv_bias: bool = True,
        key_bias: bool = True,
        causal: bool = False,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.causal = causal
        self.qkv = nn.Linear(width, 3 * width, bias=qkv_bias and key_bias)
        apart = qkv_bias and not key_bias
        self.q_bias = nn.Parameter(torch.zeros(width)) if apart else None
        self.v_bias = nn.Parameter(torch.zeros(width)) if apart else None
        self.proj = nn.Linear(width, width)

    def qkv_bias(self) -> Tensor | None:
        """Return the bias (3 D,) of queries, keys and values, or None."""
        if self.q_bias is None or self.v_bias is None:
            return self.qkv.bias
        return torch.cat((self.q_bias, torch.zeros_like(self.q_bias), self.v_bias))

    def forward(self, x: Tensor, mask: Tensor | None = None, rope: Rope | None = None) -> Tensor:
        """(B, N, D) -> (B, N, D).

        Args:
            x: The tokens.
            mask: (B, 1, 1, N) bool with True where a key is real; or floats (W, H or 1, N, N) that
                are added to the scores, the same for every W samples.
            rope: What queries and keys are rotated by.
        """
        batch, tokens, width = x.shape
        qkv = self.qkv(x) if self.q_bias is None else F.linear(x, self.qkv.weight, self.qkv_bias())
        qkv = qkv.reshape(batch, tokens, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, H, N, D / H)
        if rope is not None:
            q, k = rotate(q, rope), rotate(k, rope)
        if mask is not None and mask.is_floating_point() and mask.shape[0] != 1:
            repeats = batch // mask.shape[0]
            mask = mask[None].expand(repeats, -1, -1, -1, -1).flatten(0, 1)  # (B, H, N, N)
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=self.causal)
        x = x.transpose(1, 2).reshape(batch, tokens, width)  # (B, N, D)
        out: Tensor = self.proj(x)
        return out

    def first_tokens(
        self, x: Tensor, count: int, mask: Tensor | None = None, rope: Rope | None = None
    ) -> Tensor:
        """(B, N, D) -> (B, count, D): what `forward` gives for the first tokens, and only that.

        The mask, if there is one, is of floats and the same for all samples.
        """
        batch, tokens, width = x.shape
        bias = self.qkv_bias()
        q_bias, kv_bias = (None, None) if bias is None else (bias[:width], bias[width:])
        q = F.linear(x[:, :count], self.qkv.weight[:width], q_bias)  # (B, count, D)
        kv = F.linear(x, self.qkv.weight[width:], kv_bias)  # (B, N, 2 D)
        q = q.reshape(batch, count, self.heads, -1).transpose(1, 2)  # (B, H, count, D / H)
        kv = kv.reshape(batch, tokens, 2, self.heads, -1)
        k, v = kv.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, H, N, D / H)
        if rope is not None:
            q, k = rotate(q, (rope[0][:count], rope[1][:count])), rotate(k, rope)
        mask = None if mask is None else mask[:, :, :count]
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x.transpose(1, 2).reshape(batch, count, width)  # (B, count, D)
        out: Tensor = self.proj(x)
        return out


def key_mask(mask: Tensor | None) -> Tensor | None:
    """(B, N), nonzero where a token is real -> (B, 1, 1, N) bool for `SelfAttention`."""
    return None if mask is None else mask.bool()[:, None, None, :]
