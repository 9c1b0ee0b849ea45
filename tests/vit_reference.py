"""Small reference ViTs, and the authors' own ways to resample positions, for the tests of ViTs."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import scipy.ndimage
import timm
import torch
import transformers
from timm.layers import SwiGLUPacked
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

import zoo
from tests.reference import images, relative_error, tolerance
from zoo.encoded import Encoded
from zoo.encoder import Encoder
from zoo.registry import default_registry
from zoo.spec import ModelSpec
from zoo_vision.vit_config import ViTConfig

__all__ = ["timm"]

HIDDEN = 64  # twice the width
GATED = 88  # transformers: two thirds of four times the width, rounded up to a multiple of 8
NATIVE = (24, 24)
OTHER = (32, 16)  # another shape of grid, not square
BATCH = 3

Resample = Callable[[Tensor, tuple[int, int]], Tensor]
"""(1, D, H, W) and the new grid -> (1, D, H', W')."""


def to_size(grid: Tensor, size: tuple[int, int]) -> Tensor:
    """DeiT's main.py, MAE's util/pos_embed.py, timm 0.4.9, transformers: bicubic to a size."""
    return F.interpolate(grid, size=size, mode="bicubic", align_corners=False)


def antialiased(grid: Tensor, size: tuple[int, int]) -> Tensor:
    """DINOv2 with registers; timm of today."""
    return F.interpolate(grid, size=size, mode="bicubic", antialias=True)


def by_factor(grid: Tensor, size: tuple[int, int]) -> Tensor:
    """DINO's and DINOv2's `interpolate_pos_encoding`: a scale factor, the size plus 0.1."""
    side = math.sqrt(grid.shape[-1] * grid.shape[-2])
    factors = ((size[0] + 0.1) / side, (size[1] + 0.1) / side)
    return F.interpolate(grid, scale_factor=factors, mode="bicubic")


def zoomed(grid: Tensor, size: tuple[int, int]) -> Tensor:
    """google-research/vision_transformer: scipy's linear zoom."""
    factors = (1, 1, size[0] / grid.shape[-2], size[1] / grid.shape[-1])
    return torch.from_numpy(scipy.ndimage.zoom(grid.detach().numpy(), factors, order=1))


AUTHORS: dict[str, Resample] = {
    "vit-b16": zoomed,
    "deit-b16": to_size,
    "deit-b16-dist": to_size,
    "dino-b16": by_factor,
    "dinov2-b14": by_factor,
    "dinov2-b14-reg": antialiased,
    "dinov2-g14": by_factor,
    "dinov2-g14-reg": antialiased,
    "mae-b16": to_size,
    "moco-v3-s16": to_size,
    "ijepa-h14": to_size,
}


def small_row(name: str, **fields: Any) -> ModelSpec:
    """Return a row with all its features, a few thousand parameters and a float64-able size."""
    row = default_registry().row(name)
    assert isinstance(row.config, ViTConfig)
    numbers = {"width": 32, "depth": 2, "heads": 4, "hidden": HIDDEN, "patch": 4}
    if fields.get("swiglu", row.config.swiglu):
        numbers["hidden"] = GATED
    return row.with_config(**{**numbers, "image_size": NATIVE, **fields})


def load(row: ModelSpec, folder: Path, dtype: torch.dtype) -> Encoder:
    """Load a small row from a folder or file, as a user would."""
    encoder = zoo.load(row, weights=folder, dtype=dtype)
    assert isinstance(encoder, Encoder)
    return encoder


def timm_model(config: ViTConfig, size: tuple[int, int] = NATIVE) -> VisionTransformer:
    """Return timm's network with a config's numbers."""
    kind = VisionTransformerDistilled if config.distillation_token else VisionTransformer
    options: dict[str, Any] = {}
    if not config.distillation_token:
        options = {
            "class_token": config.class_token,
            "no_embed_class": not config.class_position,
            "reg_tokens": config.registers,
            "global_pool": "token" if config.pooling == "cls" else "avg",
            "fc_norm": config.pool_norm,
            "final_norm": config.final_norm or config.pool_norm,
            "pre_norm": config.pre_norm,
        }
    return kind(
        img_size=size,
        patch_size=config.patch,
        num_classes=0,
        embed_dim=config.width,
        depth=config.depth,
        num_heads=config.heads,
        # timm states a gated MLP's width as the sum of its halves
        mlp_ratio=config.hidden * (2 if config.swiglu else 1) / config.width,
        init_values=1e-5 if config.layer_scale else None,
        mlp_layer=SwiGLUPacked if config.swiglu else timm.layers.Mlp,
        act_layer=nn.SiLU if config.swiglu else nn.GELU,
        **options,
    )


def transformers_config(row: ModelSpec, size: tuple[int, int] = NATIVE) -> Any:
    """Return transformers' config with a row's numbers."""
    config = row.config
    assert isinstance(config, ViTConfig)
    common: dict[str, Any] = {
        "hidden_size": config.width,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.heads,
        "patch_size": config.patch,
        "image_size": size,
        "layer_norm_eps": config.norm_eps,
    }
    hidden = {"intermediate_size": config.hidden}
    # transformers makes a gated MLP two thirds as wide as the ratio says
    ratio = round(config.hidden * (1.5 if config.swiglu else 1) / config.width)
    gated = {"mlp_ratio": ratio, "use_swiglu_ffn": config.swiglu}
    if row.family.name == "dinov2" and config.registers:
        return transformers.Dinov2WithRegistersConfig(
            **common, **gated, num_register_tokens=config.registers
        )
    if row.family.name == "dinov2":
        return transformers.Dinov2Config(**common, **gated)
    if row.family.name == "mae":
        return transformers.ViTMAEConfig(**common, **hidden, mask_ratio=0.0)
    if row.family.name == "ijepa":
        return transformers.IJepaConfig(**common, **hidden)
    if config.distillation_token:
        return transformers.DeiTConfig(**common, **hidden)
    return transformers.ViTConfig(**common, **hidden)


def with_positions(
    state: dict[str, Tensor], name: str, config: ViTConfig, size: tuple[int, int], way: Resample
) -> dict[str, Tensor]:
    """Return a state dict whose positions fit another image size, resampled the authors' way."""
    table = state[name]
    prefix, patches = table[:, : config.placed], table[:, config.placed :]
    rows, columns = config.grid
    grid = patches.reshape(1, rows, columns, -1).permute(0, 3, 1, 2)
    new = (size[0] // config.patch, size[1] // config.patch)
    resampled = way(grid, new).permute(0, 2, 3, 1).flatten(1, 2)
    return {**state, name: torch.cat((prefix, resampled), dim=1)}


def record(blocks: nn.ModuleList) -> list[Tensor]:
    """Return a list that fills with the blocks' outputs at the next forward pass."""
    outputs: list[Tensor] = []
    for block in blocks:
        block.register_forward_hook(
            lambda _module, _inputs, output: outputs.append(
                output[0] if isinstance(output, tuple) else output
            )
        )
    return outputs


def blocks_of(module: nn.Module, depth: int) -> nn.ModuleList:
    """Return the list of a reference's blocks."""
    return next(
        part for part in module.modules() if isinstance(part, nn.ModuleList) and len(part) == depth
    )


def assert_same(
    encoder: Encoder,
    pixels: Tensor,
    *,
    sequence: Tensor,
    pooled: Tensor,
    blocks: list[Tensor],
) -> None:
    """Hold every output of an encoder against a reference's normalised sequence and blocks."""
    bound = tolerance(pixels.dtype)
    config = encoder.spec.config
    assert isinstance(config, ViTConfig)
    prefix = config.class_token + config.distillation_token + config.registers
    with torch.no_grad():
        ours: Encoded = encoder({"pixels": pixels})
        inner = encoder.blocks({"pixels": pixels}, indices=range(config.depth))

    assert relative_error(ours.pooled, pooled) <= bound
    assert relative_error(ours.tokens, sequence[:, prefix:]) <= bound
    if prefix:
        assert relative_error(ours.prefix, sequence[:, :prefix]) <= bound
    else:
        assert ours.prefix is None
    assert ours.mask is None
    assert len(blocks) == len(inner) == config.depth
    for one, other in zip(inner, blocks, strict=True):
        assert relative_error(one, other) <= bound


def pooled_by(config: ViTConfig, sequence: Tensor) -> Tensor:
    """Return the vector of a normalised sequence, as the papers say."""
    prefix = config.class_token + config.distillation_token + config.registers
    return {
        "cls": sequence[:, 0],
        "cls_dist": sequence[:, :2].mean(dim=1),
        "mean": sequence[:, prefix:].mean(dim=1),
    }[config.pooling]


def noise(size: tuple[int, int], dtype: torch.dtype) -> Tensor:
    """Return seeded images (3, 3, H, W)."""
    return images(BATCH, *size, dtype)
