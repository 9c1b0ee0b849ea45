"""Export a network whose weights are never held: they are read as they are written.

The network is traced on the meta device, where tensors have no numbers. Each tensor of the graph
then gets a function that makes it of the checkpoint, and is made only while someone looks at it:
the optimiser at what it folds, the writer at one after the other. So the graph is that of an
ordinary export, and the memory that of a few tensors.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from zoo.errors import OptionError
from zoo.loading import Unread
from zoo.machine import free_memory
from zoo.nn.attention import SelfAttention
from zoo.sources import RANDOM
from zoo.spec import ModelSpec
from zoo_export.attention import PlainAttention

if TYPE_CHECKING:
    import onnx_ir as ir

Read = Callable[[str], Tensor]
"""From a tensor's name in a network to the tensor, in float32 if it is of floats."""

# Of the free memory, that float32 weights may take in an ordinary export: loading a checkpoint of
# another layout or dtype holds them up to 2.3 times (docs/export.md).
PART = 1 / 3


def streams(row: ModelSpec, weights: str | Path | None, wanted: bool | None) -> bool:
    """Return whether a row's weights are read as they are written.

    Args:
        row: The row.
        weights: As for `zoo.load`.
        wanted: What was asked for; None leaves the choice, which is by size.

    Raises:
        OptionError: It was asked for, and there is no checkpoint that we read ourselves.
    """
    can = str(weights) != RANDOM and not row.opaque and row.params > 0
    if wanted and not can:
        raise OptionError(
            f"The weights of {row.name} cannot be streamed: no checkpoint of them is read here."
        )
    if wanted is not None or not can:
        return bool(wanted)
    free = free_memory()
    return free is not None and 4 * row.params > PART * free


def reader(unread: Unread) -> Read:
    """Return what reads single tensors of a network out of its checkpoint."""
    buffers = computed_buffers(unread.module)
    ties = dict(unread.plan.keymap.ties)
    places = {
        target: (assignment, index)
        for assignment in unread.plan.assignments
        for index, target in enumerate(assignment.targets)
    }

    def read(name: str) -> Tensor:
        if name in buffers:
            return buffers[name]
        assignment, index = places[name if name in places else ties[name]]
        tensor = unread.carry_out(assignment)[index]
        return tensor.float() if tensor.is_floating_point() else tensor

    return read


def computed_buffers(module: nn.Module) -> dict[str, Tensor]:
    """Return what no checkpoint holds, computed; the module stays on the meta device."""
    found = {}
    for prefix, part in module.named_modules():
        make_buffers = getattr(part, "make_buffers", None)
        if make_buffers is None:
            continue
        make_buffers(torch.device("cpu"))
        found.update({f"{prefix}.{name}".lstrip("."): buffer
                      for name, buffer in part.named_buffers() if not buffer.is_meta})  # fmt: skip
        make_buffers(torch.device("meta"))
    return found


def on_demand(
    model: ir.Model, root: str, replaced: Mapping[str, SelfAttention], read: Read
) -> None:
    """Give each weight of a graph, which has no numbers yet, what makes it when it is asked for.

    Args:
        model: As the exporter left it, changed in place.
        root: Name of the network inside what was traced.
        replaced: What `plain_attention` took out of what was traced.
        read: Of the network.
    """
    import onnx_ir as ir

    for name, value in model.graph.initializers.items():
        raw = getattr(value.const_value, "raw", None)
        if not isinstance(raw, Tensor) or not raw.is_meta:
            continue  # computed while tracing: it has numbers
        assert value.const_value is not None, "looked at above"
        value.const_value = ir.LazyTensor(
            _maker(name, root, replaced, read),
            dtype=value.const_value.dtype,
            shape=ir.Shape(tuple(raw.shape)),
            name=name,
        )


def _maker(
    name: str, root: str, replaced: Mapping[str, SelfAttention], read: Read
) -> Callable[[], Any]:
    """Return what makes one tensor of a graph."""
    import onnx_ir as ir

    owner, _, own = name.rpartition(".")

    def inside(full: str) -> str:
        return full.removeprefix(f"{root}.")

    def make() -> ir.TensorProtocol:
        if owner in replaced:
            kind = own.rpartition("_")[2]  # "weight" or "bias"
            plain = _plain(replaced[owner], inside(owner), kind, read)
            tensor = getattr(plain, own).detach()
        else:
            tensor = read(inside(name))
        return ir.tensor(tensor.contiguous().numpy(), name=name)

    return make


def _plain(attention: SelfAttention, name: str, kind: str, read: Read) -> PlainAttention:
    """Return what stands for an attention in the graph, of whose inner tensors one kind is read."""
    real = copy.deepcopy(attention)  # on the meta device: this costs nothing
    wanted = [key for key in real.state_dict()
              if key.endswith(kind) and not key.startswith("proj.")]  # fmt: skip
    real.load_state_dict({key: read(f"{name}.{key}") for key in wanted}, strict=False, assign=True)
    return PlainAttention(real)
