"""The float32 graph plus casts: low precision where the plan allows it, and nothing else changed.

Weights are stored in the precision in which they are read. Inputs and outputs of the graph stay
float32. A value is cast at most once to either side, however many read it.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from zoo.manifest import PrecisionPlan
from zoo_export.precision.formats import FORMATS, Format
from zoo_export.precision.operators import (
    floats_out,
    has_precision,
    is_float,
    is_pinned,
    makes_floats,
)

Scopes = dict[str, str]


def lower(model: ir.Model, plan: PrecisionPlan, scopes: Mapping[str, str]) -> Scopes:
    """Change a float32 graph in place, as a plan says; return the modules of its operators.

    Args:
        model: In float32.
        plan: Made for this graph.
        scopes: Operator to the module that it came from; casts belong to where a value was made.
    """
    lowered = _Lowering(model.graph, plan, scopes)
    for node in list(model.graph):
        if has_precision(node):
            lowered.settle(node)
    lowered.deliver()
    lowered.forget()
    return lowered.scopes


class _Lowering:
    """One graph on its way down."""

    def __init__(self, graph: ir.Graph, plan: PrecisionPlan, scopes: Mapping[str, str]) -> None:
        self.graph = graph
        self.form: Format = FORMATS[plan.dtype]
        self.kept = plan.operators
        self.scopes: Scopes = dict(scopes)
        self._others: dict[tuple[ir.Value, ir.DataType], ir.Value] = {}

    def settle(self, node: ir.Node) -> None:
        """Give an operator its inputs and outputs in its own precision."""
        dtype = ir.DataType.FLOAT if node.name in self.kept else self.form.dtype
        for place, value in enumerate(node.inputs):
            if value is not None and is_float(value) and not is_pinned(node, place):
                node.replace_input_with(place, self.in_type(value, dtype))
        for value in floats_out(node):
            value.dtype = dtype
        if makes_floats(node):
            node.attributes["to"] = ir.AttrInt64("to", int(dtype))

    def in_type(self, value: ir.Value, dtype: ir.DataType) -> ir.Value:
        """Return a value in a type: itself, a rounded constant, or a cast."""
        if value.dtype == dtype:
            return value
        key = (value, dtype)
        if key not in self._others:
            made = self._rounded(value) if value.is_initializer() else self._cast(value, dtype)
            self._others[key] = made
        return self._others[key]

    def deliver(self) -> None:
        """Give the graph's caller float32 under the names that were promised."""
        for place, value in enumerate(self.graph.outputs):
            if value.dtype != self.form.dtype:
                continue
            name = value.name
            delivered = self.in_type(value, ir.DataType.FLOAT)
            value.name, delivered.name = f"{name}.{self.form.name}", name
            self.graph.outputs[place] = delivered

    def forget(self) -> None:
        """Drop the float32 constants that nothing reads any more; the others take their names."""
        for (value, _), other in self._others.items():
            if value.is_initializer() and not value.uses():
                name = value.name
                assert name is not None, "every initialiser has a name"
                del self.graph.initializers[name]
                assert other.name is not None, "it was named when it was made"
                del self.graph.initializers[other.name]
                other.name = name
                self.graph.initializers[name] = other

    def _rounded(self, value: ir.Value) -> ir.Value:
        assert value.const_value is not None, "initialisers have numbers"
        name = f"{value.name}.{self.form.name}"
        tensor = ir.Tensor(self.form.rounded(value.const_value.numpy()), name=name)
        made = ir.Value(name=name, shape=value.shape, type=ir.TensorType(self.form.dtype),
                        const_value=tensor)  # fmt: skip
        self.graph.initializers[name] = made
        return made

    def _cast(self, value: ir.Value, dtype: ir.DataType) -> ir.Value:
        name = f"{value.name}.{'float32' if dtype == ir.DataType.FLOAT else self.form.name}"
        node = ir.node("Cast", [value], {"to": int(dtype)}, name=f"Cast to {name}")
        (made,) = node.outputs
        made.name, made.shape, made.dtype = name, value.shape, dtype
        producer = value.producer()
        if producer is None:
            self.graph.insert_before(self.graph[0], node)
        else:
            self.graph.insert_after(producer, node)
            module = self.scopes.get(producer.name or "")
            if module is not None:
                self.scopes[f"Cast to {name}"] = module
        return made
