"""Linear layers become Gemm over rows; what stands between them follows, and nothing else."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from tests.bundle_tools import BundleOf, bundle_of as bundle_of
from zoo.bundle import MODEL
from zoo_export.onnx import quiet
from zoo_export.optimise import optimise


def optimised(module: nn.Module, example: Tensor, dynamic: dict[int, object]) -> onnx.ModelProto:
    """Export and optimise a module of one input."""
    with quiet(), torch.no_grad():
        program = torch.onnx.export(
            module.eval(),
            (example,),
            dynamo=True,
            optimize=False,
            input_names=["x"],
            output_names=["y"],
            dynamic_shapes=({axis: torch.export.Dim(str(n)) for axis, n in dynamic.items()},),
            verbose=False,
        )
    assert program is not None
    optimise(program.model)
    return ir.to_proto(program.model)


def operators(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def run(model: onnx.ModelProto, x: Tensor) -> Tensor:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (found,) = session.run(None, {"x": x.numpy()})
    return torch.from_numpy(found)


class Feed(nn.Module):
    """A norm, two linear layers and a residual sum."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(6)
        self.up = nn.Linear(6, 10)
        self.down = nn.Linear(10, 6, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.down(torch.relu(self.up(self.norm(x))))
        return out


@pytest.mark.parametrize(
    "shape", [(2, 7, 6), (2, 3, 7, 6), (7, 6)], ids=["tokens", "windows", "vectors"]
)
def test_layers_in_a_row_are_rows_from_end_to_end(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(Feed(), Feed(), nn.LayerNorm(6))
    dynamic: dict[int, object] = dict(enumerate(("batch", "height", "width")[: len(shape) - 1]))
    model = optimised(module, torch.randn(shape), dynamic)

    found = operators(model)
    assert found["Gemm"] == 4
    assert found["MatMul"] == found["Transpose"] == 0
    # into rows once for the norm's output and once for the sum's other side, and back at the end
    assert found["Reshape"] == (0 if len(shape) == 2 else 3)
    for sizes in (shape, (*(5, 4, 9)[: len(shape) - 1], 6)):
        x = torch.randn(sizes)
        torch.testing.assert_close(run(model, x), module(x))


def test_weights_stay_as_the_checkpoint_has_them() -> None:
    module = nn.Sequential(nn.Linear(6, 10), nn.GELU(), nn.Linear(10, 3))
    model = optimised(module, torch.randn(2, 7, 6), {0: "batch", 1: "length"})

    stored = {value.name: onnx.numpy_helper.to_array(value) for value in model.graph.initializer}
    for name, parameter in module.named_parameters():
        np.testing.assert_array_equal(stored[name], parameter.detach().numpy())
    floats = [array for array in stored.values() if array.dtype == np.float32]
    assert len(floats) == len(list(module.parameters()))


class Gated(nn.Module):
    """A gated half, and a root mean square that is written out."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(6, 20)
        self.down = nn.Linear(10, 6)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.up(x).chunk(2, dim=-1)
        x = self.down(torch.nn.functional.silu(gate) * value)
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)


def test_gates_and_written_out_norms_work_on_rows() -> None:
    torch.manual_seed(0)
    module = Gated()
    model = optimised(module, torch.randn(2, 7, 6), {0: "batch", 1: "length"})

    assert operators(model)["Reshape"] == 2
    x = torch.randn(3, 5, 6)
    torch.testing.assert_close(run(model, x), module(x))


class Mixing(nn.Module):
    """What looks at more than one token between two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.second = nn.Linear(6, 6)
        self.places = nn.Parameter(torch.randn(7, 6))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x) + self.places
        x = x.softmax(dim=1) + x.mean(dim=1, keepdim=True) + x.cumsum(dim=1)
        out: Tensor = self.second(x)
        return out


def test_what_looks_at_several_tokens_sees_them_where_they_were() -> None:
    torch.manual_seed(0)
    module = Mixing()
    model = optimised(module, torch.randn(2, 7, 6), {0: "batch"})

    assert operators(model)["Gemm"] == 2
    x = torch.randn(3, 7, 6)
    torch.testing.assert_close(run(model, x), module(x))


class Tied(nn.Module):
    """A weight that two layers share, once as it is and once transposed; a bias used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.linear(x)
        x = x @ self.linear.weight + self.linear.bias
        return x + x @ x.transpose(1, 2) @ x


def test_shared_weights_and_products_of_activations_stay_right() -> None:
    torch.manual_seed(0)
    module = Tied()
    model = optimised(module, torch.randn(2, 7, 6), {0: "batch", 1: "length"})

    found = operators(model)
    assert (found["Gemm"], found["MatMul"]) == (2, 2)
    x = torch.randn(3, 5, 6)
    torch.testing.assert_close(run(model, x), module(x))


def test_a_text_encoder_needs_no_product_with_a_weight_but_gemm(bundle_of: BundleOf) -> None:
    graph = onnx.load(bundle_of("all-minilm-l6-v2") / MODEL).graph
    weights = {value.name for value in graph.initializer}
    layers = 2
    assert sum(node.op_type == "Gemm" for node in graph.node) == 6 * layers
    assert not any(
        name in weights for node in graph.node if node.op_type == "MatMul" for name in node.input
    )


def test_sizes_on_the_way_back_are_looked_up_once(bundle_of: BundleOf) -> None:
    graph = onnx.load(bundle_of("all-minilm-l6-v2") / MODEL).graph
    found = Counter(node.op_type for node in graph.node)
    assert found["Shape"] <= 2
    assert found["Concat"] <= 3
