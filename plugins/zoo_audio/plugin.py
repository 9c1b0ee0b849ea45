"""The plugin's door: its rows, and the checkpoints that it recognises."""

from __future__ import annotations

from collections.abc import Iterable

from zoo import hookimpl
from zoo.hookspecs import RepoFiles
from zoo.spec import ModelSpec
from zoo_audio import checkpoint
from zoo_audio.families import data2vec, hubert, mms, wav2vec2, whisper


@hookimpl
def zoo_models() -> Iterable[ModelSpec]:
    """Return all rows of this package."""
    for family in (wav2vec2, hubert, data2vec, mms, whisper):
        yield from family.ROWS


@hookimpl
def zoo_checkpoint(files: RepoFiles) -> tuple[ModelSpec, ...] | None:
    """Recognise repositories of wav2vec 2.0, HuBERT, data2vec and Whisper."""
    return checkpoint.recognise(files)
