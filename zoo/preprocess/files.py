"""The bytes of a file that an item names, or an error that says what to do. No torch."""

from __future__ import annotations

import os
import re
from pathlib import Path

from zoo.errors import InputError


def read_path(item: str | Path) -> tuple[bytes, str]:
    """Return the bytes of a file, and what messages call it.

    Raises:
        InputError: It is a URL or a folder, or cannot be read.
    """
    text = str(item)
    name = repr(text if len(text) <= 200 else f"{text[:100]}...{text[-60:]}")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://|data:", text):
        raise InputError(
            f"{name} is a URL, and nothing is fetched while encoding. Download the file and pass "
            "its path or its bytes."
        )
    try:
        return Path(os.path.expanduser(text)).read_bytes(), name
    except IsADirectoryError as error:
        raise InputError(
            f"{name} is a folder. Pass the files in it: sorted(Path(folder).iterdir())."
        ) from error
    except FileNotFoundError as error:
        raise InputError(
            f"There is no file {name}. Check the path; relative ones start at the current folder."
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(f"{name} cannot be read: {error}.") from error


def file_bytes(item: str | Path | bytes | bytearray | memoryview, kind: str) -> tuple[bytes, str]:
    """Return the bytes of a file, and what messages call it.

    Args:
        item: The path of the file, or its bytes.
        kind: What it should hold: `sound`, `clip`.

    Raises:
        InputError: It cannot be read, or is empty.
    """
    if isinstance(item, bytes | bytearray | memoryview):
        if not len(item):
            raise InputError(f"The bytes are empty. Pass those of a {kind}.")
        return bytes(item), "The bytes"
    data, name = read_path(item)
    if not data:
        raise InputError(f"{name}: empty, no bytes at all. Record or fetch the {kind} again.")
    return data, name


def one_line(error: Exception) -> str:
    """Return what a decoder says of a file, in one short line."""
    words = " ".join(str(error).split())[:160].rstrip(".")
    # some name the buffer that they were given; its address helps nobody
    words = re.sub(r" ?<_io\.BytesIO object at 0x[0-9a-f]+>:?", "", words)
    return words or type(error).__name__
