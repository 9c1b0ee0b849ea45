"""Recognise repositories of this package's networks by their configuration files. No torch."""

from __future__ import annotations

from zoo.errors import UnsupportedCheckpointError
from zoo.fields import read_fields
from zoo.hookspecs import RepoFiles
from zoo.spec import ModelSpec
from zoo_vision.beit_checkpoint import beit_checkpoint
from zoo_vision.convnext_checkpoint import convnext_checkpoint
from zoo_vision.repository import CONFIG
from zoo_vision.resnet_checkpoint import resnet_checkpoint
from zoo_vision.swin_checkpoint import swin_checkpoint
from zoo_vision.vit_checkpoint import vit_checkpoint

KNOWN = (
    vit_checkpoint,
    beit_checkpoint,
    resnet_checkpoint,
    swin_checkpoint,
    convnext_checkpoint,
)


def recognise(files: RepoFiles) -> tuple[ModelSpec, ...] | None:
    """Return the row of a repository, or None.

    Raises:
        UnsupportedCheckpointError: Its network is of a kind that is not supported.
        FormatError: Its configuration makes no sense.
    """
    fields = read_fields(files, CONFIG)
    if fields is None:
        return None
    try:
        for known in KNOWN:
            row = known(files, fields)
            if row is not None:
                return (row,)
    except ValueError as error:  # of a config
        raise UnsupportedCheckpointError(f"{files.source} cannot be built: {error}") from error
    return None
