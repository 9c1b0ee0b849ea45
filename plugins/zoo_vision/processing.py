"""Image preprocessing as other libraries' configuration files describe it. No torch.

Sources: transformers' image_processing_{clip,vit,convnext}.py (5.23), timm's data/config.py and
data/transforms_factory.py (1.0.31).
"""

from __future__ import annotations

import math
from typing import Literal

from zoo.errors import UnsupportedCheckpointError
from zoo.fields import Fields
from zoo.spec import ImagePreprocess

Filter = Literal["nearest", "bilinear", "bicubic", "lanczos", "box"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
HALVES = (0.5, 0.5, 0.5)

PILLOW: dict[int, Filter] = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box"}
FILTERS: dict[str, Filter] = {name: name for name in PILLOW.values()}
LARGEST_SIDE = 8192  # pixels
CONVNEXT_SQUASH = 384  # pixels; from here on ConvNext's processor squashes


def from_transformers(
    fields: Fields,
    *,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    resample: int,
    size: int,
    crop: bool,
) -> ImagePreprocess:
    """Return what a `preprocessor_config.json` asks for.

    Args:
        fields: The file.
        mean: Of RGB in [0, 1], where the file is silent: the default of the model's processor.
        std: The same.
        resample: The same; a filter as Pillow counts them.
        size: The same; pixels.
        crop: The same; whether the shorter side is resized and the centre taken.

    Raises:
        UnsupportedCheckpointError: It asks for something else than resize, crop and normalise.
    """
    fields.require("do_resize", True)
    fields.require("do_rescale", True)
    if not math.isclose(fields.number("rescale_factor", 1 / 255), 1 / 255, rel_tol=1e-6):
        raise UnsupportedCheckpointError(f"{fields.file} has a rescale_factor other than 1/255.")
    code = fields.get("resample")
    if code is None:
        code = resample
    if type(code) is not int or code not in PILLOW:
        raise UnsupportedCheckpointError(f"{fields.file} has an unknown resample filter {code!r}.")
    if not fields.flag("do_normalize", True):
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    else:
        mean, std = fields.numbers("image_mean", mean), _deviation(fields, "image_std", std)
    window, shorter = _geometry(fields, size, crop)
    return ImagePreprocess(
        size=window,
        resize=shorter,
        resample=PILLOW[code],
        mean=mean,
        std=std,
        crop_offset="floor",
    )


def _geometry(
    fields: Fields, default: int, crop: bool
) -> tuple[tuple[int, int], int | tuple[int, int] | None]:
    """Return height and width, and the shorter side or both before the crop."""
    kind = str(fields.get("image_processor_type") or fields.get("feature_extractor_type"))
    size = fields.get("size")
    # An integer is one side for processors that crop, both sides for ViT's.
    cropped = fields.flag("do_center_crop", crop)
    edge = _edge(fields, default)
    if "crop_pct" in fields or "ConvNext" in kind:
        if edge is None:
            raise UnsupportedCheckpointError(f"{fields.file} has crop_pct, but no shortest edge.")
        if edge >= CONVNEXT_SQUASH:
            return (edge, edge), None
        share = fields.number("crop_pct", 224 / 256)
        if not 0 < share <= 1:
            raise UnsupportedCheckpointError(f"{fields.file} has crop_pct {share}, outside (0, 1].")
        return (edge, edge), int(edge / share)
    if isinstance(size, dict) and "shortest_edge" not in size:
        both = _window(fields, "size", (default, default))
        window = _window(fields, "crop_size", both) if cropped else both
        if window[0] > both[0] or window[1] > both[1]:
            raise UnsupportedCheckpointError(
                f"{fields.file} crops {window} out of {both} pixels, which would pad."
            )
        return window, None if window == both else both
    if not cropped:
        if isinstance(size, dict):
            raise UnsupportedCheckpointError(
                f"{fields.file} resizes the shorter edge and does not crop: images would differ in "
                "size, which is not supported."
            )
        return (edge or default, edge or default), None
    edge = edge or default
    window = _window(fields, "crop_size", (edge, edge))
    if max(window) > edge:
        raise UnsupportedCheckpointError(
            f"{fields.file} crops {window} out of a shorter edge of {edge} pixels, which would pad."
        )
    return window, edge


def _edge(fields: Fields, default: int) -> int | None:
    """Return the shorter edge, or a plain number; None if height and width are given."""
    size = fields.get("size")
    if isinstance(size, dict):
        inner = fields.inner("size")
        return (
            inner.integer("shortest_edge", most=LARGEST_SIDE) if "shortest_edge" in size else None
        )
    return fields.integer("size", default, most=LARGEST_SIDE)


def _window(fields: Fields, key: str, default: tuple[int, int]) -> tuple[int, int]:
    value = fields.get(key)
    if isinstance(value, dict):
        inner = fields.inner(key)
        return (
            inner.integer("height", most=LARGEST_SIDE),
            inner.integer("width", most=LARGEST_SIDE),
        )
    if value is None:
        return default
    side = fields.integer(key, most=LARGEST_SIDE)
    return side, side


def from_timm(fields: Fields) -> ImagePreprocess:
    """Return what `pretrained_cfg` of timm's `config.json` asks for.

    Raises:
        UnsupportedCheckpointError: It asks for something else than resize, crop and normalise.
    """
    channels, height, width = fields.integers("input_size", (3, 224, 224), most=LARGEST_SIDE)
    if channels != 3:
        raise UnsupportedCheckpointError(f"{fields.file} wants {channels} channels; supported: 3.")
    fields.require("crop_mode", "center", "squash")
    name = fields.text("interpolation", "bicubic")
    if name not in FILTERS:
        raise UnsupportedCheckpointError(f"{fields.file} has an unknown interpolation {name!r}.")
    share = fields.positive("crop_pct", 0.875)
    both = math.floor(height / share), math.floor(width / share)
    if not 1 <= min(both) <= max(both) <= LARGEST_SIDE:
        raise UnsupportedCheckpointError(
            f"{fields.file} has crop_pct {share}, which resizes to {both[0]} x {both[1]} pixels."
        )
    squash = fields.text("crop_mode", "center") == "squash"
    if height != width and not squash:
        raise UnsupportedCheckpointError(
            f"{fields.file} asks for {height} x {width} pixels in a way that is not supported."
        )
    whole = None if both == (height, width) else both
    return ImagePreprocess(
        size=(height, width),
        resize=whole if squash else both[0],
        resample=FILTERS[name],
        mean=fields.numbers("mean", IMAGENET_MEAN),
        std=_deviation(fields, "std", IMAGENET_STD),
    )


def timm_arguments(fields: Fields, *allowed: str) -> Fields:
    """Return the arguments that timm builds a network with; it writes some that are defaults.

    Raises:
        UnsupportedCheckpointError: There is one that is not allowed and changes the network.
    """
    arguments = fields.inner("model_args")
    arguments.require("in_chans", 3)
    for key in fields.get("model_args") or ():
        if key not in (*allowed, "in_chans", "num_classes", "global_pool"):
            raise UnsupportedCheckpointError(
                f"{fields.file} builds its network with {key!r}; that is not supported."
            )
    return arguments


def _deviation(fields: Fields, key: str, default: tuple[float, ...]) -> tuple[float, ...]:
    values = fields.numbers(key, default)
    if min(values) <= 0:
        raise UnsupportedCheckpointError(
            f"{fields.file} has {key} = {values}; it must be positive."
        )
    return values
