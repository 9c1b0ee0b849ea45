"""Vocabularies of tables of words: read from a file, or a stand-in for random weights. No torch."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Protocol
from zlib import crc32

from zoo.errors import FormatError
from zoo.spec import WordPreprocess
from zoo.weights.jsonfile import read_json


class Vocabulary(Protocol):
    """Rows of words."""

    size: int
    """Rows of words; those of character sequences come after."""
    lower: bool
    """Whether a text is put into lower case first."""

    def row(self, word: str) -> int | None:
        """Return a word's row, or None."""
        ...

    def stops(self, word: str) -> bool:
        """Whether a word is left out on purpose."""
        ...


class Table:
    """A vocabulary that was read from a file.

    Args:
        words: In the order of their rows.
        stop_words: Left out.
        lower: Whether a text is put into lower case first.
        ngrams: Fewest and most characters of a sequence, and buckets, if the file says.
    """

    def __init__(
        self,
        words: Iterable[str],
        *,
        stop_words: Iterable[str] = (),
        lower: bool = False,
        ngrams: tuple[int, ...] | None = None,
    ) -> None:
        self._rows = {word: row for row, word in enumerate(words)}
        self._stop = frozenset(stop_words)
        self.size = len(self._rows)
        self.lower = lower
        self.ngrams = ngrams

    def row(self, word: str) -> int | None:
        """Return a word's row, or None."""
        return self._rows.get(word)

    def stops(self, word: str) -> bool:
        """Whether a word is left out on purpose."""
        return word in self._stop

    def save(self, path: Path) -> None:
        """Write it as JSON, in the layout of sentence-transformers."""
        value = {
            "vocab": list(self._rows),
            "stop_words": sorted(self._stop),
            "do_lower_case": self.lower,
            **({} if self.ngrams is None else {"ngrams": self.ngrams}),
        }
        path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


class StandIn:
    """A vocabulary for random weights, which knows every word by its hash.

    Args:
        rows: Of the network's table.
        recipe: Of the row.
    """

    lower = False

    def __init__(self, rows: int, recipe: WordPreprocess) -> None:
        self.size = rows - recipe.buckets
        self._skipped = recipe.pad_id

    def row(self, word: str) -> int | None:
        """Return a row that is not padding's."""
        row = crc32(word.encode()) % (self.size - 1)
        return row + (row >= self._skipped)

    def stops(self, word: str) -> bool:
        """Return False: every word counts."""
        return False


def read_vocabulary(path: Path) -> Table:
    """Return the vocabulary of a file.

    Args:
        path: JSON of sentence-transformers, or safetensors with `words` (bytes of UTF-8, one after
            the other) and `offsets` (where each begins, and the end).

    Raises:
        FormatError: The file is broken.
    """
    if path.suffix == ".safetensors":
        return _packed(path)
    value = read_json(path, path.name)
    words = value.get("vocab") if isinstance(value, dict) else None
    stop = value.get("stop_words", []) if isinstance(value, dict) else None
    lower = value.get("do_lower_case", False) if isinstance(value, dict) else None
    lists = [part for part in (words, stop) if isinstance(part, list)]
    if (
        len(lists) < 2
        or any(not isinstance(word, str) for part in lists for word in part)
        or not isinstance(lower, bool)
    ):
        raise FormatError(f"{path} holds no list of words under 'vocab' that can be read.")
    ngrams = value.get("ngrams")
    table = Table(
        lists[0],
        stop_words=lists[1],
        lower=lower,
        ngrams=tuple(ngrams) if isinstance(ngrams, list) else None,
    )
    if table.size != len(lists[0]):
        raise FormatError(f"{path} has a word twice, so rows and words do not belong together.")
    return table


def _packed(path: Path) -> Table:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            names = {name.removeprefix("vocab."): name for name in file.keys()}  # noqa: SIM118
            blob = file.get_tensor(names["words"]).tobytes()
            offsets = file.get_tensor(names["offsets"]).tolist()
            ngrams = file.get_tensor(names["ngrams"]).tolist() if "ngrams" in names else None
        words = [blob[start:end].decode() for start, end in pairwise(offsets)]
    except (SafetensorError, KeyError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} holds no words that can be read: {error}.") from error
    return Table(words, ngrams=None if ngrams is None else tuple(ngrams))
