"""Compare vectors: cosine for one vector an item, MaxSim for several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zoo.errors import InputError
from zoo.preprocess import Array

TINY = 1e-12  # as torch.nn.functional.normalize: a zero vector stays zero


def normalize(vectors: Array) -> Array:
    """Return vectors (..., D) scaled to unit L2 norm, in their own dtype."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Array = vectors / np.maximum(norms, TINY)
    return scaled.astype(vectors.dtype, copy=False)


def cosine(one: Array, other: Array) -> Array:
    """Return the matrix (len(one), len(other)) of cosines between rows.

    Raises:
        InputError: The widths differ.
    """
    one, other = np.atleast_2d(one), np.atleast_2d(other)
    if one.shape[-1] != other.shape[-1]:
        raise InputError(
            f"Vectors of width {one.shape[-1]} and {other.shape[-1]} cannot be compared; "
            "they come from different models."
        )
    result: Array = normalize(one) @ normalize(other).T
    return result


def maxsim(queries: Sequence[Array] | Array, documents: Sequence[Array] | Array) -> Array:
    """Return (len(queries), len(documents)) sums over query tokens of the best cosine.

    Args:
        queries: One (N_i, W) array a query; a single array is one query.
        documents: One (M_j, W) array a document; a single array is one document.

    Raises:
        InputError: The widths differ, or a document has no vector.
    """
    queries, documents = _several(queries), _several(documents)
    scores = np.zeros((len(queries), len(documents)), dtype=np.float32)
    if not queries or not documents:
        return scores
    lengths = [len(document) for document in documents]
    if 0 in lengths:
        raise InputError(f"Document {lengths.index(0)} has no vector, so nothing can be found.")
    starts = np.cumsum([0, *lengths[:-1]])
    together = np.concatenate(documents)  # (sum of M_j, W)
    for place, query in enumerate(queries):
        best = np.maximum.reduceat(cosine(query, together), starts, axis=1)  # (N_i, documents)
        scores[place] = best.sum(axis=0)
    return scores


def _several(items: Sequence[Array] | Array) -> list[Array]:
    return [items] if isinstance(items, np.ndarray) and items.ndim == 2 else list(items)
