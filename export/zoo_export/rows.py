"""Write linear layers as Gemm over rows: (B, N, D) becomes (B * N, D) from one end to the other.

A Gemm adds its bias while the product is in the processor's cache, and takes a weight as the
checkpoint stores it; the exporter writes a product, a sum, and a transposed copy of the weight.
What lies between linear layers and looks at one token at a time (norms, activations, residual sums)
works on rows too, so that a Reshape stands only where tokens meet: around attention.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zoo_export.integers import known, numbers

if TYPE_CHECKING:
    import onnx_ir as ir

Frame = tuple[int | str, ...]
"""Sizes of all axes but the last; a word where the axis is dynamic."""

# One number out for one number in, whatever the shape.
_POINTWISE = frozenset({
    "Abs", "Add", "Cast", "Clip", "Div", "Elu", "Erf", "Exp", "Gelu", "Identity", "LeakyRelu",
    "Max", "Min", "Mul", "Neg", "Pow", "Reciprocal", "Relu", "Sigmoid", "Softplus", "Sqrt", "Sub",
    "Tanh",
})  # fmt: skip
# Look along one axis, which must be the last; their axis where the attribute is missing.
_ALONG = {"LayerNormalization": -1, "RMSNormalization": -1, "Softmax": -1, "Split": 0}
_REDUCING = frozenset({"ReduceMean", "ReduceSum"})


def rows(model: ir.Model) -> None:
    """Rewrite a graph as the exporter left it, in place."""
    writer = _Writer(model)
    for node in list(model.graph):
        if node.graph is not None and not node.domain:  # it may be part of a Gemm by now
            writer.visit(node)


class _Writer:
    """Knows which values exist as rows too."""

    def __init__(self, model: ir.Model) -> None:
        self.graph = model.graph
        self.rows: dict[ir.Value, ir.Value] = {}
        self.axes = {
            size: (value, axis)
            for value in reversed(model.graph.inputs)
            for axis, size in enumerate(_shape(value) or ())
            if isinstance(size, str)
        }
        self.targets: dict[Frame, ir.Value] = {}
        self.last: ir.Node | None = None  # of those put before all others

    def visit(self, node: ir.Node) -> None:
        """Rewrite one node, if it can work on rows."""
        if node.op_type == "MatMul":
            self._linear(node)
        elif node.op_type == "Reshape":
            self._reshape(node)
        elif any(value in self.rows for value in node.inputs if value is not None):
            self._pointwise(node)

    def _linear(self, node: ir.Node) -> None:
        """Make a product with a weight, and the sum with a bias after it, one Gemm."""
        x, weight = node.inputs
        assert x is not None, "a product has two factors"
        assert weight is not None, "a product has two factors"
        shape = _shape(x)
        stored, transposed = _stored(weight)
        if stored is None or shape is None or len(shape) < 2:
            return
        width = _widths(stored)[0 if transposed else 1]
        frame = shape[:-1]
        target = self._target((*frame, width))
        if target is None:
            return
        end, bias = _biased(node, width)
        inputs = [self._as_rows(x, node), stored, *([] if bias is None else [bias])]
        (found,) = self._insert(node, "Gemm", inputs, {"transB": 1} if transposed else {})
        self._give(end.outputs[0], found, target, (*frame, width), end)
        for old in dict.fromkeys((end, node)):
            self.graph.remove(old, safe=True)

    def _pointwise(self, node: ir.Node) -> None:
        """Let a node that treats all tokens alike work on rows, if what it gets are rows."""
        long = [value for value in node.inputs if value is not None and not _is_short(value)]
        shapes = [_shape(value) or () for value in (*long, *node.outputs)]
        frames = {shape[:-1] for shape in shapes}
        if len(frames) != 1 or not _treats_rows_alike(node, rank=len(shapes[0])):
            return
        # a mask of one number a token would be brought into rows for this node alone
        if any(value not in self.rows and _shape(value) != shapes[-1] for value in long):
            return
        targets = [self._target(shape) for shape in shapes[len(long) :]]
        if None in targets:
            return
        inputs = [self._as_rows(value, node) if value in long else value for value in node.inputs]
        attributes: dict[str, Any] = dict(node.attributes)
        if node.op_type in _ALONG:
            attributes["axis"] = -1
        if node.op_type in _REDUCING:
            inputs[1] = numbers(self.graph, [-1])
        found = self._insert(node, node.op_type, inputs, attributes, count=len(node.outputs))
        for old, new, target, shape in zip(
            list(node.outputs), found, targets, shapes[len(long) :], strict=True
        ):
            assert target is not None, "looked at above"
            self._give(old, new, target, shape, node)
        self.graph.remove(node, safe=True)

    def _reshape(self, node: ir.Node) -> None:
        """Let a Reshape of what was rows just before begin with the rows."""
        x, target = node.inputs
        sizes = known(target)
        no_zero = "allowzero" in node.attributes and node.attributes["allowzero"].as_int() == 1
        if x in self.rows and (no_zero or (sizes is not None and 0 not in sizes)):
            node.replace_input_with(0, self.rows[x])

    def _as_rows(self, value: ir.Value, user: ir.Node) -> ir.Value:
        shape = _shape(value)
        assert shape is not None, "callers have looked"
        if len(shape) == 2:
            return value
        if value not in self.rows:
            target = self._sizes([-1, shape[-1]])
            (self.rows[value],) = self._insert(user, "Reshape", [value, target], {})
            _type_as(self.rows[value], value)
        return self.rows[value]

    def _give(
        self, old: ir.Value, found: ir.Value, target: ir.Value, shape: Frame, node: ir.Node
    ) -> None:
        """Put rows, brought back into their shape, in the place of a value."""
        import onnx_ir as ir

        new = found
        _type_as(found, old)
        if len(shape) > 2:
            (new,) = self._insert(node, "Reshape", [found, target], {})
            self.rows[new] = found
        _type_as(new, old)
        new.shape = ir.Shape(shape)
        new.name, old.name = old.name, None
        ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)

    def _target(self, shape: Frame) -> ir.Value | None:
        """Return what a Reshape needs to bring rows back, or None if it cannot be known."""
        if shape not in self.targets:
            words = [size for size in shape[:-1] if isinstance(size, str)]
            unknown = [size for size in words if size not in self.axes]
            if isinstance(shape[-1], str) or len(unknown) > 1 or len(set(words)) < len(words):
                return None
            # One axis needs no number: the one that no input has, or else the first.
            free = next(iter(unknown or words), None)
            self.targets[shape] = self._sizes([-1 if size == free else size for size in shape])
        return self.targets[shape]

    def _sizes(self, sizes: Sequence[int | str]) -> ir.Value:
        """Return a shape for a Reshape: a constant, or one put together when the graph runs."""
        import onnx_ir as ir

        if all(isinstance(size, int) for size in sizes):
            return numbers(self.graph, [int(size) for size in sizes])
        parts = []
        for size in sizes:
            if isinstance(size, int):
                parts.append(numbers(self.graph, [size]))
                continue
            source, axis = self.axes[size]
            parts += self._insert(None, "Shape", [source], {"start": axis, "end": axis + 1})
        (target,) = self._insert(None, "Concat", parts, {"axis": 0})
        target.dtype = ir.DataType.INT64
        return target

    def _insert(
        self,
        before: ir.Node | None,
        operator: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, Any],
        *,
        count: int = 1,
    ) -> Sequence[ir.Value]:
        """Put a node before another, of whose module it is, or before all; return its outputs."""
        import onnx_ir as ir

        node = ir.node(operator, inputs, attributes=attributes, num_outputs=count)
        if before is not None:
            node.metadata_props.update(before.metadata_props)
            self.graph.insert_before(before, node)
        elif self.last is None:
            self.graph.insert_before(self.graph[0], node)
            self.last = node
        else:
            self.graph.insert_after(self.last, node)
            self.last = node
        return node.outputs


def _shape(value: ir.Value) -> Frame | None:
    """Return a value's sizes, a word where an axis is dynamic, or None if that is not known."""
    if value.shape is None or any(not isinstance(size, int) and size.value is None
                                  for size in value.shape):  # fmt: skip
        return None
    return tuple(size if isinstance(size, int) else str(size.value) for size in value.shape)


def _stored(weight: ir.Value) -> tuple[ir.Value | None, bool]:
    """Return the stored matrix that a factor is, and whether it is transposed first."""
    node = weight.producer()
    if node is None:
        return (weight if _is_matrix(weight) else None), False
    source = node.inputs[0] if node.inputs else None
    if node.op_type != "Transpose" or source is None or not _is_matrix(source):
        return None, False
    return source, True


def _is_matrix(value: ir.Value) -> bool:
    return value.is_initializer() and len(_shape(value) or ()) == 2


def _widths(matrix: ir.Value) -> tuple[int, int]:
    shape = _shape(matrix)
    assert shape is not None, "a stored matrix has a shape"
    return int(shape[0]), int(shape[1])


def _biased(node: ir.Node, width: int) -> tuple[ir.Node, ir.Value | None]:
    """Return the node that ends a linear layer, and its bias if it has one."""
    out = node.outputs[0]
    uses = list(out.uses())
    if len(uses) == 1 and not out.is_graph_output() and uses[0].node.op_type == "Add":
        other = uses[0].node.inputs[1 - uses[0].idx]
        if other is not None and other.is_initializer() and _shape(other) == (width,):
            return uses[0].node, other
    return node, None


def _type_as(value: ir.Value, other: ir.Value) -> None:
    """Give a value the type of another, where that is known."""
    if other.dtype is not None:
        value.dtype = other.dtype


def _is_short(value: ir.Value) -> bool:
    """Whether a value is the same for all tokens: a stored number, or one a channel."""
    import onnx_ir as ir

    tensor = ir.convenience.get_const_tensor(value)
    return tensor is not None and len(tensor.shape) < 2


def _treats_rows_alike(node: ir.Node, *, rank: int) -> bool:
    """Whether a node gives for a row of a matrix what it gives for that token."""
    if node.op_type in _POINTWISE:
        return True
    if node.op_type in _ALONG:
        axis = node.attributes.get("axis")
        return (_ALONG[node.op_type] if axis is None else axis.as_int()) in (-1, rank - 1)
    if node.op_type in _REDUCING:
        axes = known(node.inputs[1]) if len(node.inputs) > 1 else None
        keeps = "keepdims" not in node.attributes or node.attributes["keepdims"].as_int() == 1
        return keeps and axes in ([-1], [rank - 1])
    return False
