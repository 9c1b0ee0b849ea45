"""Numbers that fix an encoder of the XLNet kind. No torch, until a network is built."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from zoo_text.configs import Activation, TextConfig

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class XlnetConfig(TextConfig):
    """XLNet as an encoder: every token sees every other; distances as sinusoids.

    Attributes:
        eps: Of the layer norms.
        activation: Inside the feed-forward half.
        longest: Tokens of the longest sequence; the authors trained on that many.
    """

    eps: float = 1e-12
    activation: Activation = "gelu"
    longest: int = 512

    @property
    def params(self) -> int:
        """Parameters of the network that `build` makes."""
        width = self.width
        attention = 5 * width**2 + 5 * width  # three biases, two embeddings of segments
        feed_forward = 2 * width * self.hidden + self.hidden + width
        block = attention + feed_forward + 4 * width
        return self.vocab * width + self.depth * block + self.dense_params

    def build(self) -> nn.Module:
        """Build the network."""
        from zoo_text.nets.xlnet import Xlnet

        return Xlnet(self)

    def tiny(self) -> Self:
        """Return a version of a few thousand parameters with every feature still on."""
        return replace(TextConfig.tiny(self), longest=24)
