"""What fixes a timm model: its name and the arguments it is built with. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class TimmConfig:
    """A timm model.

    Attributes:
        name: As timm knows it.
        dim: Width of its features before the classifier.
        arguments: What timm builds it with beside its name, as a repository's config.json says.
        stride: Pixels a token, where tokens form a grid.
        prefix: Tokens in front of those of the grid: class token and its like.
        pooling: timm's own.
        normalize: Whether the vector leaves with unit L2 norm.
    """

    name: str
    dim: int
    arguments: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    stride: int | None = None
    prefix: int = 0
    pooling: str = "timm"
    normalize: bool = False

    def build(self) -> nn.Module:
        """Build the network without its weights."""
        from zoo_timm.net import TimmNet

        return TimmNet(self)

    def tiny(self) -> Self:
        """Return the same: what would be smaller is not known."""
        return self
