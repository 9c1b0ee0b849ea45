"""The numbers that fix an iGPT up to the layer that is read. No torch until `build()`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from zoo_vision.nets.imagegpt import ImageGpt


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageGptConfig:
    """A causal transformer over the colours of an image's pixels, row by row.

    Attributes:
        width: Of a token.
        depth: Blocks before the layer that is read; the checkpoint's later ones are left out.
        heads: Of attention.
        image_size: Height, width, pixels; each pixel is a token.
        colours: Clusters that a pixel's colour is rounded to.
        norm_eps: Epsilon of every norm.
        normalize: Whether the vector leaves with unit L2 norm.
        pooling: Mean over the tokens.
        stride: Pixels from one token to the next.
    """

    width: int
    depth: int
    heads: int
    image_size: tuple[int, int] = (32, 32)
    colours: int = 512
    norm_eps: float = 1e-5
    normalize: bool = False
    pooling: Literal["mean"] = "mean"
    stride: Literal[1] = 1

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is no multiple of heads {self.heads}.")

    @property
    def dim(self) -> int:
        """Width of the pooled vector."""
        return self.width

    @property
    def params(self) -> int:
        """Parameters of the network; colours are none."""
        width = self.width
        tokens = self.image_size[0] * self.image_size[1]
        attention = 3 * width * (width + 1) + width * (width + 1)
        mlp = 4 * width * (width + 1) + width * (4 * width + 1)
        embeddings = (self.colours + 1 + tokens) * width  # one more: the beginning
        return embeddings + self.depth * (2 * width + attention + mlp) + width

    def build(self) -> ImageGpt:
        """Build the network."""
        from zoo_vision.nets.imagegpt import ImageGpt

        return ImageGpt(self)

    def tiny(self) -> Self:
        """Return two blocks over images of 6 x 8 pixels in 20 colours."""
        return replace(self, width=16, depth=2, heads=2, image_size=(6, 8), colours=20)
