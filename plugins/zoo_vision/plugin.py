"""The plugin's door: its rows, and the repositories that it recognises."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from zoo import hookimpl
from zoo.hookspecs import RepoFiles
from zoo.spec import ModelSpec
from zoo_vision.families import (
    autoencoder,
    beit,
    convnext,
    deit,
    dino,
    dinov2,
    dinov3,
    ijepa,
    imagegpt,
    mae,
    moco_v3,
    resnet,
    swin,
    vit,
    vjepa2,
)

FAMILIES = (
    vit,
    deit,
    dino,
    dinov2,
    dinov3,
    convnext,
    mae,
    moco_v3,
    ijepa,
    beit,
    resnet,
    swin,
    vjepa2,
    autoencoder,
    imagegpt,
)


@hookimpl
def zoo_models() -> Iterable[ModelSpec]:
    """Return all rows of this package."""
    for family in FAMILIES:
        yield from family.ROWS


@hookimpl
def zoo_checkpoint(files: RepoFiles) -> tuple[ModelSpec, ...] | None:
    """Recognise the repositories of this package's architectures."""
    from zoo_vision.checkpoint import recognise  # listing rows has no need of it

    return recognise(files)


@hookimpl
def zoo_weight_readers() -> Mapping[str, str]:
    """Return the reader of iGPT's colours."""
    return {"/preprocessor_config.json": "zoo_vision.readers:read_colours"}
