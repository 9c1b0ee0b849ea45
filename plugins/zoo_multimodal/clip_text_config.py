"""Numbers that fix the text transformers of CLIP and SigLIP. No torch until `build()`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from torch import nn

    from zoo.nn.activations import ActivationName


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipTextConfig:
    """A transformer whose vector is a projected token: CLIP's text tower, and SigLIP's.

    Attributes:
        width: Of a token.
        depth: Number of blocks.
        heads: Of attention, in every block.
        hidden: Width inside the MLP.
        projection: Width of the vector.
        activation: Inside the MLP.
        context: Longest sequence, tokens.
        vocab: Number of token ids.
        end: Id of the end-of-text token; None takes the highest id of each text.
        norm_eps: Epsilon of every LayerNorm.
        causal: Whether a token sees only itself and earlier ones.
        projection_bias: Whether the projection has a bias.
        normalize: Whether the vector leaves with unit L2 norm.
        pooling: `end`: the token at the first end of text, which alone has seen the whole text; or
            `last`: the last of the context, whatever it is (SigLIP).
    """

    width: int
    depth: int
    heads: int
    hidden: int
    projection: int
    activation: ActivationName
    context: int = 77
    vocab: int = 49_408
    end: int | None = None
    norm_eps: float = 1e-5
    causal: bool = True
    projection_bias: bool = False
    normalize: bool = False
    pooling: Literal["end", "last"] = "end"

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is no multiple of heads {self.heads}.")

    @property
    def dim(self) -> int:
        """Width of the pooled vector."""
        return self.projection

    @property
    def params(self) -> int:
        """Number of parameters."""
        width, hidden = self.width, self.hidden
        attention = 4 * width * (width + 1)
        mlp = 2 * width * hidden + width + hidden
        block = attention + mlp + 4 * width
        ends = (self.vocab + self.context + 2 + self.projection) * width
        return self.depth * block + ends + self.projection * self.projection_bias

    def build(self) -> nn.Module:
        """Build the network."""
        from zoo_multimodal.nets.clip_text import ClipText

        return ClipText(self)

    def tiny(self) -> Self:
        """Return a version of a few thousand parameters with the same context."""
        vocab = 99
        return replace(
            self,
            width=16,
            depth=2,
            heads=2,
            hidden=24,
            projection=12,
            vocab=vocab,
            end=None if self.end is None else vocab - 1,
        )
