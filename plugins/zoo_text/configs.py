"""Configs of text encoders: numbers only; torch is imported when a network is built."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from torch import nn

Pooling = Literal["cls", "mean", "max", "mean_sqrt_len", "last", "pooler", "none"]
Activation = Literal["gelu", "gelu_tanh", "relu", "silu"]
HeadActivation = Literal["tanh", "none", "gelu", "relu", "silu", "sigmoid"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseHead:
    """One linear layer on the pooled vector, as sentence-transformers' Dense module.

    Attributes:
        width: Of its output.
        bias: Whether it has one.
        activation: After it.
    """

    width: int
    bias: bool = True
    activation: HeadActivation = "tanh"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextConfig(ABC):
    """What every text encoder does with its tokens; the base of all configs of this package.

    Attributes:
        vocab: Word embeddings.
        width: Of a token.
        depth: Blocks.
        heads: Attention heads of a block.
        hidden: Width inside a block's feed-forward half.
        pad_id: Id of the padding token.
        pooling: From tokens to one vector. `pooler`: BERT's own dense layer and tanh on the class
            token; `mean_sqrt_len`: sum over the square root of the length; `none`: each token keeps
            a vector of its own, and what follows is done to each.
        dense: Layers on the vector.
        vector_norm: Whether the vector goes through a layer norm without parameters.
        normalize: Whether the vector is scaled to unit L2 norm.
    """

    vocab: int
    width: int
    depth: int
    heads: int
    hidden: int
    pad_id: int = 0
    pooling: Pooling = "mean"
    dense: tuple[DenseHead, ...] = ()
    vector_norm: bool = False
    normalize: bool = False

    @property
    def dim(self) -> int:
        """Width of a vector."""
        return self.dense[-1].width if self.dense else self.width

    @property
    def dense_params(self) -> int:
        """Parameters of the layers on the vector."""
        sources = (self.width, *(head.width for head in self.dense))
        return sum((source + head.bias) * head.width
                   for source, head in zip(sources, self.dense, strict=False))  # fmt: skip

    @property
    @abstractmethod
    def longest(self) -> int:
        """Tokens of the longest sequence."""

    @property
    @abstractmethod
    def params(self) -> int:
        """Parameters of the network that `build` makes."""

    @abstractmethod
    def build(self) -> nn.Module:
        """Build the network."""

    def tiny(self) -> Self:
        """Return a version of a few thousand parameters with every feature still on."""
        return replace(
            self,
            vocab=64,
            width=16,
            depth=2,
            heads=2,
            hidden=32,
            dense=tuple(replace(head, width=8) for head in self.dense),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BertConfig(TextConfig):
    """The post-norm encoder of BERT, RoBERTa, XLM-R, DistilBERT, ELECTRA and what grew out of them.

    Attributes:
        max_positions: Position embeddings, unused first ones included.
        type_vocab: Token-type embeddings; only the first is used. 0: none.
        position_offset: Position of the first token. Where it is not 0, positions are counted over
            the tokens that are not `pad_id`, and those have the position before the first.
        embedding_width: Of the embeddings, if they are projected to `width` (small ELECTRA).
        eps: Of the layer norms.
        activation: Inside the feed-forward half.
    """

    max_positions: int = 512
    type_vocab: int = 2
    position_offset: int = 0
    embedding_width: int | None = None
    eps: float = 1e-12
    activation: Activation = "gelu"

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence that has a position for each."""
        return self.max_positions - self.position_offset

    @property
    def params(self) -> int:
        """Parameters of the network that `build` makes."""
        width, embedded = self.width, self.embedding_width or self.width
        embeddings = (self.vocab + self.max_positions + self.type_vocab + 2) * embedded
        if self.embedding_width is not None:
            embeddings += (embedded + 1) * width
        attention = 4 * (width + 1) * width
        feed_forward = 2 * width * self.hidden + self.hidden + width
        heads = self.dense_params + (width + 1) * width * (self.pooling == "pooler")
        return embeddings + self.depth * (attention + feed_forward + 4 * width) + heads

    def build(self) -> nn.Module:
        """Build the network."""
        from zoo_text.nets.bert import Bert

        return Bert(self)

    def tiny(self) -> Self:
        """Return a version of a few thousand parameters with every feature still on."""
        return replace(
            TextConfig.tiny(self),
            max_positions=24 + self.position_offset,
            embedding_width=None if self.embedding_width is None else 8,
        )
