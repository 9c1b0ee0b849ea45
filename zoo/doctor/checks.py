"""The usual traps. Each check looks at a record and at nothing else, and says what to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from zoo.doctor.facts import Installation
from zoo.errors import BundleError
from zoo.machine import GpuState
from zoo.manifest import Engine
from zoo.runtime import tensorrt_provider
from zoo.runtime.engines import Gpu, mismatch
from zoo.targets import TENSORRT, TENSORRT_RTX

# Builds of ONNX Runtime, which all install one folder.
ONNXRUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino",
                "onnxruntime-qnn", "onnxruntime-rocm")  # fmt: skip

# CUDA's major version to the least series of NVIDIA's driver for Linux.
LEAST_DRIVER = {12: 525, 13: 580}

_TENSORRT = ("tensorrt", "tensorrt-cu12", "tensorrt-cu13")
_RTX = ("tensorrt-rtx", "tensorrt-rtx-cu12", "tensorrt-rtx-cu13", "tensorrt-rtx-cu12-bindings",
        "tensorrt-rtx-cu13-bindings")  # fmt: skip
_PACKAGES = {TENSORRT: _TENSORRT, TENSORRT_RTX: _RTX}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that a check found.

    Attributes:
        text: What is so, and what to do.
        problem: Whether something that is installed will not work; else it is good to know.
    """

    text: str
    problem: bool = True


def examine(here: Installation) -> list[Finding]:
    """Return what all checks find."""
    return [finding for check in CHECKS for finding in check(here)]


def one_folder(here: Installation) -> list[Finding]:
    """Two builds of ONNX Runtime overwrite one another."""
    there = [name for name in ONNXRUNTIMES if name in here.packages]
    if len(there) < 2:
        return []
    names = " ".join(there)
    return [Finding(text=(
        f"{' and '.join(there)} install one folder and overwrite one another's files; a GPU is "
        f"then not found. Uninstall all: python -m pip uninstall -y {names}; then install one."
    ))]  # fmt: skip


def tensorrt_of_onnxruntime(here: Installation) -> list[Finding]:
    """ONNX Runtime's TensorRT provider is linked with TensorRT 10."""
    version = _version(here, _TENSORRT)
    if "onnxruntime-gpu" not in here.packages or version is None:
        return []
    major = _major(version)
    if major == tensorrt_provider.MAJOR:
        return []
    return [Finding(problem=False, text=(
        f"ONNX Runtime's TensorRT provider (runtime='onnx-tensorrt') needs libnvinfer.so."
        f"{tensorrt_provider.MAJOR}; TensorRT {version} brings libnvinfer.so.{major}. Engines of "
        f"`zoo export --to tensorrt` do not need it. For the provider: {tensorrt_provider.PIP_LINE}"
    ))]  # fmt: skip


def cuda_majors(here: Installation) -> list[Finding]:
    """Packages for different major versions of CUDA do not share a process."""
    wanted = cuda_wanted(here)
    if len({*wanted.values()}) < 2:
        return []
    each = ", ".join(f"{name} for CUDA {major}" for name, major in wanted.items())
    return [Finding(problem=here.driver_cuda is not None, text=(
        f"Packages are built for different versions of CUDA: {each}. In one process the second "
        "finds the libraries of the first, or none. Install builds for one version."
    ))]  # fmt: skip


def driver_too_old(here: Installation) -> list[Finding]:
    """A driver runs what was built for its own major version of CUDA, or an older one."""
    if here.driver_cuda is None:
        return []
    takes = here.driver_cuda // 1000
    found = []
    for name, major in cuda_wanted(here).items():
        if major > takes:
            least = LEAST_DRIVER.get(major)
            newer = f"{least} or newer" if least else "a newer one"
            have = f" {here.gpus[0].driver}" if here.gpus else ""
            found.append(Finding(text=(
                f"The driver{have} takes CUDA up to {takes}.{here.driver_cuda % 1000 // 10}; "
                f"{name} is built for CUDA {major}. Install driver {newer}, or a build of {name} "
                f"for CUDA {takes}."
            )))  # fmt: skip
    return found


def no_driver(here: Installation) -> list[Finding]:
    """Packages for a GPU on a machine without one run on the processor, or not at all.

    TensorRT-RTX is not among them: it builds engines without a GPU.
    """
    wanted = cuda_wanted(here).keys() - {TENSORRT_RTX}
    if here.driver_cuda is not None or not wanted:
        return []
    return [Finding(problem=False, text=(
        f"There is no NVIDIA driver here: {', '.join(sorted(wanted))} cannot use a GPU. In a "
        "container, start it with GPUs (docker run --gpus all)."
    ))]  # fmt: skip


def engines(here: Installation) -> list[Finding]:
    """An engine is for some GPUs and one version of its runtime."""
    found = []
    for one in here.engines:
        reason = _obstacle(here, one.engine)
        if reason is not None:
            found.append(Finding(problem=one.asked, text=(
                f"The engine in {one.path} does not run here. {reason} Its graph runs with "
                "zoo.open(path, runtime='onnx')."
            )))  # fmt: skip
    return found


CHECKS: tuple[Callable[[Installation], list[Finding]], ...] = (
    one_folder,
    tensorrt_of_onnxruntime,
    cuda_majors,
    driver_too_old,
    no_driver,
    engines,
)


def cuda_wanted(here: Installation) -> dict[str, int]:
    """Return the packages that are built for a GPU, each with CUDA's major version."""
    wanted = {}
    for name, version in (("torch", here.torch_cuda), ("onnxruntime-gpu", here.onnxruntime_cuda)):
        if version is not None:
            wanted[name] = _major(version)
    for name in sorted(here.packages):
        found = re.fullmatch(r"(tensorrt|tensorrt-rtx|torch-tensorrt)-cu(\d\d)(-\w+)?", name)
        if found and found[1] not in wanted:
            wanted[found[1]] = int(found[2])
    return wanted


def _obstacle(here: Installation, engine: Engine) -> str | None:
    """Return why no GPU here runs an engine; None if one does, or if a plugin runs it."""
    if engine.target not in _PACKAGES:
        return None
    version = _version(here, _PACKAGES[engine.target])
    if version is None:
        extra = "rtx" if engine.target == TENSORRT_RTX else "gpu"
        return f'Its runtime is missing: python -m pip install "encoder-zoo[{extra}]".'
    if here.driver_cuda is None or not here.gpus:
        return "There is no NVIDIA GPU here."
    try:
        reasons = [mismatch(engine, _as_gpu(gpu, here.driver_cuda), version) for gpu in here.gpus]
    except BundleError as error:
        return str(error)
    return None if None in reasons else " ".join(dict.fromkeys(filter(None, reasons)))


def _as_gpu(gpu: GpuState, driver: int) -> Gpu:
    return Gpu(index=gpu.index, name=gpu.name, capability=gpu.capability, driver=driver)


def _version(here: Installation, names: tuple[str, ...]) -> str | None:
    return next((here.packages[name] for name in names if name in here.packages), None)


def _major(version: str) -> int:
    return int(re.match(r"\d*", version)[0] or 0)  # type: ignore[index]  # matches always
