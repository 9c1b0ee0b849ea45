"""Names of files: what may be asked of a source, and in which order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from zoo.errors import FormatError

_SHARD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*\.(safetensors|bin|pt|pth)")
INDEX = ".index.json"


def checked(name: str) -> str:
    """Return a file's name if it stays inside its source.

    Raises:
        FormatError: It is absolute, climbs out with `..`, or holds what no file's name holds.
    """
    parts = name.split("/")
    if (
        not name
        or any(part in ("", ".", "..") for part in parts)
        or any(character in name for character in "\\:\0")
        or not name.isprintable()
    ):
        raise FormatError(
            f"{name!r} is not a plain relative file name; nothing outside the source is read."
        )
    return name


def checked_shard(name: object) -> str:
    """Return the name of a shard if it is that of a file beside its index.

    Raises:
        FormatError: It is anything else.
    """
    if not isinstance(name, str) or _SHARD.fullmatch(name) is None:
        raise FormatError(
            f"{name!r} is not the plain name of a weights file; an index may only name files that "
            "lie beside it."
        )
    return name


def candidates(files: Sequence[str], subfolder: str) -> Iterator[str]:
    """Yield what to look for, best first: each file, then its shards' index if it was split."""
    seen = set()
    for name in files:
        split = name.endswith((".safetensors", ".bin"))
        for choice in (name, name + INDEX) if split else (name,):
            if choice not in seen:
                seen.add(choice)
                yield checked(f"{subfolder}/{choice}" if subfolder else choice)
