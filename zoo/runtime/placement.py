"""Which operator of a graph runs where, and what of it is an accident. No torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from zoo.errors import OptionError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

CPU = "CPUExecutionProvider"

# What computes shapes; ONNX Runtime puts it on the processor on purpose, where shapes are needed.
# The CUDA provider has a kernel for each of these in floating point, so one that is on the
# processor works on a shape.
SHAPE_OPERATORS = frozenset([
    "Abs", "Add", "And", "Cast", "Ceil", "Concat", "Constant", "ConstantOfShape", "Div",
    "Equal", "Expand", "Flatten", "Floor", "Gather", "GatherND", "Greater", "GreaterOrEqual",
    "Identity", "If", "Less", "LessOrEqual", "Max", "Min", "Mod", "Mul", "Neg", "Not", "Or",
    "Range", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSum", "Reshape", "ScatterND",
    "Shape", "Size", "Slice", "Split", "Sqrt", "Squeeze", "Sub", "Tile", "Transpose",
    "Unsqueeze", "Where",
])  # fmt: skip

Nodes = Sequence[tuple[str, str]]
"""Provider and operator of each node."""


def nodes_of(session: InferenceSession) -> Nodes | None:
    """Return where each node of a session was put, or None if this ONNX Runtime does not tell."""
    ask = getattr(session, "get_provider_graph_assignment_info", None)
    if ask is None:
        return None
    return [(part.ep_name, node.op_type) for part in ask() for node in part.get_nodes()]


def check_nodes(nodes: Nodes | None, wanted: Sequence[str]) -> None:
    """Refuse a session of which something but shapes runs on the processor.

    Args:
        nodes: Of the session; None where that cannot be known, which passes.
        wanted: Providers that may run nodes; the first must run some.

    Raises:
        OptionError: Names operators and providers.
    """
    if nodes is None:
        return
    if not any(provider == wanted[0] for provider, _ in nodes):
        raise OptionError(f"{wanted[0]} took none of the graph's {len(nodes)} operators.")
    strays = stray_operators(nodes, wanted)
    if strays:
        names = ", ".join(f"{number} {operator}" for operator, number in strays.items())
        raise OptionError(
            f"A part of the graph would not run on {wanted[0]} but on the processor: {names}. "
            "Use device='cpu', or another version of onnxruntime-gpu."
        )


def stray_operators(nodes: Iterable[tuple[str, str]], wanted: Sequence[str]) -> dict[str, int]:
    """Return operators that are on no wanted provider and compute no shape, with their number."""
    return dict(
        Counter(
            operator
            for provider, operator in nodes
            if provider not in wanted and operator not in SHAPE_OPERATORS
        )
    )
