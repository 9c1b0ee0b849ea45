"""Texts to rows of a table of words: white space, a vocabulary, hashed character sequences.

No torch. Sources: sentence-transformers 6.2, WhitespaceTokenizer (Apache-2.0), for the order in
which an unknown word is looked for again; facebookresearch/fastText, src/dictionary.cc (MIT), for
`hash`, `computeSubwords` and the sum of a word's rows.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import FormatError, InputError
from zoo.preprocess import PLAIN, Ask, Batch, Sample
from zoo.preprocess.text import refuse_prompts, text_problem
from zoo.preprocess.vocabulary import Table, Vocabulary
from zoo.spec import WordPreprocess

FNV_OFFSET, FNV_PRIME = 2166136261, 16777619
BEGIN, END = "<", ">"  # of a word, among its character sequences
_ASCII_WORDS = re.compile(r"[^ \t\n\v\f\r]+")
SENTENCE_END = "</s>"  # fastText's own word, which has no sequences


class WordPreprocessor:
    """Looks words up for one model.

    Args:
        recipe: Its row's preprocessing.
        vocabulary: Rows of words.
        inputs: Names of the network's inputs: rows, then what says which are real.
        rows: Of the network's table, to refuse a vocabulary that does not fit.
        file: What the vocabulary was read from.

    Attributes:
        recipe: Its row's preprocessing.
        file: What the vocabulary was read from, or None.

    Raises:
        FormatError: The vocabulary does not fit the network.
    """

    window = 1024

    def __init__(
        self,
        recipe: WordPreprocess,
        vocabulary: Vocabulary,
        *,
        inputs: Sequence[str],
        rows: int,
        file: Path | None = None,
    ) -> None:
        self.recipe = recipe
        self.vocabulary = vocabulary
        self.file = file
        self._rows, self._mask = inputs
        if vocabulary.size + recipe.buckets != rows:
            raise FormatError(
                f"{file} has {vocabulary.size} words, and {recipe.buckets} rows are shared by "
                f"character sequences, but the network has {rows} rows: these files do not belong "
                "together."
            )
        wanted = None if recipe.ngrams is None else (*recipe.ngrams, recipe.buckets)
        if isinstance(vocabulary, Table) and vocabulary.ngrams not in (None, wanted):
            raise FormatError(
                f"{file} was trained with {vocabulary.ngrams} for fewest and most characters of a "
                f"sequence and buckets; the row says {wanted}."
            )

    def save_tokenizer(self, path: Path) -> None:
        """Write the vocabulary as one file."""
        assert isinstance(self.vocabulary, Table), "a stand-in is made anew where it is needed"
        self.vocabulary.save(path)

    def prepare(self, items: Sequence[Any], ask: Ask = PLAIN) -> list[Sample | InputError]:
        """Look up the words of texts; what is no text, or has no word, gives its error.

        Raises:
            OptionError: A prompt was asked for; single words have no use for one.
        """
        refuse_prompts(ask)
        return [text_problem(item) or self._sample(item) for item in items]

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Fill shorter texts, and shorter words, with padding."""
        rows = [sample.arrays[self._rows] for sample in samples]
        masks = [sample.arrays[self._mask] for sample in samples]
        shape = (len(rows), *np.max([row.shape for row in rows], axis=0))
        ids = np.full(shape, self.recipe.pad_id, np.int64)  # (B, N) or (B, N, S)
        mask = np.zeros(shape, np.int64)
        for index, (row, real) in enumerate(zip(rows, masks, strict=True)):
            place: tuple[int | slice, ...] = (index, *(slice(size) for size in row.shape))
            ids[place], mask[place] = row, real
        return {self._rows: ids, self._mask: mask}

    def _sample(self, text: str) -> Sample | InputError:
        text = text.lower() if self.vocabulary.lower else text
        found: list[list[int]] = []
        for word in self._split(text):
            if len(found) == self.recipe.max_length:
                break
            rows = self._rows_of(word)
            if rows:
                found.append(rows)
        if not found:
            return InputError(
                "None of its words is in the vocabulary, or all are stop words: there is nothing "
                "to take a mean of."
            )
        if self.recipe.ngrams is None:
            ids = np.array(found, np.int64)[:, 0]  # (N,)
            mask = np.ones_like(ids)
        else:
            widest = max(map(len, found))
            ids = np.full((len(found), widest), self.recipe.pad_id, np.int64)  # (N, S)
            mask = np.zeros_like(ids)
            for place, rows in enumerate(found):
                ids[place, : len(rows)] = rows
                mask[place, : len(rows)] = 1
        return Sample({self._rows: ids, self._mask: mask}, len(found))

    def _split(self, text: str) -> list[str]:
        # fastText's authors know the white space of ASCII alone
        return text.split() if self.recipe.ngrams is None else _ASCII_WORDS.findall(text)

    def _rows_of(self, word: str) -> list[int]:
        row = self.vocabulary.row(word)
        if self.recipe.ngrams is not None:
            rows = [] if row is None else [row]
            if word != SENTENCE_END:
                rows += [self.vocabulary.size + bucket for bucket in self._buckets(word)]
            return rows
        if self.vocabulary.stops(word):
            return []
        if row is None and self.recipe.retry:
            for form in (bare := word.strip(string.punctuation), bare.lower()):
                if self.vocabulary.stops(form) or not form:
                    return []
                row = self.vocabulary.row(form)
                if row is not None:
                    break
        return [] if row is None else [row]

    def _buckets(self, word: str) -> list[int]:
        """Return the buckets of a word's character sequences, in fastText's order."""
        assert self.recipe.ngrams is not None, "asked for by those alone that have some"
        least, most = self.recipe.ngrams
        signs = [sign.encode() for sign in f"{BEGIN}{word}{END}"]
        last = len(signs)
        return [
            fnv1a(b"".join(signs[start:end])) % self.recipe.buckets
            for start in range(last)
            for end in range(start + least, min(start + most, last) + 1)
            if end - start > 1 or 0 < start < last - 1
        ]


def fnv1a(data: bytes) -> int:
    """Return fastText's 32-bit hash: FNV-1a, but bytes above 127 count as negative numbers."""
    value = FNV_OFFSET
    for byte in data:
        value ^= byte if byte < 128 else byte | 0xFFFFFF00
        value = value * FNV_PRIME & 0xFFFFFFFF
    return value
