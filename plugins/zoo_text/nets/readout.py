"""From a text's tokens to what leaves the encoder: the end of every network of this package.

Shapes: B texts, N tokens, W width of a token, D width of a vector.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.encoded import Encoded
from zoo.nn.activations import ACTIVATIONS
from zoo.nn.pool import last_token, masked_mean, unit
from zoo_text.configs import DenseHead, HeadActivation, TextConfig


def _as_is(x: Tensor) -> Tensor:
    """(..., D) -> (..., D), unchanged."""
    return x


_HEAD_ACTIVATIONS: dict[HeadActivation, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "none": _as_is,
    "gelu": ACTIVATIONS["gelu"],
    "relu": ACTIVATIONS["relu"],
    "silu": ACTIVATIONS["silu"],
    "sigmoid": torch.sigmoid,
}


class Dense(nn.Linear):
    """A linear layer with its activation.

    Args:
        source: Width of its input.
        head: Width and activation of its output.
    """

    def __init__(self, source: int, head: DenseHead) -> None:
        super().__init__(source, head.width, bias=head.bias)
        self.activation = _HEAD_ACTIVATIONS[head.activation]

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D')."""
        out: Tensor = self.activation(super().forward(x))
        return out


class TextEncoder(nn.Module):
    """Pools, projects and scales; a network gives it tokens.

    Args:
        config: Numbers that fix the network.
    """

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.normalize = config.normalize
        self.pooling = config.pooling
        self.vector_norm = (config.dim,) if config.vector_norm else None
        self.dense = nn.ModuleList()
        source = config.width
        for head in config.dense:
            self.dense.append(Dense(source, head))
            source = head.width

    def encoded(
        self, tokens: Tensor, mask: Tensor | None, vector_mask: Tensor | None = None
    ) -> Encoded:
        """Make the record of a batch.

        Args:
            tokens: (B, N, W).
            mask: (B, N), nonzero where a token is real.
            vector_mask: (B, N), nonzero where a token gives a vector, if each has its own.
        """
        if self.pooling == "none":
            vectors = self.finished(tokens)  # (B, N, D)
            if vector_mask is None:
                return Encoded(tokens=vectors)
            vectors = vectors * vector_mask[..., None].to(vectors.dtype)
            return Encoded(tokens=vectors, mask=vector_mask.bool())
        pooled = self.finished(self.pool(tokens, mask))  # (B, D)
        return Encoded(pooled=pooled, tokens=tokens, mask=None if mask is None else mask.bool())

    def finished(self, vectors: Tensor) -> Tensor:
        """(..., W) -> (..., D), scaled."""
        for head in self.dense:
            vectors = head(vectors)
        if self.vector_norm is not None:
            vectors = F.layer_norm(vectors, self.vector_norm)
        return unit(vectors) if self.normalize else vectors

    def pool(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """(B, N, W), mask (B, N) -> (B, W)."""
        return _POOLS[self.pooling](tokens, mask)


def _first(tokens: Tensor, mask: Tensor | None) -> Tensor:
    """(B, N, W), padded on the right -> (B, W), the class token."""
    return tokens[:, 0]


def _masked_max(tokens: Tensor, mask: Tensor | None) -> Tensor:
    """(B, N, W), mask (B, N) -> (B, W), the largest value of the real tokens."""
    if mask is not None:
        tokens = tokens.masked_fill(~mask.bool()[..., None], float("-inf"))
    return tokens.amax(dim=1)


def _mean_sqrt_len(tokens: Tensor, mask: Tensor | None) -> Tensor:
    """(B, N, W), mask (B, N) -> (B, W), the sum of real tokens over the root of their number."""
    if mask is None:
        mask = tokens.new_ones(tokens.shape[:2])
    length = mask.to(tokens.dtype).sum(dim=1, keepdim=True)  # (B, 1)
    return masked_mean(tokens, mask) * length.sqrt()


_POOLS: dict[str, Callable[[Tensor, Tensor | None], Tensor]] = {
    "cls": _first,
    "mean": masked_mean,
    "max": _masked_max,
    "mean_sqrt_len": _mean_sqrt_len,
    "last": last_token,
}
