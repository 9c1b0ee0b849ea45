"""DeBERTa v2 and v3: He et al., 2020 and 2021 (arXiv 2006.03654, 2111.09543).

A score has three parts: content to content, the query's content to the distance, the distance to
the key's content. Distances are embedded in one table, which goes through the same projections as
the tokens. Written after the papers; the order of sums follows transformers 5.23. Shapes: B texts,
N tokens, W width of a token, H heads, E width of a head, R rows of the table of distances.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.encoded import Encoded
from zoo.nn.attend import attend, key_bias, split_heads
from zoo.nn.mlp import Mlp
from zoo_text.deberta_config import DebertaConfig
from zoo_text.nets.readout import TextEncoder
from zoo_text.nets.relative import clipped_distances


class Embeddings(nn.Module):
    """Word embeddings, normalised.

    Args:
        config: Of the network.
    """

    def __init__(self, config: DebertaConfig) -> None:
        super().__init__()
        self.words = nn.Embedding(config.vocab, config.width)
        self.norm = nn.LayerNorm(config.width, eps=config.eps)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, N) -> (B, N, W)."""
        out: Tensor = self.norm(self.words(ids))
        return out


class Distances(nn.Module):
    """The table of distances, normalised, and which of its rows belongs to which pair of tokens.

    Args:
        config: Of the network.
    """

    rows: Tensor

    def __init__(self, config: DebertaConfig) -> None:
        super().__init__()
        self.config = config
        self.table = nn.Embedding(2 * config.buckets, config.width)
        self.norm = nn.LayerNorm(config.width, eps=config.eps)
        self.register_buffer("rows", torch.empty(0, dtype=torch.int64), persistent=False)
        self.make_buffers(self.table.weight.device)

    def make_buffers(self, device: torch.device) -> None:
        """Say which row each distance has, from the most negative that differs."""
        limit = self.config.max_distance
        rows = [self.config.bucket(distance) for distance in range(-limit, limit + 1)]
        self.rows = torch.tensor(rows, device=device)

    def forward(self, tokens: int) -> tuple[Tensor, Tensor]:
        """N -> the table (1, R, W), and the row of each query and key (N, N)."""
        index = clipped_distances(tokens, self.config.max_distance, self.rows.device)
        return self.norm(self.table.weight)[None], self.rows[index]


class Attention(nn.Module):
    """Disentangled self-attention.

    Args:
        config: Of the network.
    """

    def __init__(self, config: DebertaConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.scale = (3 * config.width // config.heads) ** -0.5  # three parts are summed
        self.q = nn.Linear(config.width, config.width)
        self.k = nn.Linear(config.width, config.width)
        self.v = nn.Linear(config.width, config.width)
        self.proj = nn.Linear(config.width, config.width)

    def forward(self, x: Tensor, table: Tensor, rows: Tensor, keys: Tensor | None) -> Tensor:
        """(B, N, W), table (1, R, W), rows (N, N), keys (B, 1, 1, N) -> (B, N, W)."""
        q, k, v = (split_heads(linear(x), self.heads) for linear in (self.q, self.k, self.v))
        far_q, far_k = (  # (1, H, R, E)
            split_heads(linear(table), self.heads) for linear in (self.q, self.k)
        )
        rows = rows.expand(*q.shape[:2], -1, -1)  # (B, H, N, N)
        to_distance = (q @ far_k.transpose(2, 3)).gather(3, rows)  # (B, H, N, N)
        # Row by row these belong to keys, so that the table's rows are those of key and query.
        from_distance = (k @ far_q.transpose(2, 3)).gather(3, rows.transpose(2, 3))
        bias = (to_distance + from_distance.transpose(2, 3)) * self.scale
        if keys is not None:
            bias = bias + keys
        x = attend(q, k, v, bias, scale=self.scale)  # (B, H, N, E)
        out: Tensor = self.proj(x.transpose(1, 2).flatten(2))
        return out


class Block(nn.Module):
    """Attention and feed-forward, each with its residual sum and a layer norm after it.

    Args:
        config: Of the network.
    """

    def __init__(self, config: DebertaConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.attention_norm = nn.LayerNorm(config.width, eps=config.eps)
        self.mlp = Mlp(config.width, config.hidden, activation=config.activation)
        self.mlp_norm = nn.LayerNorm(config.width, eps=config.eps)

    def forward(self, x: Tensor, table: Tensor, rows: Tensor, keys: Tensor | None) -> Tensor:
        """(B, N, W), table (1, R, W), rows (N, N), keys (B, 1, 1, N) -> (B, N, W)."""
        x = self.attention_norm(self.attention(x, table, rows, keys) + x)
        out: Tensor = self.mlp_norm(self.mlp(x) + x)
        return out


class Deberta(TextEncoder):
    """One vector a text and one a token.

    Args:
        config: Numbers that fix the network.
    """

    def __init__(self, config: DebertaConfig) -> None:
        super().__init__(config)
        self.embeddings = Embeddings(config)
        self.distances = Distances(config)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Encoded:
        """Ids (B, N), mask (B, N) nonzero where real -> pooled (B, D), tokens (B, N, W), mask."""
        x = self.embeddings(input_ids)  # (B, N, W)
        table, rows = self.distances(input_ids.shape[1])
        keys = key_bias(attention_mask, x)
        for block in self.blocks:
            x = block(x, table, rows, keys)
        return self.encoded(x, attention_mask)
