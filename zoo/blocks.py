"""A look into a network: what its blocks give."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, cast

from zoo.errors import OptionError

if TYPE_CHECKING:
    from torch import Tensor, nn


def block_outputs(
    module: nn.Module, name: str, indices: Sequence[int], run: Callable[[], object]
) -> list[Tensor]:
    """Return the outputs of chosen blocks in one run.

    Args:
        module: The network; its blocks are in an attribute `blocks`.
        name: Of the model, for errors.
        indices: Of blocks; negative ones count from the end.
        run: Runs the network.

    Raises:
        OptionError: There are no blocks, or none of an index.
    """
    blocks = list(cast("Iterable[nn.Module]", getattr(module, "blocks", ())))
    if not blocks:
        raise OptionError(f"{name} has no blocks to look into.")
    for index in indices:
        if not -len(blocks) <= index < len(blocks):
            raise OptionError(f"{name} has {len(blocks)} blocks; there is no {index}.")
    taken: dict[int, Tensor] = {}
    handles = [
        blocks[index].register_forward_hook(
            lambda _module, _inputs, output, key=index: taken.__setitem__(key, output)
        )
        for index in set(indices)
    ]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return [taken[index] for index in indices]
