"""Recognise a ResNet by the configuration files of its repository. No torch."""

from __future__ import annotations

from typing import Literal, cast

from zoo.errors import UnsupportedCheckpointError
from zoo.fields import DEEPEST, Fields
from zoo.hookspecs import RepoFiles
from zoo.spec import ImagePreprocess, ModelSpec
from zoo_vision.families.resnet import BASIC, BOTTLENECK, INPUTS, RESNET
from zoo_vision.processing import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    from_timm,
    from_transformers,
    timm_arguments,
)
from zoo_vision.repository import WIDEST, found_row, processor_fields
from zoo_vision.resnet_config import SHRINK, ResNetConfig

Stages = tuple[int, int, int, int]

# timm's names of the architectures that are torchvision's ResNet and nothing else.
TIMM = {
    "resnet18": ResNetConfig(block="basic", depths=(2, 2, 2, 2), widths=BASIC),
    "resnet34": ResNetConfig(block="basic", depths=(3, 4, 6, 3), widths=BASIC),
    "resnet50": ResNetConfig(block="bottleneck", depths=(3, 4, 6, 3), widths=BOTTLENECK),
    "resnet101": ResNetConfig(block="bottleneck", depths=(3, 4, 23, 3), widths=BOTTLENECK),
    "resnet152": ResNetConfig(block="bottleneck", depths=(3, 8, 36, 3), widths=BOTTLENECK),
}


def resnet_checkpoint(files: RepoFiles, fields: Fields) -> ModelSpec | None:
    """Return the row of a repository with transformers' or timm's ResNet, or None."""
    if fields.get("model_type") == "resnet":
        return _row(files, _transformers(fields), _transformers_preprocess(files))
    name = fields.get("architecture")
    if isinstance(name, str) and name in TIMM:
        timm_arguments(fields).require("global_pool", "avg")
        return _row(files, TIMM[name], from_timm(fields.inner("pretrained_cfg")))
    return None


def _row(files: RepoFiles, config: ResNetConfig, preprocess: ImagePreprocess) -> ModelSpec:
    return found_row(
        files,
        RESNET,
        config=config,
        params=config.params,
        preprocess=preprocess,
        inputs=INPUTS,
        outputs=("pooled", "tokens", "pyramid"),
    )


def _transformers(fields: Fields) -> ResNetConfig:
    fields.require("num_channels", 3)
    fields.require("hidden_act", "relu")
    fields.require("downsample_in_first_stage", False)
    fields.require("downsample_in_bottleneck", False)
    fields.require("layer_type", "basic", "bottleneck")
    block = cast("Literal['basic', 'bottleneck']", fields.text("layer_type", "bottleneck"))
    widths = cast(Stages, fields.integers("hidden_sizes", BOTTLENECK, most=WIDEST))
    if block == "bottleneck" and any(width % SHRINK for width in widths):
        raise UnsupportedCheckpointError(
            f"{fields.file} has hidden_sizes {widths}; a bottleneck needs multiples of {SHRINK}."
        )
    return ResNetConfig(
        block=block,
        depths=cast(Stages, fields.integers("depths", (3, 4, 6, 3), most=DEEPEST)),
        widths=widths,
        stem=fields.integer("embedding_size", 64, most=WIDEST),
    )


def _transformers_preprocess(files: RepoFiles) -> ImagePreprocess:
    """Return the processor's recipe; transformers gives ResNets ConvNext's."""
    return from_transformers(
        processor_fields(files),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        resample=3,
        size=224,
        crop=False,
    )
