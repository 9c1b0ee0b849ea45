"""Lists of whole numbers in graphs: sizes, axes. They are constants, read and written here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx_ir as ir


def known(value: ir.Value | None) -> list[int] | None:
    """Return the numbers of a stored list, or None if it is none."""
    import onnx_ir as ir

    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return None if tensor is None else list(tensor.numpy().flatten().tolist())


def numbers(graph: ir.Graph, values: Sequence[int]) -> ir.Value:
    """Return a list as a constant of a graph, the same one each time it is asked for."""
    import onnx_ir as ir

    name = f"numbers_{'_'.join(map(str, values))}"
    if name not in graph.initializers:
        tensor = ir.tensor(np.array(values, np.int64), name=name)
        graph.register_initializer(ir.val(name, const_value=tensor))
    return graph.initializers[name]
