"""Numbers that fix an encoder of the T5 kind. No torch, until a network is built."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from zoo_text.configs import Activation, TextConfig

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class T5Config(TextConfig):
    """The encoder half of T5: RMS norms before each half, relative positions, no biases.

    Attributes:
        head_width: Of one head; `heads` of them need not make `width`.
        gated: Whether the feed-forward half is gated (T5 1.1, Flan-T5).
        activation: Inside that half.
        buckets: Kinds of distance that have a bias of their own, both directions together.
        max_distance: Distance, tokens, from which on all have the same bias.
        eps: Of the norms.
        longest: Tokens of the longest sequence; the authors trained on that many.
    """

    head_width: int = 64
    gated: bool = False
    activation: Activation = "relu"
    buckets: int = 32
    max_distance: int = 128
    eps: float = 1e-6
    longest: int = 512

    def bucket(self, distance: int) -> int:
        """Return the bucket of a distance, key's place minus query's.

        The authors compute it in floating point, per pair of tokens; no distance lies so near to a
        border that another precision would give another bucket.
        """
        half = self.buckets // 2
        exact = half // 2
        size = abs(distance)
        if size >= exact:
            share = math.log(size / exact) / math.log(self.max_distance / exact)
            size = min(exact + int(share * (half - exact)), half - 1)
        return size + half * (distance > 0)

    @property
    def params(self) -> int:
        """Parameters of the network that `build` makes."""
        attention = 4 * self.width * self.heads * self.head_width
        feed_forward = (2 + self.gated) * self.width * self.hidden
        block = attention + feed_forward + 2 * self.width
        embeddings = self.vocab * self.width + self.buckets * self.heads
        return embeddings + self.depth * block + self.width + self.dense_params

    def build(self) -> nn.Module:
        """Build the network."""
        from zoo_text.nets.t5 import T5Encoder

        return T5Encoder(self)

    def tiny(self) -> Self:
        """Return a version of a few thousand parameters with every feature still on."""
        return replace(TextConfig.tiny(self), head_width=4, buckets=8, max_distance=12, longest=24)
