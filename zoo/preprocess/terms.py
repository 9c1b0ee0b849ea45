"""Texts to terms and how often each comes. No torch.

Terms, order and counts are those of scikit-learn's CountVectorizer: lower case, words of two or
more characters, columns in alphabetical order.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import FormatError, InputError
from zoo.fitting import unfitted
from zoo.preprocess import PLAIN, Ask, Batch, Sample
from zoo.preprocess.text import refuse_prompts, text_problem
from zoo.spec import TermPreprocess
from zoo.weights.jsonfile import read_json


class TermPreprocessor:
    """Counts the terms of texts for one encoder.

    Args:
        recipe: Its row's preprocessing.
        terms: In the order of their columns; None before it is fitted.
        name: Of the encoder, for messages.
        inputs: Names of the inputs: columns, counts.
        columns: Of the network, to refuse terms that do not fit.
        file: What the terms were read from.

    Attributes:
        terms: In the order of their columns; None before it is fitted.
        file: What the terms were read from, or None.

    Raises:
        FormatError: Terms and network do not belong together.
    """

    window = 1024

    def __init__(
        self,
        recipe: TermPreprocess,
        terms: Sequence[str] | None,
        *,
        name: str,
        inputs: Sequence[str],
        columns: int,
        file: Path | None = None,
    ) -> None:
        if terms is not None and len(terms) != columns:
            raise FormatError(
                f"{file or 'The list'} has {len(terms)} terms, but the network has {columns} "
                "columns: these files do not belong together."
            )
        self.recipe = recipe
        self.terms = terms
        self.file = file
        self._name = name
        self._ids, self._counts = inputs
        self._pattern = re.compile(recipe.pattern)
        self._columns = {term: column for column, term in enumerate(terms or ())}

    def save_tokenizer(self, path: Path) -> None:
        """Write the terms as one file."""
        path.write_text(json.dumps(list(self.terms or ()), ensure_ascii=False), encoding="utf-8")

    def count(self, text: str) -> Counter[str]:
        """Return how often each term of a text comes, known or not."""
        return Counter(self._pattern.findall(text.lower()))

    def prepare(self, items: Sequence[Any], ask: Ask = PLAIN) -> list[Sample | InputError]:
        """Count known terms; what is no text gives its error in its place.

        A text without any known term has the zero vector, as in scikit-learn.

        Raises:
            OptionError: The encoder has not been fitted, or a prompt was asked for.
        """
        if self.terms is None:
            raise unfitted(self._name)
        refuse_prompts(ask)
        return [text_problem(item) or self._sample(item) for item in items]

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Fill shorter texts with a count of nothing."""
        longest = max(sample.size for sample in samples)
        ids = np.zeros((len(samples), longest), np.int64)  # (B, N)
        counts = np.zeros((len(samples), longest), np.float32)
        for index, sample in enumerate(samples):
            here = sample.arrays[self._ids]
            ids[index, : len(here)] = here
            counts[index, : len(here)] = sample.arrays[self._counts]
        return {self._ids: ids, self._counts: counts}

    def _sample(self, text: str) -> Sample | InputError:
        found = {self._columns[term]: count for term, count in self.count(text).items()
                 if term in self._columns}  # fmt: skip
        columns = sorted(found)
        return Sample(
            {
                self._ids: np.array(columns, np.int64),
                self._counts: np.array([found[column] for column in columns], np.float32),
            },
            max(1, len(columns)),
        )


def read_terms(path: Path) -> tuple[str, ...]:
    """Return the terms of a fitted encoder's file.

    Raises:
        FormatError: It is no list of terms.
    """
    value = read_json(path, path.name)
    if not isinstance(value, list) or not all(isinstance(term, str) for term in value):
        raise FormatError(f"{path} is no list of terms.")
    if len(set(value)) != len(value):
        raise FormatError(f"{path} has a term twice.")
    return tuple(value)
