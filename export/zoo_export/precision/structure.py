"""The proof that a graph of low precision is a float32 graph plus casts, and nothing else.

Both are walked from their outputs to their inputs, operator by operator, casts between floats left
out. Names and order of operators do not matter; kinds, attributes, wiring and weights do.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from zoo.preprocess import Array
from zoo_export.precision.operators import FLOATS, LOW, constant, is_float

_DTYPES = ("to", "dtype")  # attributes that say a type


def difference(low: ir.Model, exact: ir.Model) -> str:
    """Return how a graph differs from a float32 graph plus casts, or nothing.

    Args:
        low: With casts, and weights in low precision.
        exact: In float32.
    """
    if low.opset_imports != exact.opset_imports:
        return f"opsets are {dict(low.opset_imports)}, not {dict(exact.opset_imports)}"
    for side in ("inputs", "outputs"):
        names = [[value.name for value in getattr(model.graph, side)] for model in (low, exact)]
        if names[0] != names[1]:
            return f"{side} are {names[0]}, not {names[1]}"
    walk = _Walk()
    for one, other in zip(low.graph.outputs, exact.graph.outputs, strict=True):
        walk.ask(one, other)
    return walk.finish()


class _Walk:
    """Pairs of values that must be the same, rounding apart."""

    def __init__(self) -> None:
        self.pending: list[tuple[ir.Value | None, ir.Value | None]] = []
        self.seen: set[tuple[int, int]] = set()

    def ask(self, low: ir.Value | None, exact: ir.Value | None) -> None:
        """Note a pair to be looked at."""
        low, exact = _uncast(low), _uncast(exact)
        if (id(low), id(exact)) not in self.seen:
            self.seen.add((id(low), id(exact)))
            self.pending.append((low, exact))

    def finish(self) -> str:
        """Look at all pairs and what they lead to; return the first difference, or nothing."""
        while self.pending:
            found = self._compare(*self.pending.pop())
            if found:
                return found
        return ""

    def _compare(self, low: ir.Value | None, exact: ir.Value | None) -> str:
        if low is None or exact is None:
            return "" if low is exact else f"an input is missing at {_name(low or exact)}"
        numbers, wanted = constant(low), constant(exact)
        if wanted is not None or numbers is not None:
            return _constants(low, numbers, exact, wanted)
        one, other = low.producer(), exact.producer()
        if one is None or other is None:
            same = one is other and low.name == exact.name and low.shape == exact.shape
            return "" if same else f"{_name(low)} stands for {_name(exact)}"
        if low.index() != exact.index():
            return f"{_name(low)} is another output of {other.name} than {_name(exact)}"
        return self._operators(one, other)

    def _operators(self, one: ir.Node, other: ir.Node) -> str:
        where = f"{other.op_type} {other.name}"
        if (one.domain, one.op_type) != (other.domain, other.op_type):
            return f"{where} has become {one.op_type} {one.name}"
        if len(one.inputs) != len(other.inputs) or len(one.outputs) != len(other.outputs):
            return f"{where} has {len(one.inputs)} inputs, not {len(other.inputs)}"
        if set(one.attributes) != set(other.attributes):
            return f"{where} has the attributes {sorted(one.attributes)}"
        for name, attribute in other.attributes.items():
            if not _same_attribute(one.attributes[name], attribute):
                return f"{where} has another {name}"
        for value, wanted in zip(one.inputs, other.inputs, strict=True):
            self.ask(value, wanted)
        return ""


def _uncast(value: ir.Value | None) -> ir.Value | None:
    """Return what a value was before it was cast from float to float."""
    while value is not None:
        node = value.producer()
        if node is None or node.op_type != "Cast" or node.domain or not is_float(value):
            return value
        if not is_float(node.inputs[0]):
            return value
        value = node.inputs[0]
    return None


def _constants(
    low: ir.Value,
    numbers: ir.TensorProtocol | None,
    exact: ir.Value,
    wanted: ir.TensorProtocol | None,
) -> str:
    if numbers is None or wanted is None:
        return f"{_name(low)} stands for {_name(exact)}, and one of both is a constant"
    return "" if _same_numbers(numbers, wanted) else f"the numbers of {_name(exact)} differ"


def _same_numbers(low: ir.TensorProtocol, exact: ir.TensorProtocol) -> bool:
    """Whether constants are equal, or one is the other rounded."""
    if tuple(low.shape) != tuple(exact.shape):
        return False
    one, other = low.numpy(), exact.numpy()
    if low.dtype != exact.dtype:
        if low.dtype not in LOW or exact.dtype not in FLOATS:
            return False
        with np.errstate(over="ignore"):
            other = other.astype(low.dtype.numpy())
    return _bits(one) == _bits(other)


def _bits(array: Array) -> bytes:
    return np.ascontiguousarray(array).tobytes()


def _same_attribute(one: ir.Attr, other: ir.Attr) -> bool:
    if one.type != other.type:
        return False
    if other.name in _DTYPES and other.type == ir.AttributeType.INT:
        types = {one.as_int(), other.as_int()}
        return len(types) == 1 or types <= {int(dtype) for dtype in FLOATS}
    if other.type == ir.AttributeType.TENSOR:
        return _same_numbers(one.as_tensor(), other.as_tensor())
    if other.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS):
        return False  # branches and loops are not walked, so nothing is proven of them
    return bool(one.value == other.value)


def _name(value: ir.Value | None) -> str:
    return "nothing" if value is None else str(value.name)
