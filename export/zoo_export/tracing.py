"""What torch.export is given: a module with named inputs and outputs, an example, dynamic axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from zoo.encoded import Encoded
from zoo.errors import OptionError
from zoo.spec import Dim, ModelSpec, TensorSpec
from zoo_export.outputs import named_outputs

# Items, tokens and samples of sound of the example. Two, because torch.export takes an axis of one
# for a constant; seven, because a size that nothing else has keeps two axes from being taken for
# the same; 4001, because a sound needs some tokens.
EXAMPLE = {"batch": 2, "length": 7, "rows": 5, "frames": 4, "samples": 4001}

_DTYPES = {"float32": torch.float32, "int64": torch.int64}


class Wrapped(nn.Module):
    """A network with positional inputs and a tuple of chosen outputs.

    Args:
        module: The network.
        inputs: Names of its arguments.
        outputs: Names of the arrays that are wanted, as `named_outputs` gives them.
    """

    def __init__(self, module: nn.Module, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        super().__init__()
        self.net = module
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Inputs in order -> outputs in order."""
        encoded = cast(Encoded, self.net(**dict(zip(self.inputs, tensors, strict=True))))
        named = named_outputs(encoded)
        return tuple(named[name] for name in self.outputs)


def example_inputs(row: ModelSpec, fixed: Mapping[str, int]) -> dict[str, Tensor]:
    """Return small inputs of a bound row: ones where there are ids and masks, noise elsewhere."""
    generator = torch.Generator().manual_seed(0)
    example = {}
    for tensor in row.inputs:
        shape = [_example_size(size, fixed) if isinstance(size, Dim) else size
                 for size in tensor.shape]  # fmt: skip
        dtype = _DTYPES[tensor.dtype]
        example[tensor.name] = (
            torch.randn(shape, generator=generator)
            if dtype.is_floating_point
            else torch.ones(shape, dtype=dtype)
        )
    return example


def dynamic_shapes(row: ModelSpec, fixed: Mapping[str, int]) -> tuple[dict[int, Any], ...]:
    """Return an entry an input: axis to torch.export's Dim, named as ours."""
    dims: dict[str, Any] = {}
    return tuple(
        {
            axis: dims.setdefault(size.name, _torch_dim(size))
            for axis, size in enumerate(tensor.shape)
            if isinstance(size, Dim) and size.name not in fixed
        }
        for tensor in row.inputs
    )


def choose_outputs(
    row: ModelSpec, module: nn.Module, wanted: Sequence[str] | None
) -> tuple[tuple[str, ...], str | None]:
    """Return what the graph will give, and the input that serves as mask of its tokens.

    A network that cuts its tokens by a mask of its own, such as CLIP's up to the end of text, gives
    it as an output. One that hands an input on does not: the runtime has that input.

    Args:
        row: The row, bound.
        module: Its network.
        wanted: Among `pooled`, `tokens`, `prefix` and `pyramid`; by default pooled vectors and
            tokens, as far as the row has them.

    Raises:
        OptionError: The network does not give it.
    """
    example = example_inputs(row, {})
    masks = [tensor.name for tensor in row.inputs if tensor.skippable]
    for place, name in enumerate(masks, start=1):
        example[name][0, -place] = 0  # each its own place, to tell them apart
    with torch.inference_mode():
        named = named_outputs(cast(Encoded, module(**example)))
    if wanted is None:
        wanted = [name for name in ("pooled", "tokens") if name in row.outputs]
    chosen: list[str] = []
    for name in dict.fromkeys(wanted):
        found = [n for n in named if n == name or n.rstrip("0123456789") == f"{name}_"]
        if not found or name == "mask":
            there = dict.fromkeys(n.rstrip("_0123456789") for n in named if n != "mask")
            raise OptionError(f"{row.name} gives {', '.join(there)}; not {name!r}.")
        chosen += found
    mask = named.get("mask")
    if "tokens" not in chosen or mask is None:
        return tuple(chosen), None
    for name in masks:
        if mask.shape == example[name].shape and torch.equal(mask, example[name].bool()):
            return tuple(chosen), name
    return (*chosen, "mask"), None


def _example_size(dim: Dim, fixed: Mapping[str, int]) -> int:
    if dim.name in fixed:
        return fixed[dim.name]
    return min(max(EXAMPLE.get(dim.name, dim.typical), dim.min), dim.max)


def _torch_dim(dim: Dim) -> Any:  # noqa: ANN401  torch.export's Dims share no public base
    if dim.multiple == 1:
        return torch.export.Dim(dim.name, min=dim.min, max=dim.max)
    steps = torch.export.Dim(
        f"{dim.name}_steps", min=dim.min // dim.multiple, max=dim.max // dim.multiple
    )
    return dim.multiple * steps


def input_names(inputs: Sequence[TensorSpec]) -> list[str]:
    """Return the names of inputs, in order."""
    return [tensor.name for tensor in inputs]
