"""Numbers that fix an encoder with rotary positions and gated halves. No torch, until built."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from zoo_text.configs import Activation, TextConfig

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class RotaryConfig(TextConfig):
    """Nomic's BERT and ModernBERT: no learned positions, no biases but in norms.

    Attributes:
        longest: Tokens of the longest sequence.
        type_vocab: Token-type embeddings; only the first is used. 0: none.
        pre_norm: Whether norms stand before each half of a block, but for the very first, and one
            after all blocks; else after each half.
        norm_bias: Whether norms shift.
        eps: Of the norms.
        activation: Of the gate.
        theta: Base of the rotations.
        local_theta: That of blocks that see only what is near.
        window: Tokens on each side that these see; 0: there are none.
        global_every: Each block whose place is a multiple of this sees all tokens.
    """

    longest: int
    type_vocab: int = 0
    pre_norm: bool = False
    norm_bias: bool = True
    eps: float = 1e-12
    activation: Activation = "silu"
    theta: float = 10_000.0
    local_theta: float = 10_000.0
    window: int = 0
    global_every: int = 1

    def is_local(self, block: int) -> bool:
        """Whether a block sees only what is near."""
        return block % self.global_every != 0

    @property
    def params(self) -> int:
        """Parameters of the network that `build` makes."""
        norm = self.width * (1 + self.norm_bias)
        block = 4 * self.width**2 + 3 * self.width * self.hidden + 2 * norm
        embeddings = (self.vocab + self.type_vocab) * self.width + norm
        return embeddings + self.depth * block + self.dense_params

    def build(self) -> nn.Module:
        """Build the network."""
        from zoo_text.nets.rotary import RotaryBert

        return RotaryBert(self)

    def tiny(self) -> Self:
        """Return a version of a few thousand parameters with every feature still on."""
        return replace(
            TextConfig.tiny(self),
            pad_id=min(self.pad_id, 1),
            longest=24,
            window=min(self.window, 4),
        )
