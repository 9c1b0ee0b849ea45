"""Multi-head self-attention with one fused query-key-value projection."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class SelfAttention(nn.Module):
    """Scaled dot-product self-attention.

    Args:
        width: Of a token.
        heads: Number of heads; width is a multiple of it.
        qkv_bias: Whether the fused projection has a bias.
        causal: Whether a token sees only itself and earlier ones.
    """

    def __init__(
        self, width: int, heads: int, *, qkv_bias: bool = True, causal: bool = False
    ) -> None:
        super().__init__()
        self.heads = heads
        self.causal = causal
        self.qkv = nn.Linear(width, 3 * width, bias=qkv_bias)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, N, D), mask (B, 1, 1, N) bool with True where a key is real -> (B, N, D)."""
        batch, tokens, width = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, H, N, D / H)
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=self.causal)
        x = x.transpose(1, 2).reshape(batch, tokens, width)  # (B, N, D)
        out: Tensor = self.proj(x)
        return out

    def first_tokens(self, x: Tensor, count: int) -> Tensor:
        """(B, N, D) -> (B, count, D): what `forward` gives for the first tokens, and only that."""
        batch, tokens, width = x.shape
        bias = self.qkv.bias
        q_bias, kv_bias = (None, None) if bias is None else (bias[:width], bias[width:])
        q = F.linear(x[:, :count], self.qkv.weight[:width], q_bias)  # (B, count, D)
        kv = F.linear(x, self.qkv.weight[width:], kv_bias)  # (B, N, 2 D)
        q = q.reshape(batch, count, self.heads, -1).transpose(1, 2)  # (B, H, count, D / H)
        kv = kv.reshape(batch, tokens, 2, self.heads, -1)
        k, v = kv.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, H, N, D / H)
        x = F.scaled_dot_product_attention(q, k, v)
        x = x.transpose(1, 2).reshape(batch, count, width)  # (B, count, D)
        out: Tensor = self.proj(x)
        return out


def key_mask(mask: Tensor | None) -> Tensor | None:
    """(B, N), nonzero where a token is real -> (B, 1, 1, N) bool for `SelfAttention`."""
    return None if mask is None else mask.bool()[:, None, None, :]
