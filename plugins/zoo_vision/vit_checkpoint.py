"""Recognise a vision transformer by the configuration files of its repository. No torch.

Positions at other sizes are resampled as the library resamples them whose configuration it is:
timm antialiased, transformers plainly, but antialiased for DINOv2 with registers. A row's way is
its authors', which may be a third.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from zoo.errors import UnsupportedCheckpointError
from zoo.fields import DEEPEST, Fields
from zoo.hookspecs import RepoFiles
from zoo.spec import Family, ImagePreprocess, ModelSpec
from zoo_vision.families.deit import DEIT
from zoo_vision.families.dinov2 import DINOV2
from zoo_vision.families.ijepa import IJEPA
from zoo_vision.families.mae import MAE
from zoo_vision.families.vit import VIT
from zoo_vision.families.vit_layouts import LARGEST, pixels
from zoo_vision.processing import from_timm, timm_arguments
from zoo_vision.repository import (
    WIDEST,
    found_row,
    sides,
    transformers_preprocess,
    width_and_heads,
)
from zoo_vision.timm_vits import TIMM_VITS
from zoo_vision.vit_config import ViTConfig

FAMILIES: Mapping[str, Family] = {
    "vit": VIT,
    "deit": DEIT,
    "dinov2": DINOV2,
    "dinov2_with_registers": DINOV2,
    "vit_mae": MAE,
    "ijepa": IJEPA,
}


def vit_checkpoint(files: RepoFiles, fields: Fields) -> ModelSpec | None:
    """Return the row of a repository with transformers' or timm's vision transformer, or None."""
    kind = fields.get("model_type")
    if isinstance(kind, str) and kind in FAMILIES:
        config = _transformers(fields, kind)
        return vit_row(files, FAMILIES[kind], config, transformers_preprocess(files))
    name = fields.get("architecture")
    if isinstance(name, str) and name in TIMM_VITS:
        family, config = TIMM_VITS[name]
        preprocess = from_timm(fields.inner("pretrained_cfg"))
        return vit_row(files, family, _timm(fields, config), preprocess)
    return None


def vit_row(
    files: RepoFiles, family: Family, config: ViTConfig, preprocess: ImagePreprocess
) -> ModelSpec:
    """Return the row of a repository.

    Raises:
        UnsupportedCheckpointError: Its images do not fill the patches, or are too large.
    """
    if any(side % config.patch for side in preprocess.size) or max(preprocess.size) > LARGEST:
        raise UnsupportedCheckpointError(
            f"{files.source} prepares images of {preprocess.size} pixels, which patches of "
            f"{config.patch} do not fill, or which are larger than {LARGEST}."
        )
    return found_row(
        files,
        family,
        config=config,
        params=config.params,
        preprocess=preprocess,
        inputs=pixels(config.patch, preprocess.size[0]),
    )


def _timm(fields: Fields, config: ViTConfig) -> ViTConfig:
    inner = timm_arguments(fields, "img_size", "dynamic_img_size")
    if "img_size" in inner:
        config = sized(config, sides(inner, "img_size"))
    fields.require("global_pool", "token", "avg")
    if fields.get("global_pool") == "avg" and config.pooling != "mean":
        config = replace(config, pooling="mean")
        if config.positions != "rotary":  # timm normalises the mean instead of the tokens
            config = replace(config, final_norm=False, pool_norm=True)
    elif fields.get("global_pool") == "token" and config.pool_norm:
        config = replace(config, pooling="cls", final_norm=True, pool_norm=False)
    return replace(config, position_mode="bicubic", position_antialias=True, position_offset=0.0)


def _transformers(fields: Fields, kind: str) -> ViTConfig:
    fields.require("num_channels", 3)
    fields.require("hidden_act", "gelu")
    width, heads = width_and_heads(fields, 768, 12)
    dinov2 = kind.startswith("dinov2")
    gated = dinov2 and fields.flag("use_swiglu_ffn", False)
    if dinov2:
        hidden = fields.integer("mlp_ratio", 4, most=64) * width
        # transformers makes a gated MLP two thirds as wide, rounded up to a multiple of 8
        hidden = (int(hidden * 2 / 3) + 7) // 8 * 8 if gated else hidden
    else:
        hidden = fields.integer("intermediate_size", 3072, most=WIDEST)
    registers = kind == "dinov2_with_registers"
    config = ViTConfig(
        width=width,
        depth=fields.integer("num_hidden_layers", 12, most=DEEPEST),
        heads=heads,
        hidden=hidden,
        swiglu=gated,
        patch=1,
        norm_eps=fields.number("layer_norm_eps", 1e-6 if dinov2 else 1e-12),
        qkv_bias=fields.flag("qkv_bias", True),
        layer_scale=dinov2,
        class_token=kind != "ijepa",
        distillation_token=kind == "deit",
        registers=fields.integer("num_register_tokens", 4, most=1024) if registers else 0,
        position_antialias=registers,
        pooling={"deit": "cls_dist", "vit_mae": "mean", "ijepa": "mean"}.get(kind, "cls"),  # type: ignore[arg-type]  # values of Pooling
    )
    return with_sizes(fields, config)


def with_sizes(fields: Fields, config: ViTConfig) -> ViTConfig:
    """Return a config of a patch of 1 with the patch and image size of transformers' file.

    Raises:
        UnsupportedCheckpointError: The patch is not square, or images do not fill patches.
    """
    patch = sides(fields, "patch_size", 16)
    if patch[0] != patch[1]:
        raise UnsupportedCheckpointError(f"{fields.file} has patches that are not square: {patch}.")
    size = sides(fields, "image_size", 224)
    if config.positions == "rotary":  # any size will do; nothing was learned at this one
        size = (size[0] // patch[0] * patch[0], size[1] // patch[0] * patch[0])
    return sized(replace(config, patch=patch[0]), size)


def sized(config: ViTConfig, size: tuple[int, int]) -> ViTConfig:
    """Return a config for another image size.

    Raises:
        UnsupportedCheckpointError: The size does not fill the patches.
    """
    if any(side % config.patch for side in size):
        raise UnsupportedCheckpointError(
            f"Images of {size} pixels, which patches of {config.patch} do not fill, are not "
            "supported."
        )
    return replace(config, image_size=size)
