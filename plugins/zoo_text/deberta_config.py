"""Numbers that fix an encoder of the DeBERTa-v2 and v3 kind. No torch, until one is built."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from zoo_text.configs import Activation, TextConfig

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class DebertaConfig(TextConfig):
    """BERT's blocks with disentangled attention in place of absolute positions.

    Attributes:
        buckets: Kinds of distance in one direction; half of them are one distance each.
        max_distance: Distance, tokens, that the last kind is meant for.
        eps: Of the layer norms.
        activation: Inside the feed-forward half.
        longest: Tokens of the longest sequence; the authors trained on that many.
    """

    buckets: int = 256
    max_distance: int = 512
    eps: float = 1e-7
    activation: Activation = "gelu"
    longest: int = 512

    def bucket(self, distance: int) -> int:
        """Return the row of the table for a distance, key's place minus query's."""
        exact = self.buckets // 2
        size = abs(distance)
        if size > exact:
            share = math.log(size / exact) / math.log((self.max_distance - 1) / exact)
            size = math.ceil(share * (exact - 1)) + exact
        size = size if distance < 0 else -size
        return min(max(size + self.buckets, 0), 2 * self.buckets - 1)

    @property
    def params(self) -> int:
        """Parameters of the network that `build` makes."""
        width = self.width
        attention = 4 * (width + 1) * width
        feed_forward = 2 * width * self.hidden + self.hidden + width
        embeddings = (self.vocab + 2 + 2 * self.buckets + 2) * width
        return embeddings + self.depth * (attention + feed_forward + 4 * width) + self.dense_params

    def build(self) -> nn.Module:
        """Build the network."""
        from zoo_text.nets.deberta import Deberta

        return Deberta(self)

    def tiny(self) -> Self:
        """Return a version of a few thousand parameters with every feature still on."""
        return replace(TextConfig.tiny(self), buckets=8, max_distance=16, longest=24)
