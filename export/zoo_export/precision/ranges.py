"""What values a graph holds on real inputs: how large, and how small on the whole.

Every value is reduced to four numbers inside the graph, so that nothing large is kept.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from zoo.preprocess import Array
from zoo.runtime.onnx import open_session
from zoo_export.graph import read, write
from zoo_export.precision.operators import is_float

# Of a value: its largest and smallest number, the sum of its squares, how many they are.
_REDUCTIONS = ("ReduceMax", "ReduceMin", "ReduceSumSquare", "Size")
_SIGN = ":"  # between a value's name and the reduction; no exporter uses it


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The numbers that a value took.

    Attributes:
        largest: Absolute number.
        size: Largest root mean square, over batches.
    """

    largest: float
    size: float

    def joined(self, other: Spread) -> Spread:
        """Return the spread of both."""
        return Spread(largest=max(self.largest, other.largest), size=max(self.size, other.size))


def measure_ranges(graph: Path, batches: Iterable[Mapping[str, Array]]) -> dict[str, Spread]:
    """Return the spread of every floating-point value that is computed, by its name.

    Args:
        graph: In float32.
        batches: The graph's inputs, a batch at a time.
    """
    model = read(graph)
    names = _reduce_all(model)
    spreads: dict[str, Spread] = {}
    with tempfile.TemporaryDirectory(dir=graph.parent) as folder:
        path = Path(folder) / "ranges.onnx"
        write(model, path)
        session = open_session(path)
        wanted = [name + _SIGN + reduction for name in names for reduction in _REDUCTIONS]
        inputs = {value.name for value in session.get_inputs()}
        for batch in batches:
            feeds = {name: array for name, array in batch.items() if name in inputs}
            found = [float(value) for value in session.run(wanted, feeds)]
            for place, name in enumerate(names):
                spread = _spread(*found[place * 4 : place * 4 + 4])
                spreads[name] = spread.joined(spreads.get(name, spread))
    return spreads


def _reduce_all(model: ir.Model) -> list[str]:
    """Add reductions of all values as further outputs; return the values' names."""
    values = [value for value in model.graph.inputs if is_float(value)]
    values += [value for node in model.graph for value in node.outputs if is_float(value)]
    names = []
    for value in values:
        assert value.name is not None, "the exporter has named all values"
        names.append(value.name)
        producer = value.producer()
        reductions = []
        for kind in _REDUCTIONS:
            attributes = {} if kind == "Size" else {"keepdims": 0}
            node = ir.node(kind, [value], attributes, name=f"{kind} of {value.name}")
            (output,) = node.outputs
            output.name = value.name + _SIGN + kind
            output.dtype = ir.DataType.INT64 if kind == "Size" else ir.DataType.FLOAT
            output.shape = ir.Shape([])
            reductions.append(node)
            model.graph.outputs.append(output)
        if producer is None:
            model.graph.insert_before(model.graph[0], reductions)
        else:
            model.graph.insert_after(producer, reductions)
    return names


def _spread(most: float, least: float, squares: float, count: float) -> Spread:
    largest = max(abs(most), abs(least))
    if math.isnan(most) or math.isnan(least):
        largest = math.inf
    return Spread(largest=largest, size=math.sqrt(squares / count) if count else 0.0)
