"""Reduce large maps a piece at a time, so that no sum is longer than a few hundred numbers.

ONNX Runtime (1.31, on a processor) adds all numbers of a map one after the other: the mean of a
flat map of 56 x 56 comes out 20 times as far from float64 as PyTorch's own (docs/export.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from zoo_export.integers import known, numbers

if TYPE_CHECKING:
    import onnx_ir as ir

Sizes = list[int | None]
"""A size an axis, None where it is dynamic."""

# Where it is the same to reduce all at once or one piece after the other.
CHAINED = frozenset({"ReduceMean", "ReduceSum", "ReduceL2"})
SHORT = 256  # numbers whose sum loses no digit; one operator is then quicker than two


def split_reductions(model: ir.Model) -> None:
    """Take reductions of many numbers apart, in place: axis by axis, and long axes in two."""
    for node in list(model.graph):
        sizes = _sizes(node)
        if sizes:
            axes = _axes(node, len(sizes))
            if math.prod(sizes[axis] or math.inf for axis in axes) > SHORT:
                _split(model.graph, node, axes, sizes)


def _sizes(node: ir.Node) -> Sizes:
    """Return the sizes of what a node reduces; nothing if it is no sum, or they are not known."""
    if node.op_type not in CHAINED or node.domain or len(node.inputs) < 2:
        return []
    x = node.inputs[0]
    if x is None or x.shape is None:
        return []
    return [size if isinstance(size, int) else None for size in x.shape]


def _axes(node: ir.Node, rank: int) -> list[int]:
    """Return the axes that a node reduces, counted from the front; none if they are not known."""
    return sorted(axis % rank for axis in known(node.inputs[1]) or ())


def _split(graph: ir.Graph, node: ir.Node, axes: Sequence[int], sizes: Sizes) -> None:
    """Put nodes that reduce less before a node, which is left with the last piece."""
    kept = "keepdims" not in node.attributes or node.attributes["keepdims"].as_int() == 1
    x, sizes = node.inputs[0], list(sizes)
    for place, axis in enumerate(axes):
        at = axis if kept else axis - place
        target = _folded(sizes, at)
        if target:
            x = _before(graph, node, "Reshape", x, target, {})
            x = _before(graph, node, node.op_type, x, [at], {"keepdims": 0})
        if place < len(axes) - 1:
            x = _before(graph, node, node.op_type, x, [at], {"keepdims": int(kept)})
            sizes[at : at + 1] = [1] if kept else []
    node.replace_input_with(0, x)
    node.replace_input_with(1, numbers(graph, [at]))


def _folded(sizes: Sizes, at: int) -> list[int]:
    """Return the shape in which a long axis is two; none if it is short, or cannot be."""
    size = sizes[at] or 0
    part = next((n for n in range(math.isqrt(size), 1, -1) if size % n == 0), 1)
    after = [-1 if other is None else other for other in sizes[at + 1 :]]
    if size <= SHORT or size // part > SHORT or after.count(-1) > 1:
        return []
    return [*[0] * at, part, size // part, *after]  # 0: as it is


def _before(
    graph: ir.Graph,
    node: ir.Node,
    operator: str,
    x: ir.Value | None,
    values: list[int],
    attributes: dict[str, int],
) -> ir.Value:
    """Put a node of the same module before a node; return its output."""
    import onnx_ir as ir

    new = ir.node(operator, [x, numbers(graph, values)], attributes=attributes)
    new.metadata_props.update(node.metadata_props)
    graph.insert_before(node, new)
    if node.outputs[0].dtype is not None:
        new.outputs[0].dtype = node.outputs[0].dtype
    return new.outputs[0]
