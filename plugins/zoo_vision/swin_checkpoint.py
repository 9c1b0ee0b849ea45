"""Recognise a Swin transformer by the configuration files of its repository. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from zoo.errors import UnsupportedCheckpointError
from zoo.fields import DEEPEST, Fields
from zoo.hookspecs import RepoFiles
from zoo.spec import ImagePreprocess, ModelSpec
from zoo_vision.families.swin import BASE, LARGE, LARGEST, SMALL, SWIN, TINY, pixels
from zoo_vision.processing import from_timm, timm_arguments
from zoo_vision.repository import WIDEST, found_row, sides, transformers_preprocess
from zoo_vision.swin_config import STAGES, Stages, SwinConfig


def _at_384(config: SwinConfig) -> SwinConfig:
    return replace(config, window=12, image_size=(384, 384))


# timm's names of the architectures that are this package's Swin.
TIMM: Mapping[str, SwinConfig] = {
    "swin_tiny_patch4_window7_224": TINY,
    "swin_small_patch4_window7_224": SMALL,
    "swin_base_patch4_window7_224": BASE,
    "swin_base_patch4_window12_384": _at_384(BASE),
    "swin_large_patch4_window7_224": LARGE,
    "swin_large_patch4_window12_384": _at_384(LARGE),
}


def swin_checkpoint(files: RepoFiles, fields: Fields) -> ModelSpec | None:
    """Return the row of a repository with transformers' or timm's Swin, or None."""
    if fields.get("model_type") == "swin":
        return _row(files, _transformers(fields), transformers_preprocess(files))
    name = fields.get("architecture")
    if isinstance(name, str) and name in TIMM:
        inner, config = timm_arguments(fields, "img_size"), TIMM[name]
        fields.require("global_pool", "avg")
        if "img_size" in inner:
            config = replace(config, image_size=sides(inner, "img_size"))
        return _row(files, config, from_timm(fields.inner("pretrained_cfg")))
    return None


def _row(files: RepoFiles, config: SwinConfig, preprocess: ImagePreprocess) -> ModelSpec:
    least = config.patch * (4 * config.window + 4)  # the third stage is larger than a window
    least = min(least, *config.image_size)
    if any(side % config.patch or not least <= side <= LARGEST for side in preprocess.size):
        raise UnsupportedCheckpointError(
            f"{files.source} prepares images of {preprocess.size} pixels; supported are multiples "
            f"of {config.patch} from {least} to {LARGEST}."
        )
    return found_row(
        files,
        SWIN,
        config=config,
        params=config.params,
        preprocess=preprocess,
        inputs=pixels(preprocess.size[0], least=least, patch=config.patch),
        outputs=("pooled", "tokens", "pyramid"),
    )


def _transformers(fields: Fields) -> SwinConfig:
    fields.require("num_channels", 3)
    fields.require("hidden_act", "gelu")
    fields.require("layer_norm_eps", 1e-5)  # transformers keeps it where its file says otherwise
    fields.require("use_absolute_embeddings", False)
    patch, size = sides(fields, "patch_size", 4), sides(fields, "image_size", 224)
    window = fields.integer("window_size", 7, most=256)
    smallest = min(size) // patch[0] // 2 ** (STAGES - 1)
    if patch[0] != patch[1] or size[0] != size[1] or window > smallest:
        raise UnsupportedCheckpointError(
            f"{fields.file} has images of {size}, patches of {patch} and windows of {window}; "
            f"both must be square, and a window no larger than the last stage ({smallest})."
        )
    return SwinConfig(
        width=fields.integer("embed_dim", 96, most=WIDEST),
        depths=cast(Stages, fields.integers("depths", (2, 2, 6, 2), most=DEEPEST)),
        heads=cast(Stages, fields.integers("num_heads", (3, 6, 12, 24), most=WIDEST)),
        window=window,
        image_size=size,
        patch=patch[0],
        mlp_ratio=fields.positive("mlp_ratio", 4.0),
        qkv_bias=fields.flag("qkv_bias", True),
    )
