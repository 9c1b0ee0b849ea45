"""What fixes a timm model: its name. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class TimmConfig:
    """A timm model.

    Attributes:
        name: As timm knows it.
        dim: Width of its features before the classifier.
        pooling: timm's own.
        normalize: Whether the vector leaves with unit L2 norm.
    """

    name: str
    dim: int
    pooling: str = "timm"
    normalize: bool = False

    def build(self) -> nn.Module:
        """Build the network without its weights."""
        from zoo_timm.net import TimmNet

        return TimmNet(self)

    def tiny(self) -> Self:
        """Return the same: what would be smaller is not known."""
        return self
