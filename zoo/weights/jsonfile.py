"""JSON from strangers: bounded in size, and every way of being broken is a FormatError."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from zoo.errors import FormatError
from zoo.weights.cache import disk_errors

LIMIT = 16_000_000  # bytes; indices of the largest checkpoints have 9 MB, configs a few KB


def read_json(path: Path, name: str, *, unique: bool = False) -> Any:  # noqa: ANN401  JSON
    """Return a parsed file; see `parse_json`.

    Raises:
        FormatError: It is not JSON, or absurdly large or deep.
    """
    with disk_errors(path):
        size = path.stat().st_size
        if size > LIMIT:
            raise FormatError(f"{name} has {size:,} bytes; no JSON file of a model is that large.")
        data = path.read_bytes()
    return parse_json(data, name, unique=unique)


def parse_json(data: bytes, name: str, *, unique: bool = False) -> Any:  # noqa: ANN401  as above
    """Return parsed JSON.

    Args:
        data: UTF-8, or UTF-16 or -32 with a mark.
        name: For messages.
        unique: Whether a key that stands twice in one object is an error.

    Raises:
        FormatError: It is not JSON, or nested too deeply.
    """
    try:
        return json.loads(data, object_pairs_hook=_unique if unique else None)
    except RecursionError as error:
        raise FormatError(f"{name} is nested too deeply to be a model's file.") from error
    except ValueError as error:  # also of UTF-8, and of numbers with thousands of digits
        raise FormatError(f"{name} is not JSON: {error}. Fetch it again.") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [key for key, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands twice")
    return found
