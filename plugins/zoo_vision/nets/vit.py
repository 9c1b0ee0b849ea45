"""One vision transformer for all systems that differ only in the fields of their ViTConfig.

Dosovitskiy et al., "An Image is Worth 16x16 Words", arXiv 2010.11929, and its descendants.
Shapes: B samples, H W pixels, h w patches, N = h * w, P prefix tokens, D width of a token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from zoo.encoded import Encoded
from zoo.nn.attention import SelfAttention
from zoo.nn.mlp import GatedMlp, Mlp
from zoo.nn.pool import unit
from zoo.nn.positions import resample_positions
from zoo.nn.rotary import Rope
from zoo_vision.nets.map_pool import MapPool
from zoo_vision.nets.relative import RelativePositions
from zoo_vision.nets.rotary import axial_rope
from zoo_vision.nets.stages import check_sides

if TYPE_CHECKING:
    from zoo_vision.vit_config import ViTConfig

# How many of the first tokens the vector is made of; None where it needs all.
POOLED_TOKENS = {"cls": 1, "cls_dist": 2, "mean": None, "map": None}


class Places(NamedTuple):
    """Where the tokens stand, for attention.

    Attributes:
        grid: Rows, columns of patches.
        bias: (1, H, P + N, P + N) added to the scores in every block, or None.
        rope: What queries and keys are rotated by, or None.
    """

    grid: tuple[int, int]
    bias: Tensor | None = None
    rope: Rope | None = None


class LayerScale(nn.Module):
    """A learned factor a channel.

    Args:
        width: Of a token.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        return x * self.scale


class Block(nn.Module):
    """Attention and MLP, each normalised before and added to its input.

    Args:
        config: Of the network.
    """

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        width = config.width
        self.norm1 = nn.LayerNorm(width, eps=config.norm_eps)
        self.attention = SelfAttention(
            width, config.heads, qkv_bias=config.qkv_bias, key_bias=config.key_bias
        )
        self.relative = _relative(config, config.positions == "relative")
        self.scale1 = LayerScale(width) if config.layer_scale else nn.Identity()
        self.norm2 = nn.LayerNorm(width, eps=config.norm_eps)
        self.mlp: nn.Module = (
            GatedMlp(width, config.hidden)
            if config.swiglu
            else Mlp(width, config.hidden, activation=config.activation)
        )
        self.scale2 = LayerScale(width) if config.layer_scale else nn.Identity()

    def forward(self, x: Tensor, places: Places | None = None, count: int | None = None) -> Tensor:
        """(B, N, D) -> (B, N, D), or (B, count, D): the first tokens alone."""
        mask, rope = (None, None) if places is None else (places.bias, places.rope)
        if self.relative is not None and places is not None:
            mask = self.relative(places.grid)
        normed = self.norm1(x)
        if count is None:
            x = x + self.scale1(self.attention(normed, mask, rope))
        else:
            x = x[:, :count] + self.scale1(self.attention.first_tokens(normed, count, mask, rope))
        out: Tensor = x + self.scale2(self.mlp(self.norm2(x)))
        return out


class ViT(nn.Module):
    """A vision transformer.

    Args:
        config: Its numbers.

    Attributes:
        normalize: Whether the vector leaves with unit L2 norm.
        pooled_only: Leave out of the last block what the vector does not read, and of the output
            all but the vector.
    """

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        width, patch = config.width, config.patch
        self.config = config
        self.normalize = config.normalize
        self.pooled_only = False
        self.patches = nn.Conv2d(3, width, patch, stride=patch, bias=config.patch_bias)
        self.class_token = _tokens(int(config.class_token), width)
        self.distillation_token = _tokens(int(config.distillation_token), width)
        self.registers = _tokens(config.registers, width)
        rows, columns = config.grid
        learned = config.placed + rows * columns if config.positions == "learned" else 0
        self.positions = _tokens(learned, width)
        self.relative = _relative(config, config.positions == "relative_shared")
        self.pre_norm = _norm(config, config.pre_norm)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = _norm(config, config.final_norm)
        self.map_pool = (
            MapPool(width, config.heads, config.hidden, config.activation, config.norm_eps)
            if config.pooling == "map"
            else None
        )
        self.pool_norm = _norm(config, config.pool_norm)
        self.projection = (
            nn.Identity()
            if config.projection is None
            else nn.Linear(width, config.projection, bias=False)
        )

    def forward(self, pixels: Tensor) -> Encoded:
        """(B, 3, H, W) -> Encoded(pooled (B, dim), tokens (B, N, D), prefix (B, P, D)).

        Raises:
            InputError: Height or width is no multiple of the patch.
        """
        x, prefix = self.embed(pixels)
        x = self.pre_norm(x)
        places = self._places(pixels, x)
        *early, last = self.blocks
        for block in early:
            x = block(x, places)
        # after the last block nobody looks at the patches if a prefix token is the vector
        read = POOLED_TOKENS[self.config.pooling] if self.pooled_only else None
        x = self.norm(last(x, places, read))  # (B, P + N, D)
        pooled = self.projection(self.pool_norm(self._pool(x, prefix)))  # (B, dim)
        if self.normalize:
            pooled = unit(pooled)
        if self.pooled_only:
            return Encoded(pooled=pooled)
        return Encoded(
            pooled=pooled, tokens=x[:, prefix:], prefix=x[:, :prefix] if prefix else None
        )

    def embed(self, pixels: Tensor) -> tuple[Tensor, int]:
        """(B, 3, H, W) -> tokens with their positions (B, P + N, D), and P."""
        batch, _, height, width = pixels.shape
        patch = self.config.patch
        check_sides(pixels, patch, "cannot be cut into patches of")
        x = self.patches(pixels).flatten(2).transpose(1, 2)  # (B, N, D)
        if self.positions is not None:
            x = x + self._patch_positions(self.positions, (height // patch, width // patch))
        learned = (self.class_token, self.distillation_token, self.registers)
        tokens = [token for token in learned if token is not None]
        if not tokens:
            return x, 0
        prefix = torch.cat(tokens, dim=1)  # (1, P, D)
        placed = self.config.placed
        if placed and self.positions is not None:
            prefix = torch.cat(
                (prefix[:, :placed] + self.positions[:, :placed], prefix[:, placed:]), dim=1
            )
        return torch.cat((prefix.expand(batch, -1, -1), x), dim=1), prefix.shape[1]

    def _places(self, pixels: Tensor, x: Tensor) -> Places:
        """(B, 3, H, W) and tokens (B, P + N, D) -> what attention needs to know of their places."""
        config = self.config
        grid = (pixels.shape[2] // config.patch, pixels.shape[3] // config.patch)
        bias = None if self.relative is None else self.relative(grid)
        rope = None
        if config.positions == "rotary":
            rope = axial_rope(
                grid,
                prefix=config.prefix,
                head=config.width // config.heads,
                base=config.rotary_base,
                like=x,
            )
        return Places(grid, bias, rope)

    def _patch_positions(self, table: Tensor, grid: tuple[int, int]) -> Tensor:
        """Return the positions (1, N, D) of a grid of patches."""
        positions = table[:, self.config.placed :]
        # The authors add the table as it is at its own size, where resampling with an offset would
        # change it. The branch is on shapes: it is taken once when a graph of one size is traced.
        # A graph of any size must leave the branch out and make the scale depend on the size.
        if grid == self.config.grid:
            return positions
        return resample_positions(
            positions,
            self.config.grid,
            grid,
            mode=self.config.position_mode,
            antialias=self.config.position_antialias,
            offset=self.config.position_offset,
        )

    def _pool(self, x: Tensor, prefix: int) -> Tensor:
        """(B, P + N, D) -> (B, D)."""
        if self.map_pool is not None:
            vector: Tensor = self.map_pool(x[:, prefix:])
            return vector
        if self.config.pooling == "mean":
            return x[:, prefix:].mean(dim=1)
        if self.config.pooling == "cls_dist":
            return (x[:, 0] + x[:, 1]) / 2
        return x[:, 0]


def _norm(config: ViTConfig, wanted: bool) -> nn.Module:
    return nn.LayerNorm(config.width, eps=config.norm_eps) if wanted else nn.Identity()


def _relative(config: ViTConfig, wanted: bool) -> RelativePositions | None:
    return RelativePositions(config.grid, config.heads) if wanted else None


def _tokens(number: int, width: int) -> Tensor | None:
    """Return learned tokens (1, number, D), or None."""
    return nn.Parameter(torch.zeros(1, number, width)) if number else None
