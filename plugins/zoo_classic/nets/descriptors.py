"""Descriptors of an image to one vector: their mean, a histogram of words, or VLAD.

Sivic and Zisserman, "Video Google", 2003; Jegou et al., "Aggregating local descriptors into a
compact image representation", 2010, with the power normalisation of Perronnin et al. Shapes: B
images, N descriptors, D width, K words.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.encoded import Encoded
from zoo.nn.pool import masked_mean, unit
from zoo_classic.descriptor_config import DescriptorConfig


class Descriptors(nn.Module):
    """Descriptors to vectors.

    Args:
        config: Its numbers.

    Attributes:
        normalize: Whether the pooled vector leaves with unit L2 norm.
    """

    def __init__(self, config: DescriptorConfig) -> None:
        super().__init__()
        self.normalize = config.normalize
        self.pooling = config.pooling
        with_words = config.pooling != "mean"
        self.words = nn.Parameter(torch.zeros(config.words, config.width)) if with_words else None
        self.weights = nn.Parameter(torch.zeros(config.words)) if config.pooling == "bovw" else None

    def forward(self, descriptors: Tensor, descriptor_mask: Tensor | None = None) -> Encoded:
        """(B, N, D), mask (B, N) nonzero where real -> pooled, tokens (B, N, D), mask."""
        tokens, mask = descriptors, None
        if descriptor_mask is not None:
            mask = descriptor_mask.bool()
            tokens = tokens * mask[..., None].to(tokens.dtype)  # (B, N, D), nothing where padded
        pooled = self._pool(tokens, mask)
        return Encoded(pooled=unit(pooled) if self.normalize else pooled, tokens=tokens, mask=mask)

    def _pool(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B, N, D), mask (B, N) -> (B, D), (B, K) or (B, K * D)."""
        if self.words is None:
            return masked_mean(x, mask)
        # the descriptor's own length is the same for every word, and left out
        distance = self.words.square().sum(dim=1) - 2 * (x @ self.words.t())  # (B, N, K)
        nearest = F.one_hot(distance.argmin(dim=2), self.words.shape[0]).to(x.dtype)  # (B, N, K)
        if mask is not None:
            nearest = nearest * mask[..., None].to(x.dtype)
        counts = nearest.sum(dim=1)  # (B, K)
        if self.weights is not None:
            return counts / counts.sum(dim=1, keepdim=True) * self.weights
        sums = nearest.transpose(1, 2) @ x - counts[..., None] * self.words  # (B, K, D)
        vlad = sums.flatten(1)  # (B, K * D)
        return vlad.sign() * vlad.abs().sqrt()
