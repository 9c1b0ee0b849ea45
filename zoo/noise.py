"""Batches of noise in a network's own shapes: to time a run, the values do not matter. No torch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from zoo.errors import OptionError
from zoo.preprocess import Array, Batch
from zoo.spec import Dim, EncoderSpec, TensorSpec

LENGTH = "length"  # the axis of a text's tokens


def make_batch(spec: EncoderSpec, samples: int, *, length: int | None = None) -> Batch:
    """Return a batch of noise without padding, in the shapes that are typical.

    Args:
        spec: For its inputs.
        samples: Of the batch.
        length: Tokens of a text.

    Raises:
        OptionError: The encoder does not take texts of that length.
    """
    return noise(
        spec,
        {tensor.name: (samples, *sample_shape(tensor, length=length)) for tensor in spec.inputs},
    )


def sample_shape(tensor: TensorSpec, *, length: int | None = None) -> tuple[int, ...]:
    """Return the typical shape of one sample of an input.

    Args:
        tensor: The input.
        length: Tokens of a text.

    Raises:
        OptionError: The encoder does not take texts of that length.
    """
    return tuple(_size(axis, length) for axis in tensor.shape[1:])


def noise(spec: EncoderSpec, shapes: Mapping[str, tuple[int, ...]]) -> Batch:
    """Return inputs of these shapes: noise, tokens of the vocabulary, masks of ones."""
    rng = np.random.default_rng(0)
    vocabulary = spec.vocab or 2

    def draw(tensor: TensorSpec) -> Array:
        shape = shapes[tensor.name]
        if tensor.skippable or tensor.dtype == "bool":  # a mask
            return np.ones(shape, tensor.dtype)
        if tensor.dtype == "int64":
            return rng.integers(0, vocabulary, shape)
        return rng.standard_normal(shape).astype(tensor.dtype)

    return {tensor.name: draw(tensor) for tensor in spec.inputs}


def _size(axis: int | Dim, length: int | None) -> int:
    if isinstance(axis, int):
        return axis
    if axis.name != LENGTH or length is None:
        return axis.typical
    if not axis.min <= length <= axis.max:
        raise OptionError(f"Texts have {axis.min} to {axis.max} tokens; {length} are asked for.")
    return length
