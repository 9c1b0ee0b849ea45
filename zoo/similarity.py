"""Compare vectors: cosine for one vector an item, MaxSim for several."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.arrays import to_numpy
from zoo.errors import InputError
from zoo.preprocess import Array

TINY = 1e-12  # as torch.nn.functional.normalize: a zero vector stays zero


def normalize(vectors: Array) -> Array:
    """Return vectors (..., D) scaled to unit L2 norm, in their own dtype."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Array = vectors / np.maximum(norms, TINY)
    return scaled.astype(vectors.dtype, copy=False)


def cosine(one: Any, other: Any) -> Array:  # noqa: ANN401  arrays, tensors, lists of them
    """Return the matrix (len(one), len(other)) of cosines between rows.

    Args:
        one: Vectors (N, D), or one (D,); arrays or tensors of any type.
        other: As `one`.

    Raises:
        InputError: These are no vectors, or their widths differ.
    """
    one, other = _vectors(one), _vectors(other)
    _same_width(one, other)
    if not len(one) or not len(other):
        return np.zeros((len(one), len(other)), np.float32)
    result: Array = normalize(one) @ normalize(other).T
    return result


def maxsim(queries: Any, documents: Any) -> Array:  # noqa: ANN401  as cosine
    """Return (len(queries), len(documents)) sums over query tokens of the best cosine.

    Args:
        queries: One (N_i, W) array or tensor a query; a single one is one query.
        documents: One (M_j, W) array or tensor a document; a single one is one document.

    Raises:
        InputError: These are no vectors, the widths differ, or a document has no vector.
    """
    queries, documents = _several(queries), _several(documents)
    scores = np.zeros((len(queries), len(documents)), dtype=np.float32)
    if not queries or not documents:
        return scores
    _same_width(*queries, *documents)
    lengths = [len(document) for document in documents]
    if 0 in lengths:
        raise InputError(f"Document {lengths.index(0)} has no vector, so nothing can be found.")
    starts = np.cumsum([0, *lengths[:-1]])
    together = np.concatenate(documents)  # (sum of M_j, W)
    for place, query in enumerate(queries):
        best = np.maximum.reduceat(cosine(query, together), starts, axis=1)  # (N_i, documents)
        scores[place] = best.sum(axis=0)
    return scores


def _vectors(value: Any) -> Array:  # noqa: ANN401  as cosine
    """Return vectors (N, D) of float32 or float64: squares overflow in 16 bits."""
    if isinstance(value, list | tuple):  # of tensors, perhaps on another device
        value = [to_numpy(row) for row in value]
    array = to_numpy(value)
    if array.ndim == 1:
        array = array[None] if array.size else array.reshape(0, 0)
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        raise InputError(
            f"An array of {array.dtype} and shape {array.shape} holds no vectors. Pass what "
            "`encode` gave: (N, D), or (D,) for one."
        )
    return array if array.dtype == np.float64 else array.astype(np.float32, copy=False)


def _several(items: Any) -> list[Array]:  # noqa: ANN401  as cosine
    """Return one array (N_i, W) an item."""
    one = getattr(items, "ndim", None) == 2
    try:
        arrays = [to_numpy(item) for item in ([items] if one else items)]
    except TypeError as error:
        raise InputError(f"{type(items).__name__} holds no vectors.") from error
    for place, array in enumerate(arrays):
        if array.ndim != 2:
            raise InputError(
                f"Item {place} has the shape {array.shape}; MaxSim compares what "
                "`encode(output='tokens')` gave, one (N, W) an item."
            )
    return [_vectors(array) for array in arrays]


def _same_width(*arrays: Array) -> None:
    widths = dict.fromkeys(array.shape[1] for array in arrays if len(array))
    if len(widths) > 1:
        raise InputError(
            f"Vectors of width {' and '.join(map(str, widths))} cannot be compared; "
            "they come from different models."
        )
