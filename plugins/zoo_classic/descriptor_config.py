"""Numbers that fix how the descriptors of an image become one vector. No torch until `build()`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    from torch import nn

    from zoo.fitting import Fit
    from zoo.preprocess import Preprocessor


@dataclass(frozen=True, slots=True, kw_only=True)
class DescriptorConfig:
    """Local descriptors and a codebook.

    Attributes:
        width: Of a descriptor.
        pooling: `mean` of the descriptors; `bovw`, how often each word of the codebook is the
            nearest, weighted by how few images have it; `vlad`, the sums of the differences to the
            nearest word.
        words: Of the codebook; 0 for the mean.
        fitted: Whether it has all that it needs; the mean needs nothing.
        normalize: Whether the vector has unit L2 norm.
    """

    pooling: Literal["mean", "bovw", "vlad"]
    width: int = 128
    words: int = 0
    fitted: bool = False
    normalize: bool = True

    @property
    def dim(self) -> int:
        """Width of the pooled vector."""
        return {"mean": self.width, "bovw": self.words, "vlad": self.words * self.width}[
            self.pooling
        ]

    @property
    def params(self) -> int:
        """Numbers that were learnt."""
        return self.words * (self.width + (self.pooling == "bovw")) if self.fitted else 0

    def build(self) -> nn.Module:
        """Build the network, or what says that it has not been fitted."""
        from zoo_classic.nets.descriptors import Descriptors
        from zoo_classic.nets.unfitted import Unfitted

        return Descriptors(self) if self.fitted else Unfitted(self)

    def fit(self, items: Iterable[Any], preprocessor: Preprocessor) -> Fit:
        """Learn a codebook from images."""
        from zoo_classic.fitting.descriptors import fit_codebook

        return fit_codebook(self, items, preprocessor)

    def tiny(self) -> Self:
        """Return the same with few words."""
        return replace(self, words=8 if self.words else 0)
