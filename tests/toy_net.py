"""The toy's network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.toys import ToyConfig
from zoo.encoded import Encoded
from zoo.nn.pool import masked_mean, unit


class ToyNet(nn.Module):
    """Embedding, linear blocks, mean."""

    def __init__(self, config: ToyConfig) -> None:
        super().__init__()
        self.normalize = config.normalize
        self.embedding = nn.Embedding(64, config.width)
        self.blocks = nn.ModuleList(
            nn.Linear(config.width, config.width) for _ in range(config.depth)
        )

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Encoded:
        """(B, N) -> Encoded(pooled (B, D), tokens (B, N, D))."""
        x = self.embedding(ids)
        for block in self.blocks:
            x = torch.tanh(block(x))
        pooled = masked_mean(x, mask)
        if self.normalize:
            pooled = unit(pooled)
        return Encoded(pooled=pooled, tokens=x, mask=None if mask is None else mask.bool())
