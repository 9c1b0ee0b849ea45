"""Recognise a vision transformer by the configuration files of its repository. No torch.

Positions at other sizes are resampled as the library resamples them whose configuration it is:
timm antialiased, transformers plainly, but antialiased for DINOv2 with registers. A row's way is
its authors', which may be a third.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from zoo.errors import UnsupportedCheckpointError
from zoo.fields import DEEPEST, Fields
from zoo.hookspecs import RepoFiles
from zoo.spec import Family, ImagePreprocess, ModelSpec, WeightsSpec
from zoo_vision.families.deit import DEIT
from zoo_vision.families.dinov2 import DINOV2
from zoo_vision.families.ijepa import IJEPA
from zoo_vision.families.mae import MAE
from zoo_vision.families.vit import VIT
from zoo_vision.families.vit_layouts import LARGEST, pixels
from zoo_vision.processing import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    LARGEST_SIDE,
    from_timm,
    from_transformers,
    timm_arguments,
)
from zoo_vision.timm_vits import TIMM_VITS
from zoo_vision.vit_config import ViTConfig

CONFIG = "config.json"
PROCESSOR = "preprocessor_config.json"
WIDEST = 65_536  # features
HALVES = (0.5, 0.5, 0.5)
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

FAMILIES: Mapping[str, Family] = {
    "vit": VIT,
    "deit": DEIT,
    "dinov2": DINOV2,
    "dinov2_with_registers": DINOV2,
    "vit_mae": MAE,
    "ijepa": IJEPA,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What an image processor of transformers does where its file is silent."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    resample: int
    size: int
    crop: bool


# Named by the beginning of `image_processor_type`; the older `...FeatureExtractor` too.
PROCESSORS: Mapping[str, Defaults] = {
    "ViT": Defaults(mean=HALVES, std=HALVES, resample=2, size=224, crop=False),
    "DeiT": Defaults(mean=HALVES, std=HALVES, resample=3, size=256, crop=True),
    "Bit": Defaults(mean=CLIP_MEAN, std=CLIP_STD, resample=3, size=224, crop=True),
    "Beit": Defaults(mean=HALVES, std=HALVES, resample=3, size=224, crop=False),
    "DINOv3": Defaults(mean=IMAGENET_MEAN, std=IMAGENET_STD, resample=2, size=224, crop=False),
}


def vit_checkpoint(files: RepoFiles) -> tuple[ModelSpec, ...] | None:
    """Return the row of a repository with transformers' or timm's vision transformer, or None.

    Raises:
        UnsupportedCheckpointError: It is one of a kind that is not supported.
        FormatError: Its configuration makes no sense.
    """
    value = files.json(CONFIG)
    if not isinstance(value, dict):
        return None
    fields = Fields(value, CONFIG)
    kind = fields.get("model_type")
    if isinstance(kind, str) and kind in FAMILIES:
        config = _transformers(fields, kind)
        return (vit_row(files, FAMILIES[kind], config, transformers_preprocess(files)),)
    name = fields.get("architecture")
    if isinstance(name, str) and name in TIMM_VITS:
        family, config = TIMM_VITS[name]
        preprocess = from_timm(fields.inner("pretrained_cfg"))
        return (vit_row(files, family, _timm(fields, config), preprocess),)
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
    return family.model(
        files.source,
        config=config,
        weights=WeightsSpec(source=files.source, revision=files.revision),
        preprocess=preprocess,
        inputs=pixels(config.patch, preprocess.size[0]),
        params=config.params,
        license="unknown",
        objective="see the repository",
        source=files.source,
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


def width_and_heads(fields: Fields, width: int, heads: int) -> tuple[int, int]:
    """Return the width of a token and the number of heads, which divides it.

    Args:
        fields: transformers' configuration.
        width: Where it is silent.
        heads: The same.

    Raises:
        UnsupportedCheckpointError: It does not.
    """
    width = fields.integer("hidden_size", width, most=WIDEST)
    heads = fields.integer("num_attention_heads", heads, most=WIDEST)
    if width % heads:
        raise UnsupportedCheckpointError(
            f"{fields.file} has hidden_size {width}, no multiple of {heads} heads."
        )
    return width, heads


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


def sides(fields: Fields, key: str, default: int | None = None) -> tuple[int, int]:
    """Return height, width, which may be written as one number.

    Raises:
        FormatError: They are neither.
    """
    if isinstance(fields.get(key), list):
        height, width = fields.integers(key, (1, 1), most=LARGEST_SIDE)
        return height, width
    side = fields.integer(key, default, most=LARGEST_SIDE)
    return side, side


def transformers_preprocess(files: RepoFiles) -> ImagePreprocess:
    """Return the recipe of a repository's image processor, with its kind's defaults.

    Raises:
        UnsupportedCheckpointError: There is none, or of a kind that is not known.
    """
    value = files.json(PROCESSOR)
    if value is None:
        raise UnsupportedCheckpointError(
            f"{files.source} has no {PROCESSOR}: nothing says how its images are prepared."
        )
    fields = Fields(value, PROCESSOR)
    kind = fields.get("image_processor_type") or fields.get("feature_extractor_type") or "ViT"
    names = [name for name in PROCESSORS if str(kind).startswith(name)]
    if not names:
        raise UnsupportedCheckpointError(f"{PROCESSOR} names an unknown processor {kind!r}.")
    defaults = PROCESSORS[names[0]]
    if names[0] == "DeiT":  # squashes before the crop, also where one number is given
        side = value.get("size") or defaults.size
        if isinstance(side, int):
            value = {**value, "size": {"height": side, "width": side}}
        value = {"crop_size": 224, **value}
    return from_transformers(
        Fields(value, PROCESSOR),
        mean=defaults.mean,
        std=defaults.std,
        resample=defaults.resample,
        size=defaults.size,
        crop=defaults.crop,
    )
