"""The plugin's door: its rows, and the repositories that it recognises."""

from __future__ import annotations

from collections.abc import Iterable

from zoo import hookimpl
from zoo.hookspecs import RepoFiles
from zoo.spec import ModelSpec
from zoo_multimodal.clip_checkpoint import clip_checkpoint
from zoo_multimodal.families import clip, openclip


@hookimpl
def zoo_models() -> Iterable[ModelSpec]:
    """Return all rows of this package."""
    return (*clip.ROWS, *openclip.ROWS)


@hookimpl
def zoo_checkpoint(files: RepoFiles) -> tuple[ModelSpec, ...] | None:
    """Recognise a CLIP."""
    return clip_checkpoint(files)
