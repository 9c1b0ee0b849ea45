"""Engines of TensorRT and TensorRT-RTX on the GPU that they were built for."""

from __future__ import annotations

from pathlib import Path

import pytest

import zoo
from tests.bundle_tools import BundleOf, bundle_of as bundle_of, items_of
from tests.gpu_tools import GPU_FLOAT32, cuda as cuda, need
from tests.reference import relative_error
from tests.tiny_rows import tiny_row
from zoo.bundle import open_bundle
from zoo.encoder import Encoder
from zoo.runtime.rebuild import add_engine
from zoo.targets import EngineOptions, target_of
from zoo.verify import verify

pytestmark = pytest.mark.gpu

PACKAGES = {
    "tensorrt": ("tensorrt", "tensorrt_bindings"),
    "tensorrt-rtx": ("tensorrt_rtx", "tensorrt_rtx_bindings"),
}


@pytest.mark.parametrize("name", ["all-minilm-l6-v2", "vit-b16", "resnet-18"])
@pytest.mark.parametrize("target", PACKAGES)
def test_an_engine_is_built_verified_and_run(
    target: str, name: str, cuda: str, bundle_of: BundleOf, tmp_path: Path
) -> None:
    need(*PACKAGES[target])
    place = tmp_path / "bundle"
    options = EngineOptions(here=True, progress=False)
    add_engine(open_bundle(bundle_of(name)), place, target_of(target), options)

    assert all(check.passed for check in verify(place, device=cuda))
    items = items_of(tiny_row(name), 3)
    found = zoo.open(place, device=cuda).encode(items)
    assert relative_error(found, zoo.open(place, runtime="onnx").encode(items)) < GPU_FLOAT32


@pytest.mark.parametrize("target", PACKAGES)
def test_loading_with_an_engine_is_one_call(target: str, cuda: str) -> None:
    need(*PACKAGES[target])
    row = tiny_row("simcse-unsup-bert-base")
    encoder = zoo.load(row, backend=target, device=cuda, weights="random")
    assert isinstance(encoder, Encoder)
    eager = zoo.load(row, weights="random")
    texts = items_of(row, 5)
    assert relative_error(encoder.encode(texts), eager.encode(texts)) < GPU_FLOAT32  # type: ignore[union-attr]  # one row, one encoder
