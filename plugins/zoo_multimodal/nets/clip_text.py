"""CLIP's text transformer: causal, pre-norm, pooled where the text ends; and SigLIP's.

SigLIP's is not causal and pools the last token of the context, padding included (arXiv:2303.15343).
Learning Transferable Visual Models From Natural Language Supervision, arXiv:2103.00020; order of
operations as in the authors' model.py (github.com/openai/CLIP at dcba3cb, MIT).
Shapes: B samples, N tokens, D width of a token, E width of the vector.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from zoo.encoded import Encoded
from zoo.nn.attention import SelfAttention
from zoo.nn.mlp import Mlp
from zoo.nn.pool import unit

if TYPE_CHECKING:
    from zoo_multimodal.clip_text_config import ClipTextConfig


class Block(nn.Module):
    """Attention and MLP, each normalised before and added to its input.

    Args:
        config: Of the network.
    """

    def __init__(self, config: ClipTextConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, eps=config.norm_eps)
        self.attention = SelfAttention(config.width, config.heads, causal=config.causal)
        self.norm2 = nn.LayerNorm(config.width, eps=config.norm_eps)
        self.mlp = Mlp(config.width, config.hidden, activation=config.activation)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        x = x + self.attention(self.norm1(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class ClipText(nn.Module):
    """A text tower of CLIP or SigLIP.

    Args:
        config: Its numbers.

    Attributes:
        blocks: The transformer's.
        normalize: Whether the vector leaves with unit L2 norm.
    """

    def __init__(self, config: ClipTextConfig) -> None:
        super().__init__()
        self.end = config.end
        self.pooling = config.pooling
        self.normalize = config.normalize
        self.words = nn.Embedding(config.vocab, config.width)
        self.positions = nn.Parameter(torch.zeros(1, config.context, config.width))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width, eps=config.norm_eps)
        self.projection = nn.Linear(config.width, config.projection, bias=config.projection_bias)

    def forward(self, input_ids: Tensor) -> Encoded:
        """(B, N) -> pooled (B, E), tokens (B, N, D), CLIP's with mask (B, N) up to the text's end.

        What follows the end of text is padding: of CLIP, no earlier token attends to it; of SigLIP,
        all do, and it is as real as the others.
        """
        length = input_ids.shape[1]
        x = self.words(input_ids) + self.positions[:, :length]  # (B, N, D)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        if self.pooling == "last":
            pooled = self.projection(x[:, -1])  # (B, E)
            return Encoded(pooled=unit(pooled) if self.normalize else pooled, tokens=x)
        end = self._end(input_ids)[:, None]  # (B, 1)
        last = x.gather(1, end[..., None].expand(-1, 1, x.shape[2])).squeeze(1)  # (B, D)
        pooled = self.projection(last)  # (B, E)
        steps = torch.arange(length, device=input_ids.device)  # (N,)
        return Encoded(
            pooled=unit(pooled) if self.normalize else pooled, tokens=x, mask=steps <= end
        )

    def _end(self, input_ids: Tensor) -> Tensor:
        """(B, N) -> (B,), the first place of the end-of-text id, or of the highest id."""
        if self.end is None:
            return input_ids.argmax(dim=1)
        return (input_ids == self.end).int().argmax(dim=1)
