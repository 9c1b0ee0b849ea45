"""Recognise a ConvNeXt by the configuration files of its repository. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from zoo.errors import UnsupportedCheckpointError
from zoo.fields import DEEPEST, Fields
from zoo.hookspecs import RepoFiles
from zoo.spec import Family, ImagePreprocess, ModelSpec
from zoo_vision.convnext_config import ConvNeXtConfig, Stages
from zoo_vision.families.convnext import (
    BASE,
    CONVNEXT,
    DISTILLED,
    LARGE,
    LARGEST,
    SMALL,
    TINY,
    pixels,
)
from zoo_vision.processing import from_timm, timm_arguments
from zoo_vision.repository import WIDEST, found_row, transformers_preprocess

# timm's names of the architectures that are this package's ConvNeXt.
TIMM: Mapping[str, ConvNeXtConfig] = {
    "convnext_tiny": TINY,
    "convnext_small": SMALL,
    "convnext_base": BASE,
    "convnext_large": LARGE,
    "convnext_xlarge": ConvNeXtConfig(depths=(3, 3, 27, 3), widths=(256, 512, 1024, 2048)),
}


def convnext_checkpoint(files: RepoFiles, fields: Fields) -> ModelSpec | None:
    """Return the row of a repository with DINOv3's ConvNeXt in transformers, timm's, or None."""
    if fields.get("model_type") == "dinov3_convnext":
        return _row(files, DISTILLED, _transformers(fields), transformers_preprocess(files))
    name = fields.get("architecture")
    if isinstance(name, str) and name in TIMM:
        timm_arguments(fields)
        fields.require("global_pool", "avg")
        return _row(files, CONVNEXT, TIMM[name], from_timm(fields.inner("pretrained_cfg")))
    return None


def _row(
    files: RepoFiles, family: Family, config: ConvNeXtConfig, preprocess: ImagePreprocess
) -> ModelSpec:
    stride = config.stride
    if any(side % stride or side > LARGEST for side in preprocess.size):
        raise UnsupportedCheckpointError(
            f"{files.source} prepares images of {preprocess.size} pixels; supported are multiples "
            f"of {stride} up to {LARGEST}."
        )
    return found_row(
        files,
        family,
        config=config,
        params=config.params,
        preprocess=preprocess,
        inputs=pixels(config, preprocess.size[0]),
        outputs=("pooled", "tokens", "pyramid"),
    )


def _transformers(fields: Fields) -> ConvNeXtConfig:
    fields.require("num_channels", 3)
    fields.require("hidden_act", "gelu")
    return ConvNeXtConfig(
        depths=cast(Stages, fields.integers("depths", TINY.depths, most=DEEPEST)),
        widths=cast(Stages, fields.integers("hidden_sizes", TINY.widths, most=WIDEST)),
        norm_eps=fields.positive("layer_norm_eps", 1e-6),
    )
