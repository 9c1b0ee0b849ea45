"""TF-IDF and LSA: weighted counts of terms, projected or not.

Salton and Buckley, 1988; Deerwester et al., 1990. Shapes: B texts, N different terms of a text, V
terms, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.encoded import Encoded
from zoo.nn.pool import unit
from zoo_classic.term_config import TermConfig


class Terms(nn.Module):
    """Counts to vectors.

    Args:
        config: Its numbers.

    Attributes:
        normalize: Whether the pooled vector leaves with unit L2 norm.
    """

    def __init__(self, config: TermConfig) -> None:
        super().__init__()
        self.normalize = config.normalize
        self.weights = nn.Parameter(torch.zeros(config.terms))
        self.components = (
            nn.Parameter(torch.zeros(config.terms, config.components))
            if config.components
            else None
        )

    def forward(self, term_ids: Tensor, counts: Tensor) -> Encoded:
        """Terms (B, N), how often each comes (B, N), 0 where there is none -> pooled (B, D)."""
        values = counts * self.weights[term_ids]  # (B, N)
        if self.components is None:
            zeros = values.new_zeros(values.shape[0], self.weights.shape[0])  # (B, V)
            pooled = zeros.scatter_add(1, term_ids, values)
            return Encoded(pooled=unit(pooled) if self.normalize else pooled)
        values = unit(values)  # as TF-IDF leaves them, before the projection
        rows = F.embedding(term_ids, self.components)  # (B, N, D)
        pooled = (values[:, None, :] @ rows).squeeze(1)  # (B, D)
        return Encoded(pooled=unit(pooled) if self.normalize else pooled)
