"""From a batch's record to one result an item, and from these to what `encode` returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from zoo import similarity
from zoo.backends import Backend
from zoo.encoded import Encoded
from zoo.errors import MissingExtraError, OptionError
from zoo.spec import OutputName


def results_of(
    backend: Backend,
    encoded: Encoded,
    output: OutputName,
    *,
    dims: int | None,
    normalize: bool,
    as_tensor: bool,
) -> Sequence[Any]:
    """Cut a batch's record into one value a sample.

    Args:
        backend: What made it.
        encoded: The record.
        output: Which of its fields is wanted.
        dims: Width that vectors are cut to.
        normalize: Whether cut vectors are scaled to unit L2 norm again.
        as_tensor: Whether values are torch tensors, not numpy arrays.

    Raises:
        OptionError: The record has no vector.
        MissingExtraError: Sparse vectors need scipy, tensors torch.
    """
    convert: Callable[[Any], Any] = _as_tensor if as_tensor else backend.numpy
    if output == "pooled":
        if encoded.pooled is None:
            raise OptionError("This model gives one vector a token: use output='tokens'.")
        pooled = convert(encoded.pooled)  # (B, D)
        if dims is not None:
            pooled = pooled[:, :dims]
            if normalize:
                pooled = _unit(pooled)
        return cast("Sequence[Any]", pooled)
    if output == "sparse":
        assert encoded.pooled is not None, "a row that lists sparse vectors has pooled ones"
        sparse = _scipy_sparse()
        return [sparse.csr_array(row[None]) for row in backend.numpy(encoded.pooled)]
    if output == "tokens":
        assert encoded.tokens is not None, "a row that lists tokens has a net that gives them"
        tokens = convert(encoded.tokens)  # (B, N, W)
        if encoded.mask is None:
            return cast("Sequence[Any]", tokens)
        mask = convert(encoded.mask)  # (B, N)
        return [row[keep] for row, keep in zip(tokens, mask, strict=True)]
    assert encoded.pyramid is not None, "a row that lists a pyramid has a net that gives it"
    levels = [convert(level) for level in encoded.pyramid]  # each (B, C, H, W)
    return list(zip(*levels, strict=True))


def joined(results: list[Any], output: OutputName, *, width: int, as_tensor: bool) -> Any:  # noqa: ANN401  as the options say
    """Return the results of several items: (N, D), or a list where items differ in shape.

    Args:
        results: As `results_of` gave them.
        output: What they are.
        width: D, of no results at all.
        as_tensor: Whether they are torch tensors.
    """
    if output == "sparse":
        sparse = _scipy_sparse()
        empty = sparse.csr_array((0, width), dtype=np.float32)
        return sparse.vstack(results, format="csr") if results else empty
    if output != "pooled":
        return results
    if as_tensor:
        torch = _torch()
        return torch.stack(results) if results else torch.empty(0, width)
    return np.stack(results) if results else np.empty((0, width), dtype=np.float32)


def _unit(vectors: Any) -> Any:  # noqa: ANN401  arrays or tensors
    """(B, D) -> (B, D) with unit L2 norm."""
    if isinstance(vectors, np.ndarray):
        return similarity.normalize(vectors)
    from zoo.nn.pool import unit

    return unit(vectors)


def _scipy_sparse() -> Any:  # noqa: ANN401  a module without types
    try:
        from scipy import sparse
    except ModuleNotFoundError as error:
        raise MissingExtraError("scipy, which holds sparse vectors,", extra="classic") from error
    return sparse


def _as_tensor(value: Any) -> Any:  # noqa: ANN401  a backend's own array to a torch tensor
    """Return a tensor as it is, a runtime's array as a tensor of the same memory."""
    torch = _torch()
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    if isinstance(value, torch.Tensor):
        return value
    return torch.utils.dlpack.from_dlpack(value)


def _torch() -> Any:  # noqa: ANN401  a module
    try:
        import torch
    except ModuleNotFoundError as error:
        need = "torch, which convert_to_tensor=True asks for,"
        raise MissingExtraError(need, extra="torch") from error
    return torch
