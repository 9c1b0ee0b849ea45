"""Run a session on arrays of its device, or bring them there; leave the outputs there.

No torch is imported here; its tensors are recognised by what they can do.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.errors import OptionError
from zoo.preprocess import Array
from zoo.runtime.session import Place

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, OrtValue
    from torch import Tensor

    from zoo.spec import TensorSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """An input as it is handed to the session.

    Attributes:
        name: Of the input.
        value: Keeps the memory alive while the session reads it.
        pointer: Where its memory is on the device, or None for numpy, which the session copies.
    """

    name: str
    value: Any
    pointer: int | None


def is_tensor(value: object) -> bool:
    """Whether a value is a torch tensor."""
    return hasattr(value, "data_ptr") and hasattr(value, "is_contiguous")


def bind_value(tensor: TensorSpec, value: Array | Tensor, place: Place) -> Bound:
    """Return how an input reaches the session: by its address if it is there, else as numpy.

    Raises:
        OptionError: It is on another device.
    """
    if not is_tensor(value):
        return Bound(
            name=tensor.name, value=np.ascontiguousarray(value, tensor.dtype), pointer=None
        )
    given: Any = value  # a tensor, as was just found
    there = given.device
    if there.type == "cpu" and place.kind != "cpu":
        host = np.ascontiguousarray(given.detach().numpy(), tensor.dtype)
        return Bound(name=tensor.name, value=host, pointer=None)
    if there.type != place.kind or (there.index or 0) != place.index:
        raise OptionError(
            f"{tensor.name} is on {there}; the bundle was opened on {place.kind}:{place.index}."
        )
    torch = sys.modules["torch"]  # whoever has made a tensor has imported it
    kept = given.detach().to(getattr(torch, tensor.dtype)).contiguous()
    return Bound(name=tensor.name, value=kept, pointer=kept.data_ptr())


def run_bound(
    session: InferenceSession,
    inputs: Sequence[TensorSpec],
    batch: Mapping[str, Array | Tensor],
    outputs: Sequence[str],
    place: Place,
) -> dict[str, OrtValue]:
    """Run a batch; return outputs that are still on the device.

    Args:
        session: Of the graph.
        inputs: Of the graph.
        batch: Inputs by name.
        outputs: Names of what is wanted.
        place: That the session runs at.

    Raises:
        OptionError: An input is on another device.
    """
    bound = [bind_value(tensor, batch[tensor.name], place) for tensor in inputs]
    binding = session.io_binding()
    for tensor, one in zip(inputs, bound, strict=True):
        if one.pointer is None:
            binding.bind_cpu_input(one.name, one.value)
        else:
            binding.bind_input(one.name, place.kind, place.index, np.dtype(tensor.dtype),
                               tuple(one.value.shape), one.pointer)  # fmt: skip
    for name in outputs:
        binding.bind_output(name, place.kind, place.index)
    if place.kind == "cuda" and any(one.pointer is not None for one in bound):
        # The session has a stream of its own, which does not wait for torch's. It ends a run by
        # waiting for its stream, so that the outputs may be read from any.
        sys.modules["torch"].cuda.current_stream(place.index).synchronize()
    session.run_with_iobinding(binding)
    return dict(zip(outputs, binding.get_outputs(), strict=True))
