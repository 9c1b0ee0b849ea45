"""ONNX Runtime's own TensorRT provider: its options, and the library that it needs. No torch."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from zoo.errors import OptionError
from zoo.spec import Dim, TensorSpec

TENSORRT = "TensorrtExecutionProvider"

# What the provider of onnxruntime-gpu 1.31 is linked with, whatever TensorRT is installed.
MAJOR = 10
LIBRARIES = (f"libnvinfer.so.{MAJOR}", f"libnvonnxparser.so.{MAJOR}")
PIP_LINE = f'python -m pip install "tensorrt-cu13<{MAJOR + 1}"'

OVERRIDE = "NVIDIA_TF32_OVERRIDE"

_KEY_DIGITS = 32


def provider_options(
    inputs: Sequence[TensorSpec], fixed: Mapping[str, int], *, key: str, folder: Path
) -> dict[str, str]:
    """Return options that build one engine for the proven shapes and find it again.

    The provider names engines after the graph's structure: those of two checkpoints would be taken
    for one another (onnxruntime#32254). With the content's hash in the name they are not.

    Args:
        inputs: Of the graph; the range of a Dim is what was proven.
        fixed: Axis to its only size.
        key: Hash of the graph and its weights.
        folder: Where engines and timings are kept.
    """
    options = {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(folder),
        "trt_engine_cache_prefix": key[:_KEY_DIGITS],
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(folder),
    }
    dynamic = [
        tensor
        for tensor in inputs
        if any(isinstance(size, Dim) and size.name not in fixed for size in tensor.shape)
    ]
    bounds = {"min": "min", "opt": "typical", "max": "max"} if dynamic else {}
    for name, bound in bounds.items():
        options[f"trt_profile_{name}_shapes"] = ",".join(
            f"{tensor.name}:{'x'.join(str(_size(axis, bound, fixed)) for axis in tensor.shape)}"
            for tensor in dynamic
        )
    return options


def check_tf32(*, tf32: bool, environment: Mapping[str, str] = os.environ) -> None:
    """Refuse TF32 that nobody asked for: the provider has no option for it.

    Raises:
        OptionError: Says which variable to set; the driver reads it once, so it is not set here.
    """
    if not tf32 and environment.get(OVERRIDE) != "0":
        raise OptionError(
            f"TensorRT inside ONNX Runtime rounds float32 to TF32 unless {OVERRIDE}=0 is set "
            "before Python starts. Set it, or ask for it with tf32=True."
        )


def load_nvinfer(load: Callable[[str], object] | None = None) -> None:
    """Load TensorRT's libraries, from pip's package or the loader's own places.

    Args:
        load: Loads a library by path or name, OSError if it cannot; by default into this process.

    Raises:
        OptionError: They are not here; says what is, and what to install.
    """
    load = load or (lambda name: ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL))
    for library in LIBRARIES:
        try:
            load(_packaged(library) or library)
        except OSError as error:
            raise OptionError(_missing(library, _installed())) from error


def _size(axis: int | Dim, bound: str, fixed: Mapping[str, int]) -> int:
    if isinstance(axis, int):
        return axis
    return fixed.get(axis.name) or int(getattr(axis, bound))


def _packaged(library: str) -> str | None:
    """Return the path of a library in NVIDIA's package, if it is there."""
    spec = find_spec("tensorrt_libs")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(folder, library)).is_file():
            return str(path)
    return None


def _installed() -> str | None:
    for name in ("tensorrt", "tensorrt-cu13", "tensorrt-cu12"):
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            continue
    return None


def _missing(library: str, installed: str | None) -> str:
    here = f"{installed} is installed and does not bring it" if installed else "it is not here"
    return (
        f"ONNX Runtime's TensorRT provider needs {library}, and {here}. Install TensorRT {MAJOR}: "
        f"{PIP_LINE}"
    )
