"""A language model read as an encoder: Mistral 7B (arXiv 2310.06825), as e5-mistral uses it.

Written after the papers; the order of sums follows transformers 5.23. Matrices stand as they do in
the files, none joined with another, so that they stay mapped to them. Shapes: B texts, N tokens, W
width of a token, H heads, G heads of keys and values, E width of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.encoded import Encoded
from zoo.nn.activations import ACTIVATIONS
from zoo.nn.attend import allow, attend
from zoo.nn.rotary import Rope, line_rope, rotate
from zoo_text.decoder_config import DecoderConfig
from zoo_text.nets.readout import TextEncoder


class Attention(nn.Module):
    """Self-attention of rotated queries and keys; several queries share a key.

    Args:
        config: Of the network.
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        inner, shared = config.heads * config.head_width, config.shared_heads * config.head_width
        self.head_width = config.head_width
        self.sharing = config.heads // config.shared_heads
        self.q = nn.Linear(config.width, inner, bias=False)
        self.k = nn.Linear(config.width, shared, bias=False)
        self.v = nn.Linear(config.width, shared, bias=False)
        self.proj = nn.Linear(inner, config.width, bias=False)

    def forward(self, x: Tensor, rope: Rope, bias: Tensor | None) -> Tensor:
        """(B, N, W), bias broadcast to (B, H, N, N) -> (B, N, W)."""
        q, k, v = (self._split(linear(x)) for linear in (self.q, self.k, self.v))
        q, k = rotate(q, rope), rotate(k, rope)
        x = attend(q, self._repeat(k), self._repeat(v), bias)  # (B, H, N, E)
        out: Tensor = self.proj(x.transpose(1, 2).flatten(2))
        return out

    def _split(self, x: Tensor) -> Tensor:
        """(B, N, H E) -> (B, H, N, E)."""
        return x.reshape(*x.shape[:2], -1, self.head_width).transpose(1, 2)

    def _repeat(self, x: Tensor) -> Tensor:
        """(B, G, N, E) -> (B, H, N, E), each head for as many neighbouring queries."""
        return x[:, :, None].expand(-1, -1, self.sharing, -1, -1).flatten(1, 2)


class Gated(nn.Module):
    """activation(gate) * up, with a matrix for each.

    Args:
        config: Of the network.
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.gate = nn.Linear(config.width, config.hidden, bias=False)
        self.up = nn.Linear(config.width, config.hidden, bias=False)
        self.down = nn.Linear(config.hidden, config.width, bias=False)
        self.activation = ACTIVATIONS[config.activation]

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, W) -> (B, N, W)."""
        out: Tensor = self.down(self.activation(self.gate(x)) * self.up(x))
        return out


class Block(nn.Module):
    """Attention and gated half, each after a norm and with a residual sum.

    Args:
        config: Of the network.
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(config.width, eps=config.eps)
        self.attention = Attention(config)
        self.mlp_norm = nn.RMSNorm(config.width, eps=config.eps)
        self.mlp = Gated(config)

    def forward(self, x: Tensor, rope: Rope, bias: Tensor | None) -> Tensor:
        """(B, N, W), bias broadcast to (B, H, N, N) -> (B, N, W)."""
        x = x + self.attention(self.attention_norm(x), rope, bias)
        out: Tensor = x + self.mlp(self.mlp_norm(x))
        return out


class Decoder(TextEncoder):
    """One vector a text and one a token.

    Args:
        config: Numbers that fix the network.
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__(config)
        self.config = config
        self.words = nn.Embedding(config.vocab, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.RMSNorm(config.width, eps=config.eps)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Encoded:
        """Ids (B, N), mask (B, N) nonzero where real -> pooled (B, D), tokens (B, N, W), mask."""
        x = self.words(input_ids)  # (B, N, W)
        tokens = input_ids.shape[1]
        rope = line_rope(tokens, self.config.head_width, self.config.theta, x)
        bias = self._bias(attention_mask, tokens, x)
        for block in self.blocks:
            x = block(x, rope, bias)
        return self.encoded(self.norm(x), attention_mask)

    def _bias(self, mask: Tensor | None, tokens: int, like: Tensor) -> Tensor | None:
        """(B, N), nonzero where real -> (1 or B, 1, 1 or N, N), 0 where a query sees a key."""
        seen = None if mask is None else mask.bool()[:, None, None, :]
        places = torch.arange(tokens, device=like.device)
        back = places[:, None] - places[None, :]  # (N, N), query's place - key's
        conditions = []
        if self.config.causal:
            conditions.append(back >= 0)
        if self.config.window:
            conditions.append(back.abs() < self.config.window)
        for condition in conditions:
            seen = condition[None, None] if seen is None else seen & condition
        return None if seen is None else allow(seen, like)
