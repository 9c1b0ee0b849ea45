"""BERT's blocks with rotary positions and gated halves: Nomic's BERT and ModernBERT.

Nussbaum et al., 2024 (arXiv 2402.01613); Warner et al., 2024 (arXiv 2412.13663). Written after the
papers; the order of sums follows transformers 5.23. Shapes: B texts, N tokens, W width of a token,
H heads, E width of a head.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from zoo.encoded import Encoded
from zoo.nn.attend import allow, attend, key_bias, split_heads
from zoo.nn.mlp import GatedMlp
from zoo.nn.rotary import Rope, line_rope, rotate
from zoo_text.nets.readout import TextEncoder
from zoo_text.rotary_config import RotaryConfig


class View(NamedTuple):
    """What a kind of block sees.

    Attributes:
        rope: Rotations (N, E).
        bias: Broadcast to (B, H, N, N); None where everything is seen.
    """

    rope: Rope
    bias: Tensor | None


class Embeddings(nn.Module):
    """Word and token-type embeddings, summed and normalised.

    Args:
        config: Of the network.
    """

    def __init__(self, config: RotaryConfig) -> None:
        super().__init__()
        self.words = nn.Embedding(config.vocab, config.width)
        self.types = nn.Embedding(config.type_vocab, config.width) if config.type_vocab else None
        self.norm = nn.LayerNorm(config.width, eps=config.eps, bias=config.norm_bias)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, N) -> (B, N, W)."""
        x = self.words(ids)
        if self.types is not None:
            x = x + self.types.weight[0]  # one text, so all its tokens are of the first type
        out: Tensor = self.norm(x)
        return out


class Attention(nn.Module):
    """Self-attention of rotated queries and keys.

    Args:
        config: Of the network.
    """

    def __init__(self, config: RotaryConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.q = nn.Linear(config.width, config.width, bias=False)
        self.k = nn.Linear(config.width, config.width, bias=False)
        self.v = nn.Linear(config.width, config.width, bias=False)
        self.proj = nn.Linear(config.width, config.width, bias=False)

    def forward(self, x: Tensor, view: View) -> Tensor:
        """(B, N, W) -> (B, N, W)."""
        q, k, v = (split_heads(linear(x), self.heads) for linear in (self.q, self.k, self.v))
        q, k = rotate(q, view.rope), rotate(k, view.rope)
        x = attend(q, k, v, view.bias)  # (B, H, N, E)
        out: Tensor = self.proj(x.transpose(1, 2).flatten(2))
        return out


class Block(nn.Module):
    """Attention and gated half, with a norm before or after each.

    Args:
        config: Of the network.
        first: Whether it is the first block, whose input is normalised already.
    """

    def __init__(self, config: RotaryConfig, *, first: bool) -> None:
        super().__init__()
        self.pre_norm = config.pre_norm

        def norm() -> nn.Module:
            return nn.LayerNorm(config.width, eps=config.eps, bias=config.norm_bias)

        self.attention_norm = nn.Identity() if first and config.pre_norm else norm()
        self.attention = Attention(config)
        self.mlp_norm = norm()
        self.mlp = GatedMlp(config.width, config.hidden, activation=config.activation, bias=False)

    def forward(self, x: Tensor, view: View) -> Tensor:
        """(B, N, W) -> (B, N, W)."""
        if self.pre_norm:
            x = x + self.attention(self.attention_norm(x), view)
            x = x + self.mlp(self.mlp_norm(x))
        else:
            x = self.attention_norm(x + self.attention(x, view))
            x = self.mlp_norm(x + self.mlp(x))
        return x


class RotaryBert(TextEncoder):
    """One vector a text and one a token.

    Args:
        config: Numbers that fix the network.
    """

    def __init__(self, config: RotaryConfig) -> None:
        super().__init__(config)
        self.config = config
        self.embeddings = Embeddings(config)
        self.blocks = nn.ModuleList(
            Block(config, first=place == 0) for place in range(config.depth)
        )
        self.norm = (
            nn.LayerNorm(config.width, eps=config.eps, bias=config.norm_bias)
            if config.pre_norm
            else nn.Identity()
        )

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        vector_mask: Tensor | None = None,
    ) -> Encoded:
        """Return pooled (B, D), or a vector a token (B, N, D), tokens (B, N, W) and mask.

        Args:
            input_ids: (B, N).
            attention_mask: (B, N), nonzero where a token is attended to.
            vector_mask: (B, N), nonzero where a token gives a vector, without pooling.
        """
        config = self.config
        x = self.embeddings(input_ids)  # (B, N, W)
        tokens, width = input_ids.shape[1], config.width // config.heads
        wide = View(line_rope(tokens, width, config.theta, x), key_bias(attention_mask, x))
        near = wide
        if config.window:
            near = View(
                line_rope(tokens, width, config.local_theta, x),
                _near(attention_mask, tokens, config.window, x),
            )
        for place, block in enumerate(self.blocks):
            x = block(x, near if config.is_local(place) else wide)
        return self.encoded(self.norm(x), attention_mask, vector_mask)


def _near(mask: Tensor | None, tokens: int, window: int, like: Tensor) -> Tensor:
    """(B, N), nonzero where real -> (1 or B, 1, N, N), 0 where a key is near and real."""
    places = torch.arange(tokens, device=like.device)
    seen = ((places[None, :] - places[:, None]).abs() <= window)[None, None]  # (1, 1, N, N)
    if mask is not None:
        seen = seen & mask.bool()[:, None, None, :]
    return allow(seen, like)
