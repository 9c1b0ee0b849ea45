"""What passes the boundaries of modules: inputs and outputs of every part of a network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

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
        values: Boundary to array, float64 of an oracle, else float32; several may share numbers.
        calls: Module's name to what it was given; of the whole network, with an empty name.
    """

    values: Values = field(default_factory=dict)
    calls: dict[str, Call] = field(default_factory=dict)


class _Keeper(TorchDispatchMode):  # type: ignore[no-untyped-call]  # it has no types
    """Keeps numbers of a run without copying them, until an operator is about to write over them.

    The maps of one large image would otherwise be held five times and more: by a layer, by what
    follows it, and by every module around both.
    """

    def __init__(self, values: Values) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._values = values
        self._places: dict[int, list[Boundary]] = {}

    def keep(self, boundary: Boundary, value: Tensor) -> None:
        """Keep what passes a boundary first."""
        if boundary not in self._values:
            exact = value.dtype in (torch.float32, torch.float64)
            kept = value.detach() if exact else value.float()
            self._values[boundary] = kept.numpy()
            self._places.setdefault(kept.untyped_storage().data_ptr(), []).append(boundary)

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401  whatever the operator returns
        """Run an operator; what it writes over is copied before."""
        if func._schema.is_mutable:
            for value in (*args, *(kwargs or {}).values()):
                if isinstance(value, Tensor):
                    self._part(value.untyped_storage().data_ptr())
        return func(*args, **(kwargs or {}))

    def _part(self, storage: int) -> None:
        copies: dict[object, Array] = {}
        for boundary in self._places.pop(storage, ()):
            own = self._values[boundary]
            same = (own.ctypes.data, own.shape, own.strides)
            self._values[boundary] = copies.setdefault(same, own.copy())


@contextmanager
def tracing(module: nn.Module) -> Iterator[Trace]:
    """Record what passes the boundaries of all parts of a module, and what itself is given.

    A part that runs several times is recorded the first time.
    """
    trace = Trace()
    keeper = _Keeper(trace.values)
    handles = []

    def record(name: str, side: Literal["in", "out"], value: object) -> None:
        if name and isinstance(value, Tensor) and value.is_floating_point():
            keeper.keep(Boundary(name, side), value)

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
        with torch.inference_mode(), keeper:
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
