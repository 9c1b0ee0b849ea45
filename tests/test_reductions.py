"""Large maps are reduced a piece at a time: the same numbers, as closely as PyTorch's."""

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


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize(
    ("axes", "shape"), [([1], "batch, 400, 3"), ([2], "batch, 2, 600"), ([1, 2], "batch, 300, 4")]
)
def test_a_long_axis_is_reduced_as_two(axes: list[int], keepdims: int, shape: str) -> None:
    x = torch.randn(2, *map(int, shape.split(", ")[1:]))

    graph = split("ReduceMean", axes, keepdims, shape)

    assert operators(graph) == {"ReduceMean": len(axes) + 1, "Reshape": 1}
    torch.testing.assert_close(run(graph, x), x.mean(axes, keepdim=bool(keepdims)))


@pytest.mark.parametrize(
    ("operator", "axes", "shape"),
    [
        ("ReduceMean", [2, 3], "1, 5, 7, 7"),
        ("ReduceMean", [1], FIXED),
        ("ReduceMean", [1], "batch, 257, 3"),  # a prime
        ("ReduceMean", [1], "batch, length, 3"),
        ("ReduceMax", [2, 3], FIXED),
    ],
)
def test_what_is_short_or_cannot_be_halved_or_is_no_sum_stays(
    operator: str, axes: list[int], shape: str
) -> None:
    assert operators(split(operator, axes, 1, shape)) == {operator: 1}


@pytest.mark.parametrize(
    ("axes", "shape"), [([2, 3], (2, 64, 112, 112)), ([1], (2, 112 * 112, 64))]
)
def test_the_mean_of_a_flat_map_is_as_close_as_pytorchs(
    axes: list[int], shape: tuple[int, ...]
) -> None:
    one = [1 if axis in axes else size for axis, size in enumerate(shape)]
    colours = torch.randn(one, generator=torch.Generator().manual_seed(0))
    flat = colours.expand(shape).contiguous()
    exact = flat.double().mean(axes)

    found = run(split("ReduceMean", axes, 0, ", ".join(map(str, shape))), flat)

    # reduced at once, it is 20 times as far off, or more
    assert (found - exact).norm() < 4 * (flat.mean(axes) - exact).norm()
