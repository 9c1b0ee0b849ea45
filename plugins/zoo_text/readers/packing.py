"""Words as tensors, so that they stand in the same safetensors file as their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from zoo.errors import FormatError

if TYPE_CHECKING:
    from pathlib import Path

    import torch


def pack_words(words: Sequence[bytes], path: Path) -> dict[str, torch.Tensor]:
    """Return `words`, all bytes one after the other, and `offsets`, where each word begins.

    Args:
        words: UTF-8, in the order of their rows.
        path: Of the file that they come from, for messages.

    Raises:
        FormatError: A word stands there twice, or is no UTF-8.
    """
    import torch

    if len(set(words)) != len(words):
        raise FormatError(f"{path} has a word twice, so rows and words do not belong together.")
    for word in words:
        try:
            word.decode()
        except UnicodeDecodeError as error:
            raise FormatError(f"{path} has the word {word!r}, which is no UTF-8.") from error
    offsets = np.zeros(len(words) + 1, np.int64)
    np.cumsum([len(word) for word in words], out=offsets[1:])
    blob = np.frombuffer(b"".join(words), np.uint8).copy()
    return {"words": torch.from_numpy(blob), "offsets": torch.from_numpy(offsets)}
