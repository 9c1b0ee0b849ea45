"""The plugin's door: its rows, and the repositories that it recognises."""

from __future__ import annotations

from collections.abc import Iterable

from zoo import hookimpl
from zoo.hookspecs import RepoFiles
from zoo.spec import ModelSpec
from zoo_multimodal.clip_checkpoint import clip_checkpoint
from zoo_multimodal.families import clip, openclip, siglip
from zoo_multimodal.siglip_checkpoint import siglip_checkpoint


@hookimpl
def zoo_models() -> Iterable[ModelSpec]:
    """Return all rows of this package."""
    return (*clip.ROWS, *openclip.ROWS, *siglip.ROWS)


@hookimpl
def zoo_checkpoint(files: RepoFiles) -> tuple[ModelSpec, ...] | None:
    """Recognise a SigLIP or a CLIP."""
    return siglip_checkpoint(files) or clip_checkpoint(files)
