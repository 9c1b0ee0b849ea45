"""A new bundle's folder: filled beside its place, renamed when it is complete. No torch."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zoo.bundle import MANIFEST
from zoo.errors import OptionError
from zoo.weights.cache import disk_errors


@contextmanager
def new_bundle(place: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield an empty folder to fill; it becomes `place` when the block succeeds, else it is gone.

    Args:
        place: Where the bundle will be.
        overwrite: Whether a bundle that is there already is replaced.

    Raises:
        OptionError: Something is there that may not be replaced.
        DiskError: The disk is full or refuses.
    """
    place = place.absolute()
    _refuse_occupied(place, overwrite)
    with disk_errors(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_name(f".{place.name}.{uuid.uuid4().hex[:12]}")
        temporary.mkdir()
        try:
            yield temporary
            _sync(temporary)
            _move(temporary, place, overwrite)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _refuse_occupied(place: Path, overwrite: bool) -> None:
    if not place.exists() or (place.is_dir() and not any(place.iterdir())):
        return
    if not (place / MANIFEST).is_file():
        raise OptionError(f"{place} is there already and is no bundle. Name another place.")
    if not overwrite:
        raise OptionError(f"{place} is there already. Add --overwrite to replace it.")


def _move(temporary: Path, place: Path, overwrite: bool) -> None:
    """Put a finished folder in its place; whoever looks sees the old bundle, none, or the new."""
    _refuse_occupied(place, overwrite)  # another process may have been faster
    old = None
    if place.exists():
        old = place.with_name(f".{place.name}.{uuid.uuid4().hex[:12]}")
        os.rename(place, old)
    try:
        os.rename(temporary, place)
    except OSError as error:
        if place.exists():
            raise OptionError(f"{place} was written by another process meanwhile.") from error
        raise
    _sync_folder(place.parent)
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)


def _sync(folder: Path) -> None:
    """Make sure that the bytes are on the disk before the name is."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # folders cannot be opened there
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
