"""The plugin's door: its rows."""

from __future__ import annotations

from collections.abc import Iterable

from zoo import hookimpl
from zoo.spec import ModelSpec
from zoo_audio.families import hubert, mms, wav2vec2, whisper


@hookimpl
def zoo_models() -> Iterable[ModelSpec]:
    """Return all rows of this package."""
    for family in (wav2vec2, hubert, mms, whisper):
        yield from family.ROWS
