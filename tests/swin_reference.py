"""Small reference Swins for the tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor

import zoo
from tests.reference import images, make_live
from zoo.encoder import Encoder
from zoo.registry import default_registry
from zoo.spec import ModelSpec
from zoo_vision.swin_config import SwinConfig

NATIVE = (96, 96)
DOUBLE = (192, 192)
# Grids 26 x 34, 13 x 17, 7 x 9, 4 x 5: no multiple of the window of 3, and odd where stages merge.
ODD = (104, 136)


def tiny_swin(**changes: Any) -> ModelSpec:
    """Return a row over a config of a few thousand parameters."""
    row = default_registry().row("swin-t")
    assert isinstance(row.config, SwinConfig)
    return replace(row, config=replace(row.config.tiny(), **changes))


def config_of(row: ModelSpec) -> SwinConfig:
    """Return a row's config."""
    assert isinstance(row.config, SwinConfig)
    return row.config


def timm_swin(config: SwinConfig, size: tuple[int, int], **options: Any) -> SwinTransformer:
    """Return timm's network with a config's numbers, made for an image size."""
    return SwinTransformer(
        img_size=size,
        patch_size=config.patch,
        embed_dim=config.width,
        depths=config.depths,
        num_heads=config.heads,
        window_size=config.window,
        mlp_ratio=config.mlp_ratio,
        qkv_bias=config.qkv_bias,
        **{"num_classes": 0, **options},
    )


def transformers_config(config: SwinConfig) -> transformers.SwinConfig:
    """Return transformers' config with a config's numbers."""
    return transformers.SwinConfig(
        image_size=config.image_size[0],
        patch_size=config.patch,
        embed_dim=config.width,
        depths=list(config.depths),
        num_heads=list(config.heads),
        window_size=config.window,
        mlp_ratio=config.mlp_ratio,
        qkv_bias=config.qkv_bias,
    )


def live_timm(row: ModelSpec, dtype: torch.dtype = torch.float64) -> SwinTransformer:
    """Return timm's live network at the config's own size."""
    model = timm_swin(config_of(row), config_of(row).image_size).to(dtype)
    model_live = make_live(model)
    assert isinstance(model_live, SwinTransformer)
    for part in model.modules():  # make_live fills buffers too
        if hasattr(part, "init_non_persistent_buffers"):
            part.init_non_persistent_buffers()
    return model_live


def save(state: dict[str, Tensor], folder: Path) -> Path:
    """Write a file of weights; returns the folder."""
    save_file({name: tensor.contiguous() for name, tensor in state.items()},
              folder / "model.safetensors")  # fmt: skip
    return folder


def load(row: ModelSpec, folder: Path, dtype: torch.dtype = torch.float64) -> Encoder:
    """Load a row from a folder, as a user would."""
    encoder = zoo.load(row, weights=folder, dtype=dtype)
    assert isinstance(encoder, Encoder)
    return encoder


def noise(size: tuple[int, int], dtype: torch.dtype = torch.float64) -> Tensor:
    """Return seeded images (2, 3, H, W)."""
    return images(2, *size, dtype)
