"""What is to be built, and what is refused before anything is. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zoo.errors import OptionError
from zoo.manifest import Manifest, Precision
from zoo.runtime.engines import Gpu
from zoo.runtime.profiles import EngineProfile, profiles_for
from zoo.runtime.trt_module import Vendor, vendor_of
from zoo.targets import EngineOptions
from zoo_export.tensorrt.devices import devices_for, gpu_here
from zoo_export.tensorrt.timing import timing_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be built.

    Attributes:
        vendor: With what.
        devices: For which GPUs, as `sm_89`.
        gpu: Of this machine, if there is one.
        profiles: For which shapes.
        options: What else was asked for.
        timing: File of the timing cache, if there is one.
    """

    vendor: Vendor
    devices: tuple[str, ...]
    gpu: Gpu | None
    profiles: tuple[EngineProfile, ...]
    options: EngineOptions
    timing: Path | None


def plan_for(target: str, manifest: Manifest, options: EngineOptions) -> Plan:
    """Return what is to be built; everything that can be refused is refused here.

    Raises:
        OptionError: An option does not fit the package or this machine.
        MissingExtraError: The package is not installed.
    """
    vendor, gpu, devices = refuse_early(target, manifest.graph.dtype, options)
    return Plan(
        vendor=vendor,
        devices=devices,
        gpu=gpu,
        profiles=profiles_for(manifest.facts.inputs, options.batches),
        options=options,
        timing=timing_file(vendor, gpu, options.timing_cache),
    )


def refuse_early(
    target: str, precision: Precision, options: EngineOptions
) -> tuple[Vendor, Gpu | None, tuple[str, ...]]:
    """Refuse what can be refused without a graph.

    Returns:
        The package, this machine's GPU if it has one, and the GPUs that an engine is made for.

    Raises:
        OptionError: An option does not fit the package or this machine.
        MissingExtraError: The package is not installed.
    """
    vendor = vendor_of(target)
    gpu = gpu_here(vendor)
    _check(vendor, options, gpu)
    return vendor, gpu, devices_for(vendor, options, precision, gpu)


def _check(vendor: Vendor, options: EngineOptions, gpu: Gpu | None) -> None:
    """Refuse what TensorRT-RTX cannot do."""
    if not vendor.rtx:
        return
    if options.version_compatible:
        raise OptionError(
            f"{vendor.title} makes no --version-compatible engines: its packages lack the lean "
            "runtime that such an engine carries."
        )
    if options.hardware_compatible != "none":
        raise OptionError(
            f"An engine of {vendor.title} runs on all GPUs of --sm as it is; leave out "
            "--hardware-compatible."
        )
    if options.refit and gpu is None:
        raise OptionError(
            f"{vendor.title} makes an engine that can be given other weights (--refit) only on a "
            "machine with a GPU, and there is none here."
        )
