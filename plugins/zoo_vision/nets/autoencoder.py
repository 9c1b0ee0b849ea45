"""The encoder of a variational autoencoder, as latent diffusion uses it: the posterior's mean.

Auto-Encoding Variational Bayes, arXiv 1312.6114; the network of arXiv 2112.10752, order of
operations as in diffusers 0.42.1, models/autoencoders/vae.py (Apache-2.0).
Shapes: B samples, C channels, H and W places of a map, N all of them, L latents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional as F

from zoo.encoded import Encoded
from zoo.errors import InputError
from zoo.nn.attention import SelfAttention
from zoo.nn.pool import unit

if TYPE_CHECKING:
    from zoo_vision.autoencoder_config import AutoencoderConfig

EPS = 1e-6  # of every norm


class Block(nn.Module):
    """Two convolutions, each after a norm and an activation, beside a shortcut.

    Args:
        config: Of the network.
        channels: That come in.
        width: Channels that leave.
    """

    def __init__(self, config: AutoencoderConfig, channels: int, width: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(config.groups, channels, eps=EPS)
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1)
        self.norm2 = nn.GroupNorm(config.groups, width, eps=EPS)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.shortcut = nn.Conv2d(channels, width, 1) if channels != width else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, width, H, W)."""
        shortcut = x if self.shortcut is None else self.shortcut(x)
        x = self.conv1(F.silu(self.norm1(x)))
        out: Tensor = shortcut + self.conv2(F.silu(self.norm2(x)))
        return out


class Stage(nn.Module):
    """Blocks, and a convolution that halves the map.

    Args:
        config: Of the network.
        index: Of the stage.
    """

    def __init__(self, config: AutoencoderConfig, index: int) -> None:
        super().__init__()
        width, before = config.widths[index], config.widths[max(index - 1, 0)]
        self.layers = nn.ModuleList(
            Block(config, width if layer else before, width) for layer in range(config.depth)
        )
        last = index == len(config.widths) - 1
        self.halve = None if last else nn.Conv2d(width, width, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, width, H / 2, W / 2), or (B, width, H, W) at the last stage."""
        for layer in self.layers:
            x = layer(x)
        if self.halve is None:
            return x
        out: Tensor = self.halve(F.pad(x, (0, 1, 0, 1)))  # zeros right and below alone
        return out


class Middle(nn.Module):
    """Attention of every place to every place between two blocks.

    Args:
        config: Of the network.
    """

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        width = config.widths[-1]
        self.block1 = Block(config, width, width)
        self.norm = nn.GroupNorm(config.groups, width, eps=EPS)
        self.attention = SelfAttention(width, 1)
        self.block2 = Block(config, width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        x = self.block1(x)
        tokens = self.norm(x).flatten(2).transpose(1, 2)  # (B, N, C)
        x = x + self.attention(tokens).transpose(1, 2).reshape(x.shape)
        out: Tensor = self.block2(x)
        return out


class Autoencoder(nn.Module):
    """A convolution, stages, the middle, and the posterior of the latents, of which the mean.

    Args:
        config: Its numbers.

    Attributes:
        blocks: The stages.
        normalize: Whether the pooled vector leaves with unit L2 norm.
    """

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.stride = config.stride
        self.latents = config.latents
        self.normalize = config.normalize
        self.stem = nn.Conv2d(3, config.widths[0], 3, padding=1)
        self.blocks = nn.ModuleList(Stage(config, index) for index in range(len(config.widths)))
        self.middle = Middle(config)
        self.norm = nn.GroupNorm(config.groups, config.widths[-1], eps=EPS)
        self.head = nn.Conv2d(config.widths[-1], 2 * config.latents, 3, padding=1)
        # mean and logarithm of the variance; the latter is left out, for nothing is drawn
        self.posterior = nn.Conv2d(2 * config.latents, 2 * config.latents, 1)

    def forward(self, pixels: Tensor) -> Encoded:
        """(B, 3, H, W) -> pooled (B, L), tokens (B, N, L) row by row, pyramid of one map.

        Raises:
            InputError: Height or width is no multiple of the stride.
        """
        height, width = pixels.shape[2:]
        if height % self.stride or width % self.stride:
            raise InputError(
                f"An image of {height} x {width} pixels has no whole number of places of "
                f"{self.stride} x {self.stride}. Make both multiples of {self.stride}."
            )
        x = self.stem(pixels)  # (B, C, H, W)
        for stage in self.blocks:
            x = stage(x)
        x = F.silu(self.norm(self.middle(x)))  # (B, C, H / 8, W / 8)
        mean = self.posterior(self.head(x))[:, : self.latents]  # (B, L, H / 8, W / 8)
        tokens = mean.flatten(2).transpose(1, 2)  # (B, N, L)
        pooled = tokens.mean(dim=1)  # (B, L)
        return Encoded(
            pooled=unit(pooled) if self.normalize else pooled, tokens=tokens, pyramid=(mean,)
        )
