"""The encoder of T5: Raffel et al., 2019 (arXiv 1910.10683).

Scores are not scaled by the width of a head, nothing has a bias, norms neither shift nor subtract a
mean, and one table of biases by distance serves all blocks. Written after the paper; the order of
sums follows transformers 5.23. In float16 the products of `mlp.fc2` overflow in large sizes: run
them in float32 or bfloat16. Shapes: B texts, N tokens, W width of a token, H heads, E width of a
head.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.encoded import Encoded
from zoo.nn.attend import attend, key_bias, split_heads
from zoo.nn.mlp import GatedMlp, Mlp
from zoo_text.nets.readout import TextEncoder
from zoo_text.nets.relative import clipped_distances
from zoo_text.t5_config import T5Config


class RelativeBias(nn.Module):
    """What is added to the scores of two tokens by their distance.

    Args:
        config: Of the network.
    """

    buckets: Tensor

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.config = config
        self.weight = nn.Parameter(torch.empty(config.buckets, config.heads))
        nn.init.normal_(self.weight)
        self.register_buffer("buckets", torch.empty(0, dtype=torch.int64), persistent=False)
        self.make_buffers(self.weight.device)

    def make_buffers(self, device: torch.device) -> None:
        """Say which bucket each distance falls into, from the most negative that differs."""
        limit = self.config.max_distance
        buckets = [self.config.bucket(distance) for distance in range(-limit, limit + 1)]
        self.buckets = torch.tensor(buckets, device=device)

    def forward(self, tokens: int) -> Tensor:
        """N -> (1, H, N, N)."""
        index = clipped_distances(tokens, self.config.max_distance, self.weight.device)  # (N, N)
        by_distance = self.weight[self.buckets]  # (2 limit + 1, H)
        return by_distance[index].permute(2, 0, 1)[None]


class Attention(nn.Module):
    """Self-attention without biases or scale.

    Args:
        config: Of the network.
    """

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        inner = config.heads * config.head_width
        self.heads = config.heads
        self.q = nn.Linear(config.width, inner, bias=False)
        self.k = nn.Linear(config.width, inner, bias=False)
        self.v = nn.Linear(config.width, inner, bias=False)
        self.proj = nn.Linear(inner, config.width, bias=False)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """(B, N, W), bias (1 or B, H, N, N) -> (B, N, W)."""
        q, k, v = (split_heads(linear(x), self.heads) for linear in (self.q, self.k, self.v))
        x = attend(q, k, v, bias, scale=1.0)  # (B, H, N, E)
        out: Tensor = self.proj(x.transpose(1, 2).flatten(2))
        return out


class Block(nn.Module):
    """Attention and feed-forward, each after a norm and with a residual sum.

    Args:
        config: Of the network.
    """

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        mlp = GatedMlp if config.gated else Mlp
        self.attention_norm = nn.RMSNorm(config.width, eps=config.eps)
        self.attention = Attention(config)
        self.mlp_norm = nn.RMSNorm(config.width, eps=config.eps)
        self.mlp = mlp(config.width, config.hidden, activation=config.activation, bias=False)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """(B, N, W), bias (1 or B, H, N, N) -> (B, N, W)."""
        x = x + self.attention(self.attention_norm(x), bias)
        out: Tensor = x + self.mlp(self.mlp_norm(x))
        return out


class T5Encoder(TextEncoder):
    """One vector a text and one a token.

    Args:
        config: Numbers that fix the network.
    """

    def __init__(self, config: T5Config) -> None:
        super().__init__(config)
        self.words = nn.Embedding(config.vocab, config.width)
        self.positions = RelativeBias(config)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.RMSNorm(config.width, eps=config.eps)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Encoded:
        """Ids (B, N), mask (B, N) nonzero where real -> pooled (B, D), tokens (B, N, W), mask."""
        x = self.words(input_ids)  # (B, N, W)
        bias = self.positions(input_ids.shape[1])  # (1, H, N, N)
        keys = key_bias(attention_mask, x)  # (B, 1, 1, N)
        if keys is not None:
            bias = bias + keys  # (B, H, N, N)
        for block in self.blocks:
            x = block(x, bias)
        return self.encoded(self.norm(x), attention_mask)
