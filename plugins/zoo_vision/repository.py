"""What repositories of networks of images share: files, image processors, rows. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from zoo.errors import UnsupportedCheckpointError
from zoo.fields import Fields, read_fields
from zoo.hookspecs import RepoFiles
from zoo.spec import (
    ArchConfig,
    Family,
    ImagePreprocess,
    ModelSpec,
    OutputName,
    TensorSpec,
    WeightsSpec,
)
from zoo_vision.processing import (
    CLIP_MEAN,
    CLIP_STD,
    HALVES,
    IMAGENET_MEAN,
    IMAGENET_STD,
    LARGEST_SIDE,
    from_transformers,
)

CONFIG = "config.json"
PROCESSOR = "preprocessor_config.json"
WIDEST = 65_536  # features


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


def found_row(
    files: RepoFiles,
    family: Family,
    *,
    config: ArchConfig,
    params: int,
    preprocess: ImagePreprocess,
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[OutputName, ...] = ("pooled", "tokens"),
) -> ModelSpec:
    """Return the row of a repository, of which only the network and its files are known.

    Args:
        files: The repository.
        family: What the network belongs to.
        config: Its numbers.
        params: Its parameters.
        preprocess: What the repository says of its images.
        inputs: Of the network.
        outputs: That the network gives.
    """
    return family.model(
        files.source,
        config=config,
        weights=WeightsSpec(source=files.source, revision=files.revision),
        preprocess=preprocess,
        inputs=inputs,
        outputs=outputs,
        params=params,
        license="unknown",
        objective="see the repository",
        source=files.source,
    )


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


def processor_fields(files: RepoFiles) -> Fields:
    """Return what a repository says of its image processor.

    Raises:
        UnsupportedCheckpointError: It says nothing.
        FormatError: It is no JSON object.
    """
    fields = read_fields(files, PROCESSOR)
    if fields is None:
        raise UnsupportedCheckpointError(
            f"{files.source} has no {PROCESSOR}: nothing says how its images are prepared. Save "
            "its image processor with transformers, beside the weights."
        )
    return fields


def transformers_preprocess(files: RepoFiles) -> ImagePreprocess:
    """Return the recipe of a repository's image processor, with its kind's defaults.

    Raises:
        UnsupportedCheckpointError: There is none, or of a kind that is not known.
    """
    fields = processor_fields(files)
    kind = fields.get("image_processor_type") or fields.get("feature_extractor_type") or "ViT"
    names = [name for name in PROCESSORS if str(kind).startswith(name)]
    if not names:
        raise UnsupportedCheckpointError(f"{PROCESSOR} names an unknown processor {kind!r}.")
    defaults = PROCESSORS[names[0]]
    if names[0] == "DeiT":  # squashes before the crop, also where one number is given
        value = files.json(PROCESSOR)
        side = fields.get("size") or defaults.size
        if isinstance(side, int):
            value = {**value, "size": {"height": side, "width": side}}
        fields = Fields({"crop_size": 224, **value}, PROCESSOR)
    return from_transformers(
        fields,
        mean=defaults.mean,
        std=defaults.std,
        resample=defaults.resample,
        size=defaults.size,
        crop=defaults.crop,
    )
