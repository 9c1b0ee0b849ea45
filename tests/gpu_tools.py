"""What the tests behind the marker `gpu` share.

They are run by hand on a machine that has a GPU:

    CUDA_VISIBLE_DEVICES=0 NVIDIA_TF32_OVERRIDE=0 python -m pytest -m gpu

(without the first, tests/conftest.py hides GPUs from all other tests).
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import pytest
import torch

# Of float32 on a GPU against float32 on a processor: another order of sums, TF32 off.
GPU_FLOAT32 = 1e-5


@pytest.fixture
def cuda() -> Iterator[str]:
    """Return a CUDA device, with TF32 off everywhere in torch; skip where there is none."""
    if not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device; on a machine with one, set CUDA_VISIBLE_DEVICES=0")
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield "cuda:0"
    torch.backends.cudnn.allow_tf32 = before


@pytest.fixture
def onnx_cuda(cuda: str) -> str:
    """Return a CUDA device that ONNX Runtime can use; skip where it cannot."""
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has no CUDA provider; install onnxruntime-gpu in its place")
    return cuda


@pytest.fixture
def onnx_tensorrt(onnx_cuda: str) -> str:
    """Return a CUDA device on which ONNX Runtime can use TensorRT 10; skip where it cannot."""
    from zoo.errors import OptionError
    from zoo.runtime.tensorrt_provider import check_tf32, load_nvinfer

    try:
        check_tf32(tf32=False)
        load_nvinfer()
    except OptionError as error:
        pytest.skip(str(error))
    return onnx_cuda


def need(*modules: str) -> None:
    """Skip the test unless one of some modules is installed."""
    if not any(find_spec(name) for name in modules):
        pytest.skip(f"{modules[0]} is not installed")
