"""The plugin's door: its rows, and the folders that its fitted encoders write."""

from __future__ import annotations

from collections.abc import Iterable

from zoo import hookimpl
from zoo.hookspecs import RepoFiles
from zoo.spec import ModelSpec
from zoo_classic.families import hog, sift, terms

ROWS = (*hog.ROWS, *sift.ROWS, *terms.ROWS)


@hookimpl
def zoo_models() -> Iterable[ModelSpec]:
    """Return all rows of this package."""
    return ROWS


@hookimpl
def zoo_checkpoint(files: RepoFiles) -> tuple[ModelSpec, ...] | None:
    """Recognise the folders of fitted encoders."""
    from zoo.fitting import read_fitted

    row = read_fitted(files, ROWS)
    return None if row is None else (row,)
