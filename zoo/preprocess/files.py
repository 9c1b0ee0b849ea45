"""The bytes of a file that an item names, or an error that says what to do. No torch."""

from __future__ import annotations

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
        return Path(text).expanduser().read_bytes(), name
    except IsADirectoryError as error:
        raise InputError(
            f"{name} is a folder. Pass the files in it: sorted(Path(folder).iterdir())."
        ) from error
    except FileNotFoundError as error:
        raise InputError(
            f"There is no file {name}. Check the path; relative ones start at the current folder."
        ) from error
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"{name} cannot be read: {error}.") from error
