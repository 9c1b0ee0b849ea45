"""Numbers that fix a table of terms, and how it is fitted. No torch until `build()`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    from torch import nn

    from zoo.fitting import Fit
    from zoo.preprocess import Preprocessor


@dataclass(frozen=True, slots=True, kw_only=True)
class TermConfig:
    """Terms weighted by how few texts have them (TF-IDF), and projected or not (LSA).

    Attributes:
        terms: Columns; before fitting, how many are kept at most, the most frequent ones.
        components: Width that the columns are projected to; 0: no projection.
        least_texts: Texts that a term must stand in to be kept.
        fitted: Whether it has been fitted.
        pooling: Terms are summed up, weighted.
        normalize: Whether the vector has unit L2 norm.
    """

    terms: int
    components: int = 0
    least_texts: int = 1
    fitted: bool = False
    pooling: Literal["sum"] = "sum"
    normalize: bool = True

    @property
    def dim(self) -> int:
        """Width of the pooled vector."""
        return self.components or self.terms

    @property
    def vocab(self) -> int:
        """Number of terms."""
        return self.terms

    @property
    def params(self) -> int:
        """Numbers that were learnt."""
        return self.terms * (1 + self.components) if self.fitted else 0

    def build(self) -> nn.Module:
        """Build the network, or what says that it has not been fitted."""
        from zoo_classic.nets.terms import Terms
        from zoo_classic.nets.unfitted import Unfitted

        return Terms(self) if self.fitted else Unfitted(self)

    def fit(self, items: Iterable[Any], preprocessor: Preprocessor) -> Fit:
        """Learn terms, weights and projection from texts."""
        from zoo_classic.fitting.terms import fit_terms

        return fit_terms(self, items, preprocessor)

    def tiny(self) -> Self:
        """Return the same with few terms."""
        return replace(self, terms=32, components=4 if self.components else 0)
