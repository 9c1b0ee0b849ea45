"""XLNet: Yang et al., 2019 (arXiv 1906.08237), as an encoder: no memory, no permutation.

A score has three parts: content to content, content to distance, content to whether both tokens are
of one segment. A text is one segment and the class token that ends it another. Written after the
paper; the order of sums follows transformers 5.23. Shapes: B texts, N tokens, W width of a token, H
heads, E width of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.encoded import Encoded
from zoo.nn.attend import attend, key_bias, split_heads
from zoo.nn.mlp import Mlp
from zoo_text.nets.readout import TextEncoder
from zoo_text.xlnet_config import XlnetConfig

_BASE = 10_000.0  # of the sinusoids' wave lengths


class Attention(nn.Module):
    """Self-attention with distances and segments.

    Args:
        config: Of the network.
    """

    def __init__(self, config: XlnetConfig) -> None:
        super().__init__()
        shape = (config.heads, config.width // config.heads)
        self.heads = config.heads
        self.scale = shape[1] ** -0.5
        self.q = nn.Linear(config.width, config.width, bias=False)
        self.k = nn.Linear(config.width, config.width, bias=False)
        self.v = nn.Linear(config.width, config.width, bias=False)
        self.distance = nn.Linear(config.width, config.width, bias=False)
        self.proj = nn.Linear(config.width, config.width, bias=False)
        self.content_bias = nn.Parameter(torch.zeros(shape))
        self.distance_bias = nn.Parameter(torch.zeros(shape))
        self.segment_bias = nn.Parameter(torch.zeros(shape))
        self.segments = nn.Parameter(torch.zeros(2, *shape))  # the same, another

    def forward(
        self, x: Tensor, waves: Tensor, index: Tensor, apart: Tensor, keys: Tensor | None
    ) -> Tensor:
        """(B, N, W) -> (B, N, W).

        Args:
            x: The tokens.
            waves: (1, 2 N - 1, W), the sinusoids of all distances.
            index: (N, N), which of them belongs to a query and a key.
            apart: (B, 1, N, N) bool, whether the two are of different segments.
            keys: (B, 1, 1, N), what masked keys are lowered by.
        """
        q, k, v = (split_heads(linear(x), self.heads) for linear in (self.q, self.k, self.v))
        far = split_heads(self.distance(waves), self.heads)  # (1, H, 2 N - 1, E)
        to_distance = (q + self.distance_bias[:, None]) @ far.transpose(2, 3)
        to_distance = to_distance.gather(3, index.expand(*q.shape[:2], -1, -1))  # (B, H, N, N)
        to_segment = (q + self.segment_bias[:, None]) @ self.segments.permute(1, 2, 0)
        to_segment = torch.where(apart, to_segment[..., 1:], to_segment[..., :1])  # (B, H, N, N)
        bias = (to_distance + to_segment) * self.scale
        if keys is not None:
            bias = bias + keys
        x = attend(q + self.content_bias[:, None], k, v, bias)  # (B, H, N, E)
        out: Tensor = self.proj(x.transpose(1, 2).flatten(2))
        return out


class Block(nn.Module):
    """Attention and feed-forward, each with its residual sum and a layer norm after it.

    Args:
        config: Of the network.
    """

    def __init__(self, config: XlnetConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.attention_norm = nn.LayerNorm(config.width, eps=config.eps)
        self.mlp = Mlp(config.width, config.hidden, activation=config.activation)
        self.mlp_norm = nn.LayerNorm(config.width, eps=config.eps)

    def forward(
        self, x: Tensor, waves: Tensor, index: Tensor, apart: Tensor, keys: Tensor | None
    ) -> Tensor:
        """(B, N, W) -> (B, N, W), with the arguments of `Attention`."""
        x = self.attention_norm(self.attention(x, waves, index, apart, keys) + x)
        out: Tensor = self.mlp_norm(self.mlp(x) + x)
        return out


class Xlnet(TextEncoder):
    """One vector a text and one a token.

    Args:
        config: Numbers that fix the network.
    """

    def __init__(self, config: XlnetConfig) -> None:
        super().__init__(config)
        self.words = nn.Embedding(config.vocab, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Encoded:
        """Ids (B, N), mask (B, N) nonzero where real -> pooled (B, D), tokens (B, N, W), mask."""
        x = self.words(input_ids)  # (B, N, W)
        tokens = input_ids.shape[1]
        places = torch.arange(tokens, device=x.device)
        index = places[:, None] - places[None, :] + (tokens - 1)  # (N, N), 0 for the furthest key
        last = tokens - 1 if attention_mask is None else attention_mask.sum(1, keepdim=True) - 1
        end = (places == last).reshape(-1, 1, tokens)  # (1 or B, 1, N), the class token
        apart = end[..., :, None] != end[..., None, :]  # (1 or B, 1, N, N)
        waves, keys = _waves(tokens, x), key_bias(attention_mask, x)
        for block in self.blocks:
            x = block(x, waves, index, apart, keys)
        return self.encoded(x, attention_mask)


def _waves(tokens: int, like: Tensor) -> Tensor:
    """N -> (1, 2 N - 1, W), sinusoids of query's place - key's, from the most negative."""
    dtype = torch.float64 if like.dtype == torch.float64 else torch.float32
    width = like.shape[2]
    distances = torch.arange(1 - tokens, tokens, device=like.device).to(dtype)  # (2 N - 1,)
    features = torch.arange(0, width, 2, device=like.device).to(dtype)  # (W / 2,)
    angles = distances[:, None] * (1 / _BASE ** (features / width))
    return torch.cat((angles.sin(), angles.cos()), dim=-1)[None].to(like.dtype)
