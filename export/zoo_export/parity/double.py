"""The oracle: a copy of a network in float64, whole or one block at a time.

A whole copy takes twice the memory of the network itself. Beyond a size the copy shares the blocks'
float32 tensors, and each block is in float64 only while it runs: the numbers are the same, since
every float32 is a float64 too.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import cast

from torch import Tensor, nn

from zoo.machine import free_memory

# Bytes of a copy in float64 that is made whole: the time to convert blocks again for each sample
# is then better spent.
WHOLE = 400_000_000


def in_float64(module: nn.Module, *, whole: int = WHOLE) -> nn.Module:
    """Return a copy of a module that computes in float64, in evaluation mode.

    Args:
        module: In float32; it is left as it is.
        whole: Largest size in bytes of a copy that is made as a whole.
    """
    blocks = _blocks(module) if _bytes(_tensors(module)) > whole else {}
    inside = {id(tensor) for block in blocks.values() for tensor in _tensors(block)}
    inside -= _held_outside(module, tuple(blocks))
    memo: dict[int, object] = {}
    for parameter in module.parameters():
        memo[id(parameter)] = parameter if id(parameter) in inside else _double(parameter)
    for buffer in module.buffers():
        memo[id(buffer)] = buffer if id(buffer) in inside else _double(buffer)
    exact = copy.deepcopy(module, memo).eval()
    for name in blocks:
        _widen_while_running(exact.get_submodule(name))
    return exact


def memory_short(module: nn.Module, part: float, *, whole: int = WHOLE, beside: int = 0) -> str:
    """Return why the oracle of a module does not fit into a part of the memory, or nothing.

    Args:
        module: Maybe on the meta device.
        part: Of the free memory.
        whole: As for `in_float64`.
        beside: Bytes that are needed beside it, and not held yet.
    """
    free = free_memory()
    if free is None:
        return ""  # this system does not say what is free
    needed = _bytes(_tensors(module))
    blocks = [_bytes(_tensors(block)) for block in _blocks(module).values()]
    if needed > whole and blocks:
        needed += max(blocks) - sum(blocks)
    if needed + beside <= part * free:
        return ""
    more = f" beside {beside / 1e9:.1f} GB for it and its graph in float32" if beside else ""
    return (
        f"the oracle needs {needed / 1e9:.1f} GB for the network in float64{more}, and "
        f"{free / 1e9:.1f} GB are free"
    )


def _blocks(module: nn.Module) -> dict[str, nn.Module]:
    """Return the members of a module's outermost lists by name: where the weights are."""
    found: dict[str, nn.Module] = {}
    for name, child in module.named_children():
        inner = dict(child.named_children()) if isinstance(child, nn.ModuleList) else _blocks(child)
        found.update({f"{name}.{key}": block for key, block in inner.items()})
    return found


def _held_outside(module: nn.Module, blocks: tuple[str, ...]) -> set[int]:
    """Return the ids of tensors that a module outside of blocks has, maybe beside a block."""
    return {
        id(tensor)
        for name, part in module.named_modules()
        if not any(f"{name}.".startswith(f"{block}.") for block in blocks)
        for tensor in (*part._parameters.values(), *part._buffers.values())
        if tensor is not None
    }


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


def _bytes(tensors: Iterable[Tensor]) -> int:
    """Return what tensors take in float64."""
    return 8 * sum(tensor.numel() for tensor in tensors)


def _double(tensor: Tensor) -> Tensor:
    wide = tensor.detach().double() if tensor.is_floating_point() else tensor.clone()
    return nn.Parameter(wide, requires_grad=False) if isinstance(tensor, nn.Parameter) else wide


def _widen_while_running(block: nn.Module) -> None:
    """Convert a block's tensors before it runs, and put the narrow ones back after."""
    narrow = [
        (store, name, tensor)
        for part in block.modules()
        for store in cast(tuple[dict[str, Tensor | None], ...], (part._parameters, part._buffers))
        for name, tensor in store.items()
        if tensor is not None
    ]

    def widen(*_: object) -> None:
        for store, name, tensor in narrow:
            store[name] = _double(tensor)

    def restore(*_: object) -> None:
        for store, name, tensor in narrow:
            store[name] = tensor

    block.register_forward_pre_hook(widen, prepend=True)
    block.register_forward_hook(restore, always_call=True)
