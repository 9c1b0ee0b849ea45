"""Build an engine of a bundle's graph. No torch."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.bundle import MODEL, SCOPES
from zoo.errors import ExportError, OptionError
from zoo.manifest import Engine, Manifest, Verdict
from zoo.records import to_plain
from zoo.runtime.engines import ENGINE, EngineFacts
from zoo.runtime.trt_module import Vendor, listener
from zoo.targets import EngineOptions
from zoo.weights.cache import disk_errors
from zoo_export.tensorrt.network import layers_of, parse, per_precision
from zoo_export.tensorrt.plan import Plan, plan_for
from zoo_export.tensorrt.progress import bar, interruptible, monitor
from zoo_export.tensorrt.report import engine_layers, layer_report, write_layers
from zoo_export.tensorrt.timing import timings

_COMPATIBLE = {
    "none": "NONE",
    "ampere-plus": "AMPERE_PLUS",
    "same-capability": "SAME_COMPUTE_CAPABILITY",
}


def build_engine(target: str, folder: Path, manifest: Manifest, options: EngineOptions) -> Engine:
    """Add an engine and its layers.json to a folder that holds a graph and its scopes.

    Raises:
        ExportError: The package refuses the graph; says which module, and what to do.
        OptionError: An option does not fit the package or this machine.
        MissingExtraError: The package is not installed.
    """
    plan = plan_for(target, manifest, options)
    scopes: Mapping[str, str] = json.loads((folder / SCOPES).read_text(encoding="utf-8"))
    module, logger = plan.vendor.module, listener(plan.vendor.module)
    builder = module.Builder(logger)
    if builder is None:
        raise ExportError(_failure(plan.vendor, logger.errors, scopes))
    network = parse(plan.vendor, builder, logger, folder / MODEL, scopes)
    layers = layers_of(network, scopes)
    serialized = _serialize(plan, builder, network, logger, scopes)
    with disk_errors(folder), (folder / ENGINE).open("wb") as file:
        file.write(serialized)
    compiled = engine_layers(plan.vendor, serialized, layers) if plan.gpu else None
    with disk_errors(folder):
        write_layers(folder, layer_report(plan.vendor, layers, compiled))
    return Engine(
        target=target,
        file=ENGINE,
        version=plan.vendor.version,
        devices=plan.devices,
        facts=to_plain(
            EngineFacts(
                profiles=plan.profiles,
                gpu=None if plan.vendor.rtx or plan.gpu is None else plan.gpu.name,
                version_compatible=options.version_compatible,
                hardware_compatible=options.hardware_compatible,
                refit=options.refit,
                tf32=options.tf32,
                precisions=per_precision(layers),
                layers="network" if compiled is None else "engine",
            )
        ),
        verdict=Verdict(
            outcome="deferred", line=f"engine built for {', '.join(plan.devices)}, not run yet"
        ),
    )


def _serialize(
    plan: Plan,
    builder: Any,  # noqa: ANN401  the package has no types
    network: Any,  # noqa: ANN401
    logger: Any,  # noqa: ANN401
    scopes: Mapping[str, str],
) -> Any:  # noqa: ANN401  a buffer
    """Return the engine's bytes; Ctrl-C ends the build at its next step."""
    stop = threading.Event()
    shown = bar(plan.vendor.title, shown=plan.options.progress)
    config = _configured(plan, builder, network)
    config.progress_monitor = monitor(plan.vendor.module, shown, stop)
    try:
        with timings(config, plan.timing):
            serialized = interruptible(
                lambda: builder.build_serialized_network(network, config), stop
            )
            if serialized is None:
                raise ExportError(_failure(plan.vendor, logger.errors, scopes))
    finally:
        shown.close()
    return serialized


def _configured(plan: Plan, builder: Any, network: Any) -> Any:  # noqa: ANN401
    """Return the builder's configuration."""
    module, options = plan.vendor.module, plan.options
    config = builder.create_builder_config()
    _flag(module, config, "TF32", options.tf32)  # on by default
    _flag(module, config, "REFIT", options.refit)
    _flag(module, config, "VERSION_COMPATIBLE", options.version_compatible)
    config.profiling_verbosity = module.ProfilingVerbosity.DETAILED
    if options.workspace is not None:
        config.set_memory_pool_limit(module.MemoryPoolType.WORKSPACE, options.workspace)
    if plan.vendor.rtx:
        config.num_compute_capabilities = len(plan.devices)
        for index, name in enumerate(plan.devices):
            capability = getattr(module.ComputeCapability, name.upper().replace("_", ""))
            config.set_compute_capability(capability, index)
    elif options.hardware_compatible != "none":
        level = _COMPATIBLE[options.hardware_compatible]
        if not hasattr(module.HardwareCompatibilityLevel, level):
            raise OptionError(
                f"TensorRT {plan.vendor.version} has no "
                f"--hardware-compatible {options.hardware_compatible}."
            )
        config.hardware_compatibility_level = getattr(module.HardwareCompatibilityLevel, level)
    for ranges in plan.profiles:
        profile = builder.create_optimization_profile()
        for index in range(network.num_inputs):
            name = network.get_input(index).name
            profile.set_shape(name, *ranges.shapes[name])
        if config.add_optimization_profile(profile) < 0:
            raise ExportError(f"TensorRT refuses the profile {dict(ranges.shapes)}.")
    return config


def _flag(module: Any, config: Any, name: str, wanted: bool) -> None:  # noqa: ANN401
    flag = getattr(module.BuilderFlag, name)
    if wanted:
        config.set_flag(flag)
    else:
        config.clear_flag(flag)


def _failure(vendor: Vendor, errors: Sequence[str], scopes: Mapping[str, str]) -> str:
    """Return what an error says of a build that failed: TensorRT's words, and whose layers."""
    words = " ".join(errors[-2:])[:600] or "It gives no reason."
    nodes = set(re.findall(r"[\w./:]+", words))
    modules = dict.fromkeys(scopes[node] for node in scopes if node in nodes and scopes[node])
    place = f" That is in {', '.join(modules)}." if modules else ""
    return f"{vendor.title} {vendor.version} cannot build an engine. {words}{place}"
