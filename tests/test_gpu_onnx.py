"""ONNX Runtime on a GPU: the same vectors, on the device until they are asked for."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
import torch

import zoo
from tests.bundle_tools import BundleOf, bundle_of as bundle_of, items_of
from tests.gpu_tools import (
    GPU_FLOAT32,
    cuda as cuda,
    onnx_cuda as onnx_cuda,
    onnx_tensorrt as onnx_tensorrt,
)
from tests.reference import relative_error
from tests.tiny_rows import tiny_row
from zoo.runtime.onnx import OnnxBackend
from zoo.verify import verify

pytestmark = pytest.mark.gpu

ROWS = ["all-minilm-l6-v2", "clip-b16-text", "dinov2-b14-reg", "vit-b16", "resnet-18", "hog"]


@pytest.mark.parametrize("name", ROWS)
def test_a_bundle_is_verified_and_gives_the_vectors_of_the_processor(
    name: str, onnx_cuda: str, bundle_of: BundleOf
) -> None:
    items = items_of(tiny_row(name), 3)
    assert all(check.passed for check in verify(bundle_of(name), device=onnx_cuda))
    found = zoo.open(bundle_of(name), device=onnx_cuda).encode(items)
    assert relative_error(found, zoo.open(bundle_of(name)).encode(items)) < GPU_FLOAT32


def test_outputs_become_tensors_without_leaving_the_gpu(
    onnx_cuda: str, bundle_of: BundleOf
) -> None:
    encoder = zoo.open(bundle_of("all-minilm-l6-v2"), device=onnx_cuda)
    record = encoder(encoder.preprocess(["one", "two and more"]))
    pooled = torch.utils.dlpack.from_dlpack(record.pooled)
    assert pooled.is_cuda
    assert pooled.data_ptr() == record.pooled.data_ptr()  # type: ignore[union-attr]
    tensors = encoder.encode(["one", "two and more"], convert_to_tensor=True)
    assert tensors.is_cuda
    np.testing.assert_array_equal(tensors.cpu().numpy(), encoder.encode(["one", "two and more"]))
    for tokens in encoder.encode(["one", "two"], output="tokens", convert_to_tensor=True):
        assert tokens.is_cuda


def test_inputs_that_torch_has_not_finished_are_waited_for(
    onnx_cuda: str, bundle_of: BundleOf
) -> None:
    encoder = zoo.open(bundle_of("vit-b16"), device=onnx_cuda)
    batch = encoder.preprocess(items_of(tiny_row("vit-b16"), 3))
    wanted = cast(OnnxBackend, encoder.backend).arrays(batch)["pooled"]
    stream = torch.cuda.Stream(onnx_cuda)
    for _ in range(20):
        with torch.cuda.stream(stream):
            work = torch.randn(4096, 4096, device=onnx_cuda)
            delay = (work @ work @ work).sum() * 0  # the input below is ready only after this
            pixels = torch.from_numpy(batch["pixels"]).to(onnx_cuda, non_blocking=True) + delay
            record = encoder({"pixels": pixels})
        found = encoder.backend.numpy(record.pooled)
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_tf32_is_off_unless_asked_for(onnx_cuda: str, bundle_of: BundleOf) -> None:
    if torch.cuda.get_device_capability(onnx_cuda) < (8, 0):
        pytest.skip("GPUs before Ampere have no TF32")
    items = items_of(tiny_row("vit-b16"), 3)
    exact = zoo.open(bundle_of("vit-b16"), device=onnx_cuda).encode(items)
    rounded = zoo.open(bundle_of("vit-b16"), device=onnx_cuda, tf32=True).encode(items)
    assert relative_error(rounded, exact) > GPU_FLOAT32


def test_a_bundle_is_verified_on_tensorrt_inside_onnx_runtime(
    onnx_tensorrt: str, bundle_of: BundleOf
) -> None:
    for name in ("all-minilm-l6-v2", "vit-b16"):
        checks = verify(bundle_of(name), device=onnx_tensorrt, runtime="onnx-tensorrt")
        assert all(check.passed for check in checks)
