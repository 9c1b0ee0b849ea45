"""Bugs of graphs in low precision: some for the proof of structure, some for emulated rounding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import torch

from tests.mutations.bench import float_outputs
from tests.tiny_rows import tiny_row
from zoo.loading import random_module
from zoo.manifest import Low, PrecisionPlan
from zoo.preprocess import preprocessor_for
from zoo_export import graph
from zoo_export.binding import bind
from zoo_export.lowered import batches
from zoo_export.onnx import export_graph
from zoo_export.parity import Report, default_profile, prepare
from zoo_export.parity.low import fitting_reference, judge_low, low_reference
from zoo_export.parity.reference import Reference
from zoo_export.precision.casts import lower
from zoo_export.precision.plan import NO_TYPE, make_plan
from zoo_export.precision.ranges import Spread, measure_ranges

TEXT, IMAGE, T5 = "all-minilm-l6-v2", "vit-b16", "t5-base-encoder"

Net = Any  # a network of some family
Change = Callable[[Net], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """A float32 graph, and all that judging its low precision takes."""

    path: Path
    reference: Reference
    scopes: Mapping[str, str]
    spreads: Mapping[str, Spread]
    lows: dict[Low, Reference] = field(default_factory=dict)

    def plan(
        self, dtype: Low, *, keep: Sequence[str] = (), found: Sequence[str] = ()
    ) -> PrecisionPlan:
        """Return the right plan."""
        return make_plan(
            graph.read(self.path),
            self.spreads,
            dtype=dtype,
            scopes=self.scopes,
            structure_sha256="",
            keep=keep,
            found=found,
        )

    def lowered(self, plan: PrecisionPlan, path: Path, bug: GraphBug | None = None) -> Path:
        """Write the graph of a plan, with a bug in it or without."""
        model = graph.read(self.path)
        lower(model, plan, self.scopes)
        if bug is not None:
            bug(model)
        graph.write(model, path)
        return path

    def low(self, dtype: Low) -> Reference:
        """Return the same oracle with eager PyTorch of a low precision, run once."""
        if dtype not in self.lows:
            self.lows[dtype] = low_reference(self.reference, dtype)
        return self.lows[dtype]

    def judged(self, plan: PrecisionPlan, path: Path, *, twin: bool = True) -> Report:
        """Judge a graph as `zoo export` does."""
        low = fitting_reference(self.low(plan.dtype), self.reference, path, self.scopes)
        return judge_low(
            low, path, name="onnx", scopes=self.scopes, twin=self.path if twin else None
        )


GraphBug = Callable[[ir.Model], None]
PlanBug = Callable[[PrecisionPlan, ir.Model], PrecisionPlan]


@dataclass(frozen=True, slots=True, kw_only=True)
class LowMutation:
    """A kind of bug.

    Attributes:
        kind: What is wrong, in words.
        rows: Names of the rows that it is tried on.
        graph: What it does to the graph of low precision.
        plan: Or what it does to the plan.
        weights: Of the network, float32 graph and all: what makes the plan matter.
        word: What the structure's verdict has to name.
    """

    kind: str
    rows: tuple[str, ...] = (TEXT, IMAGE)
    graph: GraphBug | None = None
    plan: PlanBug | None = None
    weights: Change | None = None
    word: str = ""


def twin_of(name: str, folder: Path, change: Change | None = None) -> Twin:
    """Return the float32 graph of a tiny row with live weights, changed or not."""
    row = bind(tiny_row(name), default_profile(tiny_row(name)))
    module = random_module(row)
    if change is not None:
        with torch.no_grad():
            change(module)
    outputs = float_outputs(row, module)
    exported = export_graph(row, module, folder / "float32.onnx", outputs=outputs, facts={})
    reference = prepare(
        row,
        module,
        profile=default_profile(row),
        outputs=outputs,
        preprocessor=preprocessor_for(row),
    )
    spreads = measure_ranges(exported.path, batches(reference))
    return Twin(path=exported.path, reference=reference, scopes=exported.scopes, spreads=spreads)


def nodes(model: ir.Model, kind: str) -> list[ir.Node]:
    return [node for node in model.graph if node.op_type == kind]


def weight(model: ir.Model, rank: int) -> ir.Value:
    """Return the largest constant of low precision that has so many axes."""
    found = [
        value
        for value in model.graph.initializers.values()
        if value.dtype in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
        and value.const_value is not None
        and len(value.const_value.shape) == rank
    ]
    return max(found, key=lambda value: value.const_value.size if value.const_value else 0)


def constants(rank: int, change: Callable[[Any], Any]) -> GraphBug:
    """Return a bug that changes the numbers of one constant."""

    def bug(model: ir.Model) -> None:
        value = weight(model, rank)
        assert value.const_value is not None
        numbers = value.const_value.numpy()
        changed = change(numbers.astype(np.float32)).astype(numbers.dtype)
        assert changed.tobytes() != numbers.tobytes()
        value.const_value = ir.Tensor(changed, name=value.name)

    return bug


def one_place(numbers: Any) -> Any:
    """Change one number by as little as the type can hold."""
    numbers.flat[numbers.size // 2] *= 1 + 2.0**-7
    return numbers


def no_small_numbers(numbers: Any) -> Any:
    """Raise small numbers to a least one, as onnxruntime's float16 converter does."""
    return np.where(np.abs(numbers) < 1e-2, np.copysign(1e-2, numbers), numbers)


def attribute(kind: str, name: str, value: ir.Attr) -> GraphBug:
    def bug(model: ir.Model) -> None:
        nodes(model, kind)[1].attributes[name] = value

    return bug


def swapped_inputs(kind: str) -> GraphBug:
    """Return a bug that swaps the two factors of an operator."""

    def bug(model: ir.Model) -> None:
        node = next(n for n in nodes(model, kind) if n.inputs[0] is not n.inputs[1])
        one, other = node.inputs[:2]
        node.replace_input_with(0, other)
        node.replace_input_with(1, one)

    return bug


def lost_sum(model: ir.Model) -> None:
    """Leave one residual sum out."""
    node = [n for n in nodes(model, "Add") if not any(v and v.is_initializer() for v in n.inputs)][
        -1
    ]
    (output,) = node.outputs
    for reader, place in list(output.uses()):
        reader.replace_input_with(place, node.inputs[0])


def swapped_outputs(model: ir.Model) -> None:
    one, other = model.graph.outputs[:2]
    one.name, other.name = other.name, one.name
    model.graph.outputs[0], model.graph.outputs[1] = other, one


def lost_cast(model: ir.Model) -> None:
    """Let an operator read a value in a type that it does not have."""
    node = next(n for n in nodes(model, "Cast") if n.outputs[0].dtype == ir.DataType.FLOAT16)
    for reader, place in list(node.outputs[0].uses()):
        reader.replace_input_with(place, node.inputs[0])


def through_integers(model: ir.Model) -> None:
    """Cut a value's fractions off on the way."""
    node = next(n for n in nodes(model, "Cast") if n.outputs[0].dtype == ir.DataType.FLOAT16)
    (value,) = node.outputs
    readers = list(value.uses())
    down = ir.node("Cast", [value], {"to": int(ir.DataType.INT32)}, name="whole")
    up = ir.node("Cast", down.outputs, {"to": int(ir.DataType.FLOAT16)}, name="half")
    down.outputs[0].name, up.outputs[0].name = "whole", "half"
    model.graph.insert_after(node, [down, up])
    for reader, place in readers:
        reader.replace_input_with(place, up.outputs[0])


def in_low(*kinds: str) -> PlanBug:
    """Return a plan that lets operators of some kinds run in low precision."""

    def bug(plan: PrecisionPlan, model: ir.Model) -> PrecisionPlan:
        names = {node.name for node in model.graph if node.op_type in kinds}
        return replace(
            plan,
            float32={
                reason: tuple(name for name in kept if name not in names)
                for reason, kept in plan.float32.items()
            },
        )

    return bug


def everything_low(plan: PrecisionPlan, model: ir.Model) -> PrecisionPlan:
    """Keep only what does not exist in low precision."""
    return replace(plan, float32={NO_TYPE: plan.float32.get(NO_TYPE, ())})


def large_embeddings(net: Net) -> None:
    """Let what enters the first norm be in the thousands: its squares do not fit into float16."""
    if hasattr(net, "embeddings"):
        for name in ("words", "positions"):
            getattr(net.embeddings, name).weight.mul_(2000 / net.embeddings.words.weight.std())
    else:
        net.positions.mul_(2000 / net.positions.std())


def large_logits(net: Net) -> None:
    """Give all products of queries and keys of the first block a constant that float16 has not.

    It comes from one channel a head, the same for all tokens: softmax takes it out again.
    """
    attention = net.blocks[0].attention
    width = attention.proj.in_features
    depth = width // attention.heads
    for start in range(0, 2 * width, depth):
        attention.qkv.weight[start].zero_()
        attention.qkv.bias[start] = (80_000 * depth**0.5) ** 0.5


def large_products(net: Net) -> None:
    """Let a feed-forward give numbers that float16 has not, as large T5 encoders do."""
    net.blocks[0].mlp.fc2.weight.mul_(3e4)


STRUCTURE: tuple[LowMutation, ...] = (
    LowMutation(kind="a weight off by one place", graph=constants(2, one_place), word="numbers"),
    LowMutation(kind="a bias lost", graph=constants(1, np.zeros_like), word="numbers"),
    LowMutation(kind="small weights raised", graph=constants(2, no_small_numbers), word="numbers"),
    LowMutation(
        kind="a matrix of another commit", graph=constants(2, lambda m: -m), word="numbers"
    ),
    LowMutation(
        kind="norm eps 1e-5 for another",
        graph=attribute("LayerNormalization", "epsilon", ir.AttrFloat32("epsilon", 3e-5)),
        word="epsilon",
    ),
    LowMutation(
        kind="tanh for exact gelu",
        graph=attribute("Gelu", "approximate", ir.AttrString("approximate", "tanh")),
        word="approximate",
    ),
    LowMutation(kind="factors swapped", graph=swapped_inputs("MatMul")),
    LowMutation(kind="a residual sum lost", graph=lost_sum),
    LowMutation(kind="outputs in the wrong order", graph=swapped_outputs),
    LowMutation(kind="a cast lost", graph=lost_cast, word="checker"),
    LowMutation(kind="a value through integers", graph=through_integers),
)

PRECISION: tuple[LowMutation, ...] = (
    LowMutation(
        kind="overflow in a norm",
        weights=large_embeddings,
        plan=in_low("LayerNormalization"),
    ),
    LowMutation(
        kind="overflow of attention's logits",
        weights=large_logits,
        plan=in_low("MatMul", "Add", "Softmax"),
    ),
    LowMutation(kind="everything in low precision", weights=large_embeddings, plan=everything_low),
)
