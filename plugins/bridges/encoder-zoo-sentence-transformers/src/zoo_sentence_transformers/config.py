"""What fixes a sentence-transformers model: its folder. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from zoo.spec import WeightsSpec
from zoo.weights.repo import Repo

if TYPE_CHECKING:
    from torch import nn

# Where the configuration of a checkpoint is; a bundle must not say it.
FILES: dict[str, Repo] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderConfig:
    """A sentence-transformers model.

    Attributes:
        checkpoint: Its name, and the hash of its configuration files.
        dim: Width of the vector.
        vocab: Number of word embeddings.
        longest: Most tokens of a text.
        normalize: Whether the vector leaves with unit L2 norm.
        pooling: The library's own modules.
    """

    checkpoint: str
    dim: int
    vocab: int
    longest: int
    normalize: bool = False
    pooling: str = "sentence-transformers"

    def load(self, weights: WeightsSpec) -> nn.Module:
        """Build the library's modules, which read the weights of a folder themselves.

        Raises:
            KeyMapError: The folder is of another network.
        """
        from zoo_sentence_transformers.files import folder_of
        from zoo_sentence_transformers.net import FolderNet

        return FolderNet(self, folder_of(weights))

    def build(self) -> nn.Module:
        """Build the library's modules, the transformer with random weights."""
        from zoo_sentence_transformers.files import skeleton
        from zoo_sentence_transformers.net import FolderNet

        with skeleton(FILES[self.checkpoint], self.checkpoint) as folder:
            return FolderNet(self, folder)

    def tiny(self) -> Self:
        """Return the same: what would be smaller is not known."""
        return self
