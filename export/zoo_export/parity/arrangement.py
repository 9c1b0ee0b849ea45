"""Right numbers in a wrong order, place or size: what is left to try where no part is at fault."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import numpy as np
import torch
from torch import Tensor, nn

from zoo.preprocess import Array
from zoo_export.parity.faults import changed
from zoo_export.parity.taps import Call

PARTS = (2, 3, 4)  # that a last axis may be made of: halves of a gate, q k v, neighbours of a patch


def rearranged(oracle: Array, values: Array) -> Iterator[tuple[str, Array]]:
    """Yield what the oracle's numbers at a boundary would be, all multiplied or in another order.

    Args:
        oracle: In float64.
        values: The candidate's; the factor is taken from them.
    """
    size = float(np.vdot(oracle, oracle))
    if size:
        factor = float(np.vdot(oracle, values)) / size
        yield f"all numbers are {factor:.4g} times what they should be", factor * oracle
    for count, order in _orders(oracle.shape[-1] if oracle.ndim else 0):
        parts = np.split(oracle, count, axis=-1)
        words = f"its {count} parts come in the order {_named(order)}"
        yield words, np.concatenate([parts[place] for place in order], axis=-1)


def taken(part: nn.Module, call: Call) -> Iterator[tuple[str, nn.Module, Call]]:
    """Yield a module that is given its input in another order, or a map in another place.

    Args:
        part: A module of one layer, or one that cuts maps (B, H, W, C) into windows.
        call: What it was given.
    """
    x, *rest = call.args or (None,)
    if not isinstance(x, Tensor) or not x.is_floating_point():
        return
    if not any(part.children()):
        for count, order in _orders(x.shape[-1]):
            parts = x.chunk(count, dim=-1)
            words = f"the {count} parts of what enters are taken in the order {_named(order)}"
            wrong = torch.cat([parts[place] for place in order], dim=-1)
            yield words, part, Call((wrong, *rest), call.kwargs)
    if isinstance(getattr(part, "window", None), int) and x.ndim == 4:
        least = min(x.shape[1:3])
        for step in range(-((least - 1) // 2), least // 2 + 1):
            if step:
                words = f"windows lie {step:+d} places further down and along"
                yield words, _moved(part, step), call


def _moved(part: nn.Module, step: int) -> nn.Module:
    """Return a module that sees its map from another place, and gives it back in its own."""
    return changed(
        part, "forward",
        lambda x, *rest: part(x.roll((-step, -step), (1, 2)), *rest).roll((step, step), (1, 2)),
    )  # fmt: skip


def _orders(size: int) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield numbers of parts and their wrong orders, each once: two halves are not four parts."""
    for count in PARTS:
        for order in permutations(range(count)):
            if size % count == 0 and order != tuple(range(count)) and order != (2, 3, 0, 1):
                yield count, order


def _named(order: tuple[int, ...]) -> str:
    return " ".join(str(place + 1) for place in order)
