"""Attention pooling: a learned query gathers the patches, and an MLP is added to what it found.

Zhai et al., "Scaling Vision Transformers", arXiv 2106.04560, appendix B; order of operations as in
timm's AttentionPoolLatent (version 1.0.31, Apache-2.0).
Shapes: B samples, N tokens, D width, H heads.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.nn.activations import ActivationName
from zoo.nn.attend import attend, split_heads
from zoo.nn.mlp import Mlp


class MapPool(nn.Module):
    """One vector out of many tokens.

    Args:
        width: Of a token.
        heads: Of attention.
        hidden: Width inside the MLP.
        activation: Inside the MLP.
        eps: Of the norm before the MLP.
    """

    def __init__(
        self, width: int, heads: int, hidden: int, activation: ActivationName, eps: float
    ) -> None:
        super().__init__()
        self.heads = heads
        self.probe = nn.Parameter(torch.zeros(1, 1, width))
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.proj = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, eps=eps)
        self.mlp = Mlp(width, hidden, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, D)."""
        batch, _, width = x.shape
        q = split_heads(self.query(self.probe), self.heads)  # (1, H, 1, D / H)
        k, v = (split_heads(linear(x), self.heads) for linear in (self.key, self.value))
        found = attend(q.expand(batch, -1, -1, -1), k, v)
        found = self.proj(found.transpose(1, 2).reshape(batch, 1, width))  # (B, 1, D)
        out: Tensor = found + self.mlp(self.norm(found))
        return out[:, 0]
