"""Large maps are reduced one axis at a time: the same numbers, as closely as PyTorch's."""

from __future__ import annotations

from collections.abc import Callable

import onnx
import onnx_ir as ir
import pytest
import torch
from torch import Tensor

from tests.test_export_rows import operators, run
from zoo_export.reductions import split_reductions

FIXED, DYNAMIC = "batch, 16, 20, 24", "batch, 16, height, width"


def split(operator: str, axes: list[int], keepdims: int, shape: str) -> onnx.ModelProto:
    """Return a graph of one reduction, taken apart where it should be."""
    model = ir.from_proto(
        onnx.parser.parse_model(f"""
            <ir_version: 10, opset_import: ["" : 22]>
            one (float[{shape}] x) => (float y)
            <int64[{len(axes)}] axes = {{{", ".join(map(str, axes))}}}>
            {{ y = {operator}<keepdims={keepdims}>(x, axes) }}
        """)
    )
    model.graph.outputs[0].shape = None
    split_reductions(model)
    return ir.to_proto(model)


@pytest.mark.parametrize("shape", [FIXED, DYNAMIC])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axes", [[2, 3], [-1, -2], [3, 1], [1, 2, 3]])
@pytest.mark.parametrize(
    ("operator", "reduce"),
    [
        ("ReduceMean", torch.mean),
        ("ReduceSum", torch.sum),
        ("ReduceL2", torch.linalg.vector_norm),
    ],
)
def test_a_large_map_is_reduced_axis_by_axis(
    operator: str, reduce: Callable[..., Tensor], axes: list[int], keepdims: int, shape: str
) -> None:
    x = torch.randn(2, 16, 20, 24, generator=torch.Generator().manual_seed(0))

    graph = split(operator, axes, keepdims, shape)

    assert operators(graph) == {operator: len(axes)}
    torch.testing.assert_close(run(graph, x), reduce(x, dim=axes, keepdim=bool(keepdims)))


@pytest.mark.parametrize(
    ("operator", "axes", "shape"),
    [
        ("ReduceMean", [2, 3], "1, 5, 7, 7"),
        ("ReduceMean", [1], FIXED),
        ("ReduceMax", [2, 3], FIXED),
    ],
)
def test_what_is_small_or_one_axis_or_no_sum_stays(
    operator: str, axes: list[int], shape: str
) -> None:
    assert operators(split(operator, axes, 1, shape)) == {operator: 1}


def test_the_mean_of_a_flat_map_is_as_close_as_pytorchs() -> None:
    colours = torch.randn(2, 64, 1, 1, generator=torch.Generator().manual_seed(0))
    flat = colours.expand(2, 64, 112, 112).contiguous()
    exact = flat.double().mean((2, 3))

    found = run(split("ReduceMean", [2, 3], 0, "batch, 64, 112, 112"), flat)

    # reduced at once, it is 60 times as far off
    assert (found - exact).norm() < 4 * (flat.mean((2, 3)) - exact).norm()
