"""Numbers that fix a language model used as an encoder. No torch, until a network is built."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from zoo_text.configs import Activation, TextConfig

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderConfig(TextConfig):
    """Mistral's kind: RMS norms before each half, rotary positions, shared keys, gated halves.

    Attributes:
        shared_heads: Heads of keys and values, each shared by `heads / shared_heads` queries.
        head_width: Of one head.
        longest: Tokens of the longest sequence.
        causal: Whether a token sees only itself and earlier ones.
        window: Tokens that it sees in a direction, itself included; 0: all.
        theta: Base of the rotations.
        eps: Of the norms.
        activation: Of the gate.
    """

    shared_heads: int
    head_width: int
    longest: int
    causal: bool = True
    window: int = 0
    theta: float = 10_000.0
    eps: float = 1e-5
    activation: Activation = "silu"

    @property
    def params(self) -> int:
        """Parameters of the network that `build` makes."""
        attention = 2 * self.width * (self.heads + self.shared_heads) * self.head_width
        block = attention + 3 * self.width * self.hidden + 2 * self.width
        return (self.vocab + 1) * self.width + self.depth * block + self.dense_params

    def build(self) -> nn.Module:
        """Build the network."""
        from zoo_text.nets.decoder import Decoder

        return Decoder(self)

    def tiny(self) -> Self:
        """Return a version of a few thousand parameters with every feature still on."""
        return replace(
            TextConfig.tiny(self),
            pad_id=min(self.pad_id, 1),
            heads=4,
            shared_heads=2,
            head_width=4,
            longest=24,
            window=min(self.window, 8),
        )
