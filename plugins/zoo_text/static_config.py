"""Configs of tables of word vectors: numbers only; torch is imported when a network is built."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticConfig:
    """A table with one row a word, and the mean of a text's rows.

    Attributes:
        vocab: Rows, those of character sequences included.
        width: Of a row.
        buckets: Rows of character sequences, the last of the table. With some, a word is the mean
            of its own row and those of its sequences, scaled to unit length.
        pooling: The mean of the words.
        normalize: Whether the vector is scaled to unit L2 norm.
    """

    vocab: int
    width: int
    buckets: int = 0
    pooling: Literal["mean"] = "mean"
    normalize: bool = False

    @property
    def dim(self) -> int:
        """Width of the pooled vector."""
        return self.width

    @property
    def params(self) -> int:
        """Parameters of the network that `build` makes."""
        return self.vocab * self.width

    def build(self) -> nn.Module:
        """Build the network."""
        from zoo_text.nets.static import Static, Subwords

        return Subwords(self) if self.buckets else Static(self)

    def tiny(self) -> Self:
        """Return a version of a few thousand parameters with every feature still on."""
        return replace(self, vocab=96, width=16, buckets=32 if self.buckets else 0)
