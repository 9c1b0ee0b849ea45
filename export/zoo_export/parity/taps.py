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

from zoo.errors import ZooError
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


class Call(NamedTuple):
    """What a module was given.

    Attributes:
        args: By place.
        kwargs: By name.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def tensors(self) -> list[Tensor]:
        """Return what of it is a tensor itself."""
        return [value for value in (*self.args, *self.kwargs.values()) if isinstance(value, Tensor)]


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
        calls: Module's name to what it was given; of the whole network, with an empty name.
    """

    values: Values = field(default_factory=dict)
    calls: dict[str, Call] = field(default_factory=dict)


@contextmanager
def tracing(module: nn.Module) -> Iterator[Trace]:
    """Record what passes the boundaries of all parts of a module, and what itself is given.

    A part that runs several times is recorded the first time.
    """
    trace = Trace()
    handles = []

    def record(name: str, side: Literal["in", "out"], value: object) -> None:
        if name and isinstance(value, Tensor) and value.is_floating_point():
            trace.values.setdefault(Boundary(name, side), value.detach().double().numpy())

    for name, part in module.named_modules():

        def before(
            _part: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], name: str = name
        ) -> None:
            trace.calls.setdefault(name, Call(inputs, named))
            record(name, "in", inputs[0] if inputs else None)

        def after(_part: nn.Module, _inputs: object, output: object, name: str = name) -> None:
            record(name, "out", output)

        handles += [
            part.register_forward_pre_hook(before, with_kwargs=True),
            part.register_forward_hook(after),
        ]
    try:
        with torch.inference_mode():
            yield trace
    finally:
        for handle in handles:
            handle.remove()


class _Reached(Exception):
    """A boundary was passed; what follows need not run."""

    def __init__(self, value: object) -> None:
        super().__init__()
        self.value = value


def passing(part: nn.Module, call: Call, boundary: Boundary) -> Any:  # noqa: ANN401
    """Run a module up to a boundary and return what passes there; None if it cannot be run.

    Args:
        part: Maybe with a fault, such as one that lets shapes no longer fit.
        call: What it is given.
        boundary: Of one of its parts; with an empty name, what it returns.
    """

    def before(_part: nn.Module, inputs: tuple[Any, ...]) -> None:
        raise _Reached(inputs[0] if inputs else None)

    def after(_part: nn.Module, _inputs: object, output: object) -> None:
        raise _Reached(output)

    handles = []
    if boundary.module:
        inner = part.get_submodule(boundary.module)
        handles.append(
            inner.register_forward_pre_hook(before)
            if boundary.side == "in"
            else inner.register_forward_hook(after)
        )
    try:
        with torch.inference_mode():
            return part(*call.args, **call.kwargs)
    except _Reached as reached:
        return reached.value
    except (RuntimeError, ValueError, IndexError, TypeError, AttributeError, ZooError):
        return None
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
