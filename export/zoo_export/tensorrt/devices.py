"""Which GPUs an engine is made for, and what cannot be made for them. No torch."""

from __future__ import annotations

import re
from collections.abc import Sequence

from zoo.errors import MissingExtraError, OptionError
from zoo.manifest import Precision
from zoo.runtime.cuda import gpu_at
from zoo.runtime.engines import Gpu
from zoo.runtime.trt_module import Vendor
from zoo.targets import TENSORRT_RTX, EngineOptions

RTX_DEVICES = ("sm_80", "sm_86", "sm_89", "sm_120")
_TURING = "sm_75"
_SPEED = re.compile(r"sm_\d{2,3}")


def gpu_here(vendor: Vendor) -> Gpu | None:
    """Return this machine's GPU.

    Returns:
        None for TensorRT-RTX where there is none: it builds without one.

    Raises:
        OptionError: TensorRT builds on the GPU that the engine is for, and there is none.
        MissingExtraError: cuda-bindings is not installed.
    """
    try:
        return gpu_at(None, extra="rtx" if vendor.rtx else "gpu")
    except (OptionError, MissingExtraError) as error:
        if vendor.rtx:
            return None
        if isinstance(error, MissingExtraError):
            raise
        raise OptionError(
            f"{vendor.title} times its kernels on the GPU that an engine is for. {error} "
            f"TensorRT-RTX builds engines without a GPU: zoo export NAME --to {TENSORRT_RTX}."
        ) from error


def devices_for(
    vendor: Vendor, options: EngineOptions, dtype: Precision, gpu: Gpu | None
) -> tuple[str, ...]:
    """Return the GPUs that an engine is made for.

    Args:
        vendor: Whose engine.
        options: What was asked for.
        dtype: Of the graph.
        gpu: Of this machine.

    Raises:
        OptionError: It cannot be made for them.
    """
    wrong = [name for name in options.devices if not _SPEED.fullmatch(name)]
    if wrong:
        raise OptionError(f"{wrong[0]!r} is no GPU's architecture; write it as sm_89.")
    if not vendor.rtx:
        assert gpu is not None, "gpu_here has seen to it"
        return _own(options.devices, gpu)
    wanted = tuple(dict.fromkeys(options.devices)) or RTX_DEVICES
    if options.here:
        wanted = (gpu_at(None, extra="rtx").device,) if gpu is None else (gpu.device,)
    known = supported(vendor)
    for name in wanted:
        if name not in known:
            raise OptionError(
                f"{vendor.title} {vendor.version} makes no engines for {name}; it does for "
                f"{', '.join(known)}. Use --to tensorrt on a machine with that GPU."
            )
    if _TURING in wanted and dtype != "float16":
        raise OptionError(
            f"{vendor.title} has no {dtype} matrix products for {_TURING}. Export with "
            f"--precision fp16, or leave {_TURING.removeprefix('sm_')} out of --sm."
        )
    return wanted


def supported(vendor: Vendor) -> tuple[str, ...]:
    """Return the architectures that a version of TensorRT-RTX makes engines for, ascending."""
    names = vendor.module.ComputeCapability.__members__
    found = [int(name.removeprefix("SM")) for name in names if name.removeprefix("SM").isdecimal()]
    return tuple(f"sm_{number}" for number in sorted(found))


def _own(asked: Sequence[str], gpu: Gpu) -> tuple[str, ...]:
    if asked and set(asked) != {gpu.device}:
        raise OptionError(
            f"TensorRT makes engines for the GPU at hand, {gpu.name} ({gpu.device}), not for "
            f"{', '.join(asked)}. --sm is for --to {TENSORRT_RTX}; --hardware-compatible makes "
            "one engine for several GPUs."
        )
    return (gpu.device,)
