"""What kinds of operators there are, as far as precision is concerned."""

from __future__ import annotations

from typing import Any

import onnx
import onnx_ir as ir

# They multiply and add: what low precision is for. Hardware sums in float32.
PRODUCTS = frozenset({"MatMul", "Gemm", "Conv", "ConvTranspose"})

# They hand numbers on, changed in nothing but place or sign; rounding before or after is the same.
MOVERS = frozenset({
    "Abs", "Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "GatherElements", "GatherND",
    "Identity", "MaxPool", "Neg", "Pad", "Relu", "Reshape", "Slice", "SpaceToDepth", "Split",
    "Squeeze", "Tile", "Transpose", "Trilu", "Unsqueeze", "Where",
})  # fmt: skip

# They sum many numbers, or make small differences large: norms, pools, softmax and their parts.
SENSITIVE = frozenset({
    "AveragePool", "BatchNormalization", "CumSum", "Einsum", "Exp", "GlobalAveragePool",
    "GlobalLpPool", "GroupNormalization", "InstanceNormalization", "LayerNormalization", "Log",
    "LogSoftmax", "LpNormalization", "LpPool", "Pow", "RMSNormalization", "Reciprocal", "ReduceL1",
    "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMean", "ReduceProd", "ReduceSum",
    "ReduceSumSquare", "Resize", "Softmax", "Sqrt",
})  # fmt: skip

# They make numbers of none, in the type that an attribute of theirs says.
MAKERS = frozenset({"ConstantOfShape", "EyeLike", "Multinomial", "RandomNormal", "RandomUniform"})

LOW = frozenset({ir.DataType.FLOAT16, ir.DataType.BFLOAT16})
FLOATS = LOW | {ir.DataType.FLOAT}


def is_float(value: ir.Value | None) -> bool:
    """Whether a value is of a floating-point type that precision is about."""
    return value is not None and value.dtype in FLOATS


def is_mover(node: ir.Node) -> bool:
    """Whether an operator hands its numbers on, rounded or not."""
    return node.op_type in MOVERS or makes_floats(node)


def makes_floats(node: ir.Node) -> bool:
    """Whether an operator is a cast of whole numbers or truth values."""
    return node.op_type == "Cast" and is_float(node.outputs[0]) and not is_float(node.inputs[0])


def floats_in(node: ir.Node) -> list[ir.Value]:
    """Return the floating-point inputs of an operator that follow its precision."""
    return [value for place, value in enumerate(node.inputs)
            if value is not None and is_float(value) and not is_pinned(node, place)]  # fmt: skip


def floats_out(node: ir.Node) -> list[ir.Value]:
    """Return the floating-point outputs of an operator."""
    return [value for value in node.outputs if is_float(value)]


def has_precision(node: ir.Node) -> bool:
    """Whether an operator computes in some precision; the shape of a value has none."""
    if node.op_type in ("Shape", "Size") or (node.op_type == "Cast" and not floats_out(node)):
        return False
    return bool(floats_in(node) or floats_out(node))


def is_pinned(node: ir.Node, place: int) -> bool:
    """Whether an input is float32 whatever the precision, such as the scales of Resize."""
    formal = _formal(node, place)
    return formal is not None and formal.type_str == "tensor(float)"


def takes(node: ir.Node, dtype: ir.DataType) -> bool:
    """Whether an operator exists in a type."""
    schema = _schema(node)
    if schema is None or node.op_type in MAKERS:
        return False
    wanted = f"tensor({dtype.name.lower()})"
    allowed = {c.type_param_str: set(c.allowed_type_strs) for c in schema.type_constraints}
    formals = [_formal(node, place) for place, value in enumerate(node.inputs)
               if is_float(value) and not is_pinned(node, place)]  # fmt: skip
    formals += [schema.outputs[min(place, len(schema.outputs) - 1)]
                for place, value in enumerate(node.outputs) if is_float(value)]  # fmt: skip
    return all(
        formal is not None and wanted in allowed.get(formal.type_str, {formal.type_str})
        for formal in formals
    )


def constant(value: ir.Value | None) -> ir.TensorProtocol | None:
    """Return what an initialiser, or a Constant operator, holds."""
    if value is None:
        return None
    producer = value.producer()
    if producer is not None and producer.op_type == "Constant":
        attribute = producer.attributes.get("value")
        return None if attribute is None else attribute.as_tensor()
    return value.const_value if producer is None else None


def _schema(node: ir.Node) -> Any:  # noqa: ANN401  onnx's schemas have no types
    version = node.version or node.graph.opset_imports.get(node.domain) if node.graph else None
    try:
        return onnx.defs.get_schema(node.op_type, version or onnx.defs.onnx_opset_version(),
                                    node.domain)  # fmt: skip
    except onnx.defs.SchemaError:
        return None


def _formal(node: ir.Node, place: int) -> Any:  # noqa: ANN401
    schema = _schema(node)
    if schema is None or not schema.inputs:
        return None
    return schema.inputs[min(place, len(schema.inputs) - 1)]
