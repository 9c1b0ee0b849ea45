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


def maxsim(queries: Sequence[Array], documents: Sequence[Array]) -> Array:
    """Return (len(queries), len(documents)) sums over query tokens of the best cosine.

    Args:
        queries: One (N_i, W) array a query.
        documents: One (M_j, W) array a document.
    """
    scores = np.zeros((len(queries), len(documents)), dtype=np.float32)
    for i, query in enumerate(queries):
        for j, document in enumerate(documents):
            scores[i, j] = cosine(query, document).max(axis=1).sum()
    return scores
