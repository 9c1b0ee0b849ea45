"""The plugin's door: its rows."""

from __future__ import annotations

from collections.abc import Iterable

from zoo import hookimpl
from zoo.spec import ModelSpec
from zoo_multimodal.families import clip, openclip


@hookimpl
def zoo_models() -> Iterable[ModelSpec]:
    """Return all rows of this package."""
    return (*clip.ROWS, *openclip.ROWS)
