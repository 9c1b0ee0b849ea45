"""Group norms in graphs: what they compute, and how closely."""

from __future__ import annotations

from typing import Any

import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.reference import FLOAT64, relative_error
from zoo.nn.live import make_live
from zoo_export import calls
from zoo_export.calls import PlainCalls
from zoo_export.norms import group_norm
from zoo_export.onnx import quiet
from zoo_export.provenance import OPSET

SHAPE = (2, 64, 96, 96)
GROUPS = 4


def noise(shape: tuple[int, ...] = SHAPE, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).to(
        dtype
    )


def norm() -> nn.GroupNorm:
    part = nn.GroupNorm(GROUPS, SHAPE[1], eps=1e-6)
    make_live(part)
    return part


def through_onnx_runtime(module: nn.Module, x: Tensor, path: str, *, plain: bool) -> Tensor:
    def export() -> None:
        with quiet(), torch.no_grad():
            torch.onnx.export(module, (x,), path, dynamo=True, opset_version=OPSET, verbose=False)

    if plain:
        with PlainCalls():
            export()
    else:
        export()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    return torch.from_numpy(found)


@pytest.mark.parametrize("shape", [(3, 8), (3, 8, 7), (3, 8, 5, 6), (3, 8, 4, 5, 6)])
@pytest.mark.parametrize("affine", [True, False])
@torch.no_grad()
def test_it_is_torchs_group_norm_in_any_number_of_axes(
    shape: tuple[int, ...], affine: bool
) -> None:
    part = nn.GroupNorm(2, 8, affine=affine).double()
    make_live(part)
    x = noise(shape)

    found = group_norm(x, 2, part.weight, part.bias, part.eps)

    assert relative_error(found, part(x)) <= FLOAT64


@torch.no_grad()
def test_it_takes_the_place_of_all_group_norms_and_of_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Own(nn.GroupNorm):  # as some libraries have it, with an activation in one
        def forward(self, x: Tensor) -> Tensor:
            return F.relu(F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps))

    net = nn.Sequential(nn.Conv2d(8, 8, 1), Own(2, 8), nn.GroupNorm(4, 8)).double()
    make_live(net)
    x = noise((2, 8, 5, 6))
    groups_seen: list[int] = []

    def counted(x: Tensor, groups: int, **rest: Any) -> Tensor:
        groups_seen.append(groups)
        return group_norm(x, groups, **rest)

    monkeypatch.setitem(calls.FORMS, F.group_norm, counted)
    with PlainCalls():
        found = net(x)

    assert groups_seen == [2, 4]
    assert relative_error(found, net(x)) <= FLOAT64


@pytest.mark.parametrize(
    "scene",
    [
        noise(dtype=torch.float32),
        noise(dtype=torch.float32) + 10,  # large mean, small deviation
        torch.full(SHAPE, 7.3),  # one value: what is left is rounding
    ],
    ids=["noise", "far from zero", "one value"],
)
def test_onnx_runtime_computes_it_as_closely_as_torch(
    scene: Tensor, tmp_path_factory: pytest.TempPathFactory
) -> None:
    part = norm()
    path = str(tmp_path_factory.mktemp("graph") / "model.onnx")
    with torch.no_grad():
        exact = norm().double()(scene.double())
        torchs = relative_error(part(scene), exact)

        found = through_onnx_runtime(part, scene, path, plain=True)

    assert relative_error(found, exact) <= 2 * torchs + 1e-7


def test_the_exporters_own_form_is_why(tmp_path_factory: pytest.TempPathFactory) -> None:
    # if this fails, a newer runtime adds better, and the exporter's form may be taken again
    part, scene = norm(), noise(dtype=torch.float32) + 10
    path = str(tmp_path_factory.mktemp("graph") / "model.onnx")
    with torch.no_grad():
        exact = norm().double()(scene.double())

        found = through_onnx_runtime(part, scene, path, plain=False)

        assert relative_error(found, exact) > 4 * relative_error(part(scene), exact)
