"""iGPT: a language model over pixels, read in the middle.

Generative Pretraining from Pixels, Chen et al. 2020; order of operations as in the authors'
src/model.py (github.com/openai/image-gpt at 59c875e, modified MIT).
Shapes: B samples, H and W pixels, N all of them, D width, K colours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from zoo.encoded import Encoded
from zoo.errors import InputError
from zoo.nn.attention import SelfAttention
from zoo.nn.mlp import Mlp
from zoo.nn.pool import unit

if TYPE_CHECKING:
    from zoo_vision.imagegpt_config import ImageGptConfig


class ScaleNorm(nn.Module):
    """Each token brought to a mean square of 1; its mean stays, and there is no bias.

    Args:
        width: Of a token.
        eps: Added to the mean square.
    """

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        square = x.square().mean(dim=-1, keepdim=True)  # (B, N, 1)
        return x / (square + self.eps).sqrt() * self.weight


class Block(nn.Module):
    """Causal attention and an MLP, each normalised before and added to its input.

    Args:
        config: Of the network.
    """

    def __init__(self, config: ImageGptConfig) -> None:
        super().__init__()
        self.norm1 = ScaleNorm(config.width, config.norm_eps)
        self.attention = SelfAttention(config.width, config.heads, causal=True)
        self.norm2 = ScaleNorm(config.width, config.norm_eps)
        self.mlp = Mlp(config.width, 4 * config.width, activation="quick_gelu")

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        x = x + self.attention(self.norm1(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class Palette(nn.Module):
    """The colours that the network knows.

    Args:
        colours: How many.
    """

    def __init__(self, colours: int) -> None:
        super().__init__()
        # spread over the cube, all different, until a checkpoint brings its own
        steps = torch.arange(colours)[:, None] * torch.tensor([0.7549, 0.5698, 0.8192])
        self.clusters: Tensor
        self.register_buffer("clusters", steps % 1 * 2 - 1)  # (K, 3), RGB in [-1, 1]

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, N), for each pixel the number of the nearest colour.

        Differences are squared and added one by one, where the authors expand the square: small
        distances keep their digits, and whoever computes this in the same type finds the same
        colours, bit by bit. Types below float32 have too few digits to tell distances apart.
        """
        wide = torch.promote_types(pixels.dtype, torch.float32)
        places = pixels.to(wide).flatten(2)  # (B, 3, N)
        apart = places[..., None] - self.clusters.to(wide).t()[None, :, None]  # (B, 3, N, K)
        red, green, blue = (apart * apart).unbind(1)
        return (red + green + blue).argmin(dim=-1)  # (B, N)


class ImageGpt(nn.Module):
    """Colours, blocks, and the norm that the next block would begin with.

    Args:
        config: Its numbers.

    Attributes:
        blocks: Those before the layer that is read.
        normalize: Whether the pooled vector leaves with unit L2 norm.
    """

    def __init__(self, config: ImageGptConfig) -> None:
        super().__init__()
        self.size = config.image_size
        self.normalize = config.normalize
        self.palette = Palette(config.colours)
        self.embedding = nn.Embedding(config.colours + 1, config.width)  # the last: the beginning
        self.positions = nn.Embedding(self.size[0] * self.size[1], config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = ScaleNorm(config.width, config.norm_eps)

    def forward(self, pixels: Tensor) -> Encoded:
        """(B, 3, H, W) -> pooled (B, D), tokens (B, N, D) row by row.

        A token has seen the pixels before its own, not its own.

        Raises:
            InputError: The image has another size.
        """
        if tuple(pixels.shape[2:]) != self.size:
            raise InputError(
                f"Images have {self.size[0]} x {self.size[1]} pixels here, "
                f"not {pixels.shape[2]} x {pixels.shape[3]}."
            )
        seen = self.embedding(self.palette(pixels))[:, :-1]  # (B, N - 1, D)
        start = self.embedding.weight[-1].expand(seen.shape[0], 1, -1)  # (B, 1, D)
        x = torch.cat((start, seen), dim=1) + self.positions.weight  # (B, N, D)
        for block in self.blocks:
            x = block(x)
        tokens = self.norm(x)  # (B, N, D)
        pooled = tokens.mean(dim=1)  # (B, D)
        return Encoded(pooled=unit(pooled) if self.normalize else pooled, tokens=tokens)
