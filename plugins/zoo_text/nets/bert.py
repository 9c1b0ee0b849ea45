"""The post-norm transformer encoder of Devlin et al. (arXiv 1810.04805).

Written after the papers; the order of sums follows the authors' code. Shapes: B texts, N tokens,
D width, E width of an embedding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.encoded import Encoded
from zoo.nn.attention import SelfAttention, key_mask
from zoo.nn.mlp import Mlp
from zoo_text.configs import BertConfig
from zoo_text.nets.readout import TextEncoder


class Embeddings(nn.Module):
    """Word, position and token-type embeddings, summed and normalised.

    Args:
        config: Of the network.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width = config.embedding_width or config.width
        self.offset = config.position_offset
        self.pad_id = config.pad_id
        self.words = nn.Embedding(config.vocab, width)
        self.positions = nn.Embedding(config.max_positions, width)
        self.types = nn.Embedding(config.type_vocab, width) if config.type_vocab else None
        self.norm = nn.LayerNorm(width, eps=config.eps)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, N) -> (B, N, E)."""
        x = self.words(ids)  # (B, N, E)
        if self.types is not None:
            x = x + self.types.weight[0]  # one text, so all its tokens are of the first type
        x = x + self._position_embeddings(ids)
        out: Tensor = self.norm(x)
        return out

    def _position_embeddings(self, ids: Tensor) -> Tensor:
        """(B, N) -> (N, E), or (B, N, E) where positions depend on padding."""
        if self.offset == 0:
            return self.positions.weight[: ids.shape[1]]
        real = ids.ne(self.pad_id).long()
        positions: Tensor = self.positions(real.cumsum(dim=1) * real + (self.offset - 1))
        return positions


class Block(nn.Module):
    """Attention and feed-forward, each with its residual sum and a layer norm after it.

    Args:
        config: Of the network.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = SelfAttention(config.width, config.heads)
        self.attention_norm = nn.LayerNorm(config.width, eps=config.eps)
        self.mlp = Mlp(config.width, config.hidden, activation=config.activation)
        self.mlp_norm = nn.LayerNorm(config.width, eps=config.eps)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B, N, D), mask (B, 1, 1, N) -> (B, N, D)."""
        x = self.attention_norm(self.attention(x, mask) + x)
        out: Tensor = self.mlp_norm(self.mlp(x) + x)
        return out


class Bert(TextEncoder):
    """One vector a text and one a token.

    Args:
        config: Numbers that fix the network.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.embeddings = Embeddings(config)
        self.project = (
            None
            if config.embedding_width is None
            else nn.Linear(config.embedding_width, config.width)
        )
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.pooler = nn.Linear(config.width, config.width) if config.pooling == "pooler" else None

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
        x = self.embeddings(input_ids)  # (B, N, E)
        if self.project is not None:
            x = self.project(x)  # (B, N, W)
        keys = key_mask(attention_mask)
        for block in self.blocks:
            x = block(x, keys)
        return self.encoded(x, attention_mask, vector_mask)

    def pool(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """(B, N, W), mask (B, N) -> (B, W)."""
        if self.pooler is not None:
            return torch.tanh(self.pooler(tokens[:, 0]))
        return super().pool(tokens, mask)
