"""Reduce large maps one axis at a time, so that no sum is longer than an axis.

ONNX Runtime (1.31, on a processor) adds all numbers of a map one after the other: the mean of a
flat map of 56 x 56 comes out 20 times as far from float64 as PyTorch's own (docs/export.md).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx_ir as ir

# Where it is the same to reduce all axes at once or one after the other.
CHAINED = frozenset({"ReduceMean", "ReduceSum", "ReduceL2"})
SHORT = 256  # numbers whose sum loses no digit; one operator is then quicker than two


def split_reductions(model: ir.Model) -> None:
    """Take reductions of large maps apart, in place."""
    for node in list(model.graph):
        axes = _axes(node)
        if len(axes) > 1 and _length(node.inputs[0], axes) > SHORT:
            _split(node, axes)


def _axes(node: ir.Node) -> list[int]:
    """Return the axes that a node reduces, counted from the front; none if they are not known."""
    import onnx_ir as ir

    if node.op_type not in CHAINED or node.domain or len(node.inputs) < 2:
        return []
    x, axes = node.inputs
    tensor = None if axes is None else ir.convenience.get_const_tensor(axes)
    if x is None or x.shape is None or tensor is None:
        return []
    rank = len(x.shape)
    return sorted(int(axis) % rank for axis in tensor.numpy())


def _length(x: ir.Value | None, axes: list[int]) -> float:
    """Return how many numbers one result is made of, infinite where an axis is dynamic."""
    assert x is not None, "its axes are known"
    assert x.shape is not None, "its axes are known"
    sizes = [x.shape[axis] for axis in axes]
    return math.prod(size if isinstance(size, int) else math.inf for size in sizes)


def _split(node: ir.Node, axes: list[int]) -> None:
    """Put a node an axis before a node, and the last of them in its place."""
    import onnx_ir as ir

    assert node.graph is not None, "it was found in one"
    kept = "keepdims" not in node.attributes or node.attributes["keepdims"].as_int() == 1
    x = node.inputs[0]
    for place, axis in enumerate(axes[:-1]):
        index = _constant(node.graph, axis if kept else axis - place)
        ahead = ir.node(node.op_type, [x, index], attributes={"keepdims": int(kept)})
        ahead.metadata_props.update(node.metadata_props)
        node.graph.insert_before(node, ahead)
        x = ahead.outputs[0]
        x.dtype = node.outputs[0].dtype
    node.replace_input_with(0, x)
    last = axes[-1] if kept else axes[-1] - len(axes) + 1
    node.replace_input_with(1, _constant(node.graph, last))


def _constant(graph: ir.Graph, axis: int) -> ir.Value:
    """Return the list of one axis, the same value each time it is asked for."""
    import onnx_ir as ir

    name = f"axis_{axis}"
    if name not in graph.initializers:
        tensor = ir.tensor(np.array([axis], np.int64), name=name)
        graph.register_initializer(ir.val(name, const_value=tensor))
    return graph.initializers[name]
