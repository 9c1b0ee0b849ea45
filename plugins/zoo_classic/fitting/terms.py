"""Fit TF-IDF and LSA: document frequencies, and a truncated singular value decomposition. No torch.

The formulas are those of scikit-learn's TfidfVectorizer and TruncatedSVD: smoothed logarithms of
inverse document frequencies, rows of unit length, no centring, the largest entry of a component
positive.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from zoo.errors import InputError, MissingExtraError
from zoo.fitting import Fit
from zoo.preprocess import Array, Preprocessor
from zoo.preprocess.terms import TermPreprocessor
from zoo.preprocess.text import text_problem
from zoo_classic.term_config import TermConfig


def fit_terms(config: TermConfig, items: Iterable[Any], preprocessor: Preprocessor) -> Fit:
    """Learn from texts.

    Raises:
        InputError: An item is no text, there is no term, or too few for the projection.
        MissingExtraError: scipy is not installed.
    """
    assert isinstance(preprocessor, TermPreprocessor), "a row of terms has their preprocessing"
    counts: list[Counter[str]] = []
    for index, item in enumerate(items):
        problem = text_problem(item)
        if problem is not None:
            raise problem.at(index)
        counts.append(preprocessor.count(item))
    terms, texts_with = _terms(config, counts)
    weights = np.log((1 + len(counts)) / (1 + texts_with)) + 1  # (V,) float64
    tensors: dict[str, Array] = {"weights": weights}
    if config.components:
        tensors["components"] = _components(config.components, counts, terms, weights)
    return Fit(config=replace(config, terms=len(terms), fitted=True), tensors=tensors, terms=terms)


def _terms(config: TermConfig, counts: list[Counter[str]]) -> tuple[tuple[str, ...], Array]:
    """Return the terms that are kept, in alphabetical order, and how many texts have each."""
    everywhere: Counter[str] = Counter()
    texts_with: Counter[str] = Counter()
    for count in counts:
        everywhere.update(count)
        texts_with.update(count.keys())
    kept = [term for term in everywhere if texts_with[term] >= config.least_texts]
    kept = sorted(kept, key=lambda term: (-everywhere[term], term))[: config.terms]
    if not kept:
        raise InputError(
            f"No term stands in {config.least_texts} of the {len(counts)} texts: there is nothing "
            "to learn."
        )
    terms = tuple(sorted(kept))
    return terms, np.array([texts_with[term] for term in terms], np.float64)


def _components(
    number: int, counts: list[Counter[str]], terms: tuple[str, ...], weights: Array
) -> Array:
    """Return the leading right singular vectors (V, number) of the weighted, scaled counts."""
    try:
        from scipy.sparse import csr_array
        from scipy.sparse.linalg import svds
    except ModuleNotFoundError as error:
        raise MissingExtraError("scipy, which LSA needs for fitting,", extra="classic") from error
    smallest = min(len(counts), len(terms))
    if smallest <= number:
        raise InputError(
            f"{len(counts)} texts with {len(terms)} terms are too few for {number} components: "
            "more of both are needed. Or lower components with spec.with_config(components=...)."
        )
    columns = {term: column for column, term in enumerate(terms)}
    values, places, starts = [], [], [0]
    for count in counts:
        row = [(columns[term], number) for term, number in count.items() if term in columns]
        row.sort()
        own = np.array([times for _, times in row]) * weights[[column for column, _ in row]]
        values.append(own / (np.linalg.norm(own) or 1.0))
        places += [column for column, _ in row]
        starts.append(len(places))
    table = csr_array(
        (np.concatenate(values), places, starts), shape=(len(counts), len(terms))
    )  # (texts, V)
    start = np.random.default_rng(0).uniform(-1, 1, smallest)
    _, sizes, right = svds(table, number, v0=start)
    right = right[np.argsort(-sizes)]  # (number, V)
    largest = np.abs(right).argmax(axis=1)
    signs = np.sign(right[np.arange(number), largest])
    result: Array = np.ascontiguousarray((right * signs[:, None]).T)
    return result
