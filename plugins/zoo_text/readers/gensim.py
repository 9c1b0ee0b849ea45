"""gensim's KeyedVectors: a pickle with the words, and an .npy with the vectors. No torch at import.

The pickle is read without being executed: whatever class it names becomes an inert stand-in that
keeps what it is given, and a name outside gensim and numpy is refused.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.errors import FormatError, UnsafePickleError
from zoo.weights.cache import disk_errors
from zoo_text.readers.packing import pack_words

if TYPE_CHECKING:
    import torch

PACKAGES = ("gensim", "numpy")
# Lists of the words in the order of their rows; the second in files older than gensim 4.
WORDS = ("index_to_key", "index2word")


class _Inert:
    """Takes the place of every class of a pickle; does nothing and keeps its state."""

    def __init__(self, *_arguments: object) -> None:
        self.state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state


class _Unpickler(pickle.Unpickler):
    """Resolves no name to what it means."""

    def find_class(self, module: str, name: str) -> type[_Inert]:
        """Return the stand-in.

        Raises:
            UnsafePickleError: The name is none that a KeyedVectors needs.
        """
        if module.partition(".")[0] not in PACKAGES:
            raise UnsafePickleError(
                f"The file asks for {module}.{name}, which vectors of words do not need. It was "
                "not executed."
            )
        return _Inert


def read_words(path: Path, *, entry: str) -> Mapping[str, torch.Tensor]:
    """Return the words of a `.model` file; `entry` is not looked at.

    Raises:
        UnsafePickleError: It asks for more than inert data.
        FormatError: It holds no words.
    """
    with disk_errors(path), path.open("rb") as file:
        try:
            value: Any = _Unpickler(file).load()
        except UnsafePickleError:
            raise
        except Exception as error:  # a broken pickle raises whatever its opcodes lead to
            raise FormatError(f"{path} is no pickle that can be read: {error}.") from error
    state = getattr(value, "state", None)
    found = next((state[name] for name in WORDS if name in state), None) if (
        isinstance(state, dict)
    ) else None  # fmt: skip
    if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
        raise FormatError(f"{path} holds no list of words under {' or '.join(WORDS)}.")
    return pack_words([word.encode("utf-8", "surrogateescape") for word in found], path)


def read_vectors(path: Path, *, entry: str) -> Mapping[str, torch.Tensor]:
    """Return the vectors of an `.npy` file, mapped; `entry` is not looked at.

    Raises:
        FormatError: It is no table of floats.
    """
    import torch

    with disk_errors(path):
        try:
            array = np.load(path, mmap_mode="c", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise FormatError(f"{path} is no array that can be read: {error}.") from error
    if array.ndim != 2 or array.dtype.kind != "f":
        raise FormatError(f"{path} holds {array.dtype} of shape {array.shape}, no table of floats.")
    return {"vectors": torch.from_numpy(array)}
