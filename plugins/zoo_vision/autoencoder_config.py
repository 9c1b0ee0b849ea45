"""The numbers that fix the encoder of a variational autoencoder. No torch until `build()`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from zoo_vision.nets.autoencoder import Autoencoder


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoencoderConfig:
    """Residual convolutions in stages, one attention at the coarsest, mean and variance a place.

    Attributes:
        widths: Channels of each stage; all but the last halve the map behind them.
        depth: Residual blocks of a stage.
        groups: Of channels, in every norm.
        latents: Channels of the posterior's mean.
        normalize: Whether the vector leaves with unit L2 norm.
        pooling: Mean over the places of the posterior's mean.
    """

    widths: tuple[int, ...] = (128, 256, 512, 512)
    depth: int = 2
    groups: int = 32
    latents: int = 4
    normalize: bool = False
    pooling: Literal["mean"] = "mean"

    def __post_init__(self) -> None:
        if any(width % self.groups for width in self.widths):
            raise ValueError(f"widths {self.widths} are no multiples of groups {self.groups}.")

    @property
    def dim(self) -> int:
        """Width of the pooled vector."""
        return self.latents

    @property
    def stride(self) -> int:
        """Pixels from one place of the map to the next."""
        return 1 << (len(self.widths) - 1)

    @property
    def params(self) -> int:
        """Parameters of the network."""
        first, last, both = self.widths[0], self.widths[-1], 2 * self.latents
        total = _conv(3, first)
        width = first
        for stage, wider in enumerate(self.widths):
            for _ in range(self.depth):
                total += _block(width, wider)
                width = wider
            if stage < len(self.widths) - 1:
                total += _conv(width, width)
        total += 2 * _block(last, last) + 2 * last + 4 * last * (last + 1)  # attention between them
        return total + 2 * last + _conv(last, both) + both * (both + 1)

    def build(self) -> Autoencoder:
        """Build the network."""
        from zoo_vision.nets.autoencoder import Autoencoder

        return Autoencoder(self)

    def tiny(self) -> Self:
        """Return a version of three stages: a shortcut that widens, and one that does not."""
        return replace(self, widths=(8, 16, 16), groups=4)


def _conv(channels: int, width: int, kernel: int = 3) -> int:
    """Return the parameters of a convolution with a bias."""
    return width * (channels * kernel**2 + 1)


def _block(channels: int, width: int) -> int:
    """Return the parameters of two norms, two convolutions, and a shortcut where it widens."""
    shortcut = _conv(channels, width, 1) if channels != width else 0
    return 2 * channels + _conv(channels, width) + 2 * width + _conv(width, width) + shortcut
