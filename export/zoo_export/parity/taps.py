"""What passes the boundaries of modules: inputs and outputs of every part of a network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from zoo.manifest import Precision
from zoo.preprocess import Array
from zoo_export.parity.metrics import rms
from zoo_export.parity.precisions import ROUNDINGS

# A boundary is wrong where the error is so many times eager float32's there: right graphs stay
# below twice, see docs/parity.md.
FACTOR = 3.0
# Units of rounding: a lookup is exact in eager; a graph may have rounded a folded constant.
FLOOR = 2.0


class Boundary(NamedTuple):
    """A side of a module.

    Attributes:
        module: Dotted name.
        side: `in` for its first argument, `out` for what it returns.
    """

    module: str
    side: Literal["in", "out"]


Values = dict[Boundary, Array]


@runtime_checkable
class Tapped(Protocol):
    """A candidate that shows what passes its modules' boundaries."""

    def taps(self, batch: dict[str, Array], shapes: Mapping[Boundary, tuple[int, ...]]) -> Values:
        """Run a batch once and return the boundaries that can be found, of the shapes asked for."""
        ...


@dataclass(slots=True)
class Trace:
    """One run of a module, in the order in which the boundaries were passed.

    Attributes:
        values: Boundary to array.
        arguments: Module's name to the arguments that it got.
    """

    values: Values = field(default_factory=dict)
    arguments: dict[str, tuple[Any, ...]] = field(default_factory=dict)


@contextmanager
def tracing(module: nn.Module) -> Iterator[Trace]:
    """Record what passes the boundaries of all parts of a module, its own excepted.

    A part that runs several times is recorded the first time.
    """
    trace = Trace()
    handles = []

    def record(name: str, side: Literal["in", "out"], value: object) -> None:
        if isinstance(value, Tensor) and value.is_floating_point():
            trace.values.setdefault(Boundary(name, side), value.detach().double().numpy())

    for name, part in module.named_modules():
        if not name:
            continue

        def before(_part: nn.Module, inputs: tuple[Any, ...], name: str = name) -> None:
            trace.arguments.setdefault(name, inputs)
            record(name, "in", inputs[0] if inputs else None)

        def after(_part: nn.Module, _inputs: object, output: object, name: str = name) -> None:
            record(name, "out", output)

        handles += [part.register_forward_pre_hook(before), part.register_forward_hook(after)]
    try:
        with torch.inference_mode():
            yield trace
    finally:
        for handle in handles:
            handle.remove()


def error(oracle: Array, value: Array) -> float:
    """Return a relative error, infinite where it is not finite."""
    if not np.isfinite(value).all():
        return math.inf
    size = rms(oracle)
    difference = rms(value - oracle)
    return difference / size if size else (0.0 if difference == 0 else math.inf)


def limit(yardstick: float, precision: Precision = "float32") -> float:
    """Return the largest error at a boundary where the yardstick has that one."""
    return FACTOR * yardstick + FLOOR * ROUNDINGS[precision].unit
