"""A graph of low precision on a processor that lacks it: float32 operators, rounded results.

ONNX Runtime's CPU provider computes float16 in float32 and has no bfloat16 at all. Here every
number that leaves an operator of low precision is cast down and up again, so that rounding and
overflow show. Sums inside a product stay in float32, as hardware keeps them. A norm, softmax or
mean in low precision is taken apart, each step rounded: that is the worst that a runtime may do,
and the overflow of a square inside it is seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import onnx_ir as ir

from zoo_export.precision.operators import LOW, is_float, is_mover, makes_floats

FLOAT = ir.DataType.FLOAT
Scopes = dict[str, str]


def emulate(model: ir.Model, scopes: Mapping[str, str]) -> Scopes:
    """Change a graph of low precision in place; return the modules of its operators.

    Args:
        model: With operators in float16 or bfloat16.
        scopes: Operator to the module that it came from.
    """
    emulation = _Emulation(model.graph, scopes)
    emulation.constants()
    for value in list(model.graph.inputs):
        if value.dtype in LOW:
            emulation.round(value, value.dtype, None)
    for node in list(model.graph):
        emulation.settle(node)
    return emulation.scopes


class _Emulation:
    """One graph on its way up."""

    def __init__(self, graph: ir.Graph, scopes: Mapping[str, str]) -> None:
        self.graph = graph
        self.scopes: Scopes = dict(scopes)

    def constants(self) -> None:
        """Store rounded constants in float32, which holds them exactly."""
        for value in self.graph.initializers.values():
            if value.dtype in LOW and value.const_value is not None:
                value.const_value = _up(value.const_value)
                value.dtype = FLOAT

    def settle(self, node: ir.Node) -> None:
        """Let an operator compute in float32 and round what it gives."""
        low = [(value, value.dtype) for value in node.outputs if value.dtype in LOW]
        for name, attribute in list(node.attributes.items()):
            if attribute.type == ir.AttributeType.TENSOR and attribute.as_tensor().dtype in LOW:
                node.attributes[name] = ir.AttrTensor(name, _up(attribute.as_tensor()))
            if name == "dtype" and attribute.as_int() in LOW:
                node.attributes[name] = ir.AttrInt64(name, int(FLOAT))
        if node.op_type == "Cast":
            if is_float(node.inputs[0]):
                # beside what it casts, it would be a second value that leaves the same module
                self.scopes.pop(node.name or "", None)
            if node.attributes["to"].as_int() in LOW:
                node.attributes["to"] = ir.AttrInt64("to", int(FLOAT))
        for value, dtype in low:
            value.dtype = FLOAT
            if node.op_type == "Constant" or (is_mover(node) and not makes_floats(node)):
                continue  # its inputs are rounded already
            assert dtype is not None, "it is one of two types"
            parts = _PARTS.get(node.op_type)
            whole = value if parts is None else self._take_apart(node, dtype, parts)
            self.round(whole, dtype, whole.producer())

    def round(self, value: ir.Value, dtype: ir.DataType, after: ir.Node | None) -> ir.Value:
        """Let everything read a value as it is in low precision."""
        value.dtype = FLOAT
        readers = list(value.uses())
        module = self.scopes.get(after.name or "") if after is not None else None
        name = value.name
        down = ir.node("Cast", [value], {"to": int(dtype)}, name=f"Down {name}")
        up = ir.node("Cast", down.outputs, {"to": int(FLOAT)}, name=f"Up {name}")
        (lowered,), (rounded,) = down.outputs, up.outputs
        lowered.name, lowered.dtype, lowered.shape = f"{name}.down", dtype, value.shape
        rounded.name, rounded.dtype, rounded.shape = f"{name}.up", FLOAT, value.shape
        for reader, place in readers:
            reader.replace_input_with(place, rounded)
        for place, output in enumerate(self.graph.outputs):
            if output is value:
                value.name, rounded.name = f"{name}.exact", name
                self.graph.outputs[place] = rounded
        if after is None:
            self.graph.insert_before(self.graph[0], [down, up])
        else:
            self.graph.insert_after(after, [down, up])
        if module is not None:
            self.scopes[f"Down {name}"] = self.scopes[f"Up {name}"] = module
        return rounded

    def _take_apart(self, node: ir.Node, dtype: ir.DataType, parts: _Parts) -> ir.Value:
        """Put an operator's steps in its place, each rounded but the last; return its result."""
        steps = _Steps(self, node, dtype)
        result = parts(node, steps)
        (old,) = node.outputs[:1]
        for reader, place in list(old.uses()):
            reader.replace_input_with(place, result)
        for place, output in enumerate(self.graph.outputs):
            if output is old:
                self.graph.outputs[place] = result
        name = old.name
        old.name, result.name = f"{name}.whole", name
        self.graph.remove(node)
        return result


class _Steps:
    """Adds steps before an operator."""

    def __init__(self, emulation: _Emulation, node: ir.Node, dtype: ir.DataType) -> None:
        self.emulation = emulation
        self.node = node
        self.dtype = dtype
        self.count = 0

    def exact(self, kind: str, *inputs: ir.Value | None, **attributes: int) -> ir.Value:
        """Add a step whose result is not rounded."""
        self.count += 1
        name = f"{self.node.name}/{self.count}"
        node = ir.node(kind, inputs, attributes or None, name=name)
        (output,) = node.outputs
        output.name, output.dtype = name, FLOAT
        self.emulation.graph.insert_before(self.node, node)
        module = self.emulation.scopes.get(self.node.name or "")
        if module is not None:
            self.emulation.scopes[name] = module
        return output

    def rounded(self, kind: str, *inputs: ir.Value | None, **attributes: int) -> ir.Value:
        """Add a step, and round its result."""
        value = self.exact(kind, *inputs, **attributes)
        return self.emulation.round(value, self.dtype, value.producer())

    def axes(self, axes: Sequence[int]) -> ir.Value:
        """Return axes as reductions want them."""
        return self._constant(ir.tensor(list(axes), dtype=ir.DataType.INT64))

    def number(self, number: float) -> ir.Value:
        """Return a constant as low precision holds it."""
        array = ir.tensor(number, dtype=FLOAT).numpy().astype(self.dtype.numpy())
        return self._constant(ir.Tensor(array.astype("float32")))

    def _constant(self, tensor: ir.TensorProtocol) -> ir.Value:
        self.count += 1
        name = f"{self.node.name}/{self.count}"
        tensor.name = name
        value = ir.Value(
            name=name,
            shape=ir.Shape(tensor.numpy().shape),
            type=ir.TensorType(tensor.dtype),
            const_value=tensor,
        )
        self.emulation.graph.initializers[name] = value
        return value


_Parts = Callable[[ir.Node, _Steps], ir.Value]


def _layer_norm(node: ir.Node, steps: _Steps) -> ir.Value:
    x, scale = node.inputs[:2]
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    axis = node.attributes.get_int("axis", -1)
    rank = _rank(x) if axis >= 0 else 0
    axes = steps.axes(range(axis - rank, 0) if rank else range(axis, 0))
    eps = steps.number(node.attributes.get_float("epsilon", 1e-5))
    mean = steps.rounded("ReduceMean", x, axes)
    centred = steps.rounded("Sub", x, mean)
    squares = steps.rounded("Mul", centred, centred)
    variance = steps.rounded("Add", steps.rounded("ReduceMean", squares, axes), eps)
    normed = steps.rounded("Div", centred, steps.rounded("Sqrt", variance))
    if bias is None:
        return steps.exact("Mul", normed, scale)
    return steps.exact("Add", steps.rounded("Mul", normed, scale), bias)


def _softmax(node: ir.Node, steps: _Steps) -> ir.Value:
    (x,) = node.inputs
    axes = steps.axes([node.attributes.get_int("axis", -1)])
    powers = steps.rounded("Exp", steps.rounded("Sub", x, steps.exact("ReduceMax", x, axes)))
    return steps.exact("Div", powers, steps.rounded("ReduceSum", powers, axes))


def _mean(node: ir.Node, steps: _Steps) -> ir.Value:
    """Return the mean, or no number where the sum overflows: infinity times nothing is none."""
    keep = node.attributes.get_int("keepdims", 1)
    mean = steps.exact("ReduceMean", *node.inputs, keepdims=keep)
    total = steps.rounded("ReduceSum", *node.inputs, keepdims=keep)
    return steps.exact("Add", mean, steps.exact("Mul", total, steps.number(0.0)))


def _pool(node: ir.Node, steps: _Steps) -> ir.Value:
    (x,) = node.inputs
    axes = steps.axes(range(2 - _rank(x), 0))
    mean, total = steps.exact("ReduceMean", x, axes), steps.rounded("ReduceSum", x, axes)
    return steps.exact("Add", mean, steps.exact("Mul", total, steps.number(0.0)))


def _length(node: ir.Node, steps: _Steps) -> ir.Value:
    keep = node.attributes.get_int("keepdims", 1)
    squares = steps.rounded("Mul", node.inputs[0], node.inputs[0])
    total = steps.rounded("ReduceSum", squares, *node.inputs[1:], keepdims=keep)
    return steps.exact("Sqrt", total)


_PARTS: Mapping[str, _Parts] = {
    "LayerNormalization": _layer_norm,
    "Softmax": _softmax,
    "ReduceMean": _mean,
    "GlobalAveragePool": _pool,
    "ReduceL2": _length,
}


def _rank(value: ir.Value | None) -> int:
    shape = value.shape if value is not None else None
    assert shape is not None, "shapes have been inferred"
    return len(shape)


def _up(tensor: ir.TensorProtocol) -> ir.Tensor[Any]:
    return ir.Tensor(tensor.numpy().astype("float32"), name=tensor.name)
