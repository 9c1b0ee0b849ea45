"""Whether what a caller hands in is one item or several."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from zoo.spec import Modality

_NUMBERS = (int, float, np.number)


def is_single(items: Any, modality: Modality) -> bool:  # noqa: ANN401  whatever was handed in
    """Whether `items` is one item: a string, path, bytes, image, sound, clip or array.

    An array is one item up to the axes that an item of the modality has; a column of strings or of
    objects is as many items as it has rows.
    """
    if isinstance(items, str | bytes | bytearray | memoryview | Path | Mapping):
        return True
    if isinstance(items, io.RawIOBase | io.BufferedIOBase):  # not its lines: refused as an item
        return True
    if modality == "audio" and isinstance(items, tuple) and len(items) == 2:  # a sound, its rate
        return any(isinstance(part, _NUMBERS) or getattr(part, "ndim", 0) for part in items)
    ndim = getattr(items, "ndim", None)
    if isinstance(ndim, int):
        kind = getattr(getattr(items, "dtype", None), "kind", "")
        if modality == "text" or kind in ("O", "S", "U"):  # a column
            return ndim != 1
        return ndim <= (4 if modality == "video" else 3)
    return not isinstance(items, Iterable)
