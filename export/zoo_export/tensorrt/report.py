"""Which layer runs in which precision: layers.json. No torch."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.runtime.trt_module import Vendor, listener
from zoo_export.tensorrt.network import Layer, per_precision

LAYERS = "layers.json"
_NODE = re.compile(r"\[ONNX Layer: ([^\]]+)\]")
_TYPES = (
    ("bf16", "bfloat16"), ("bfloat16", "bfloat16"),
    ("fp16", "float16"), ("half", "float16"),
    ("fp32", "float32"), ("float", "float32"),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A layer of an engine: several of the network's, usually, in one kernel.

    Attributes:
        name: TensorRT's.
        dtype: Of its first output; empty where the inspector does not say.
        modules: That its nodes came from.
    """

    name: str
    dtype: str
    modules: tuple[str, ...]


def engine_layers(
    vendor: Vendor,
    serialized: Any,  # noqa: ANN401  a buffer
    layers: Sequence[Layer],
) -> tuple[Compiled, ...] | None:
    """Return the layers of an engine, None where it cannot be loaded to be looked into.

    Args:
        vendor: Whose engine.
        serialized: The engine's bytes.
        layers: Of the network that it was made of.
    """
    runtime = vendor.module.Runtime(listener(vendor.module))
    runtime.engine_host_code_allowed = True  # it was built here, a moment ago
    engine = runtime.deserialize_cuda_engine(serialized)
    if engine is None:  # it is for other GPUs than this machine's
        return None
    text = engine.create_engine_inspector().get_engine_information(
        vendor.module.LayerInformationFormat.JSON
    )
    return compiled_layers(json.loads(text), {layer.node: layer.module for layer in layers})


def compiled_layers(
    inspected: Mapping[str, Any], modules: Mapping[str, str]
) -> tuple[Compiled, ...]:
    """Return what the inspector's JSON says of each layer, with the modules.

    Args:
        inspected: As the inspector gives it: layers are objects, or names alone.
        modules: Name of each node to the module that it came from.
    """
    found = []
    for entry in inspected.get("Layers", ()):
        layer: Mapping[str, Any] = entry if isinstance(entry, dict) else {"Name": str(entry)}
        nodes = _NODE.findall(str(layer.get("Metadata", "")))
        outputs: Sequence[Mapping[str, Any]] = layer.get("Outputs") or [{}]
        names = dict.fromkeys(modules[node] for node in nodes if modules.get(node))
        found.append(
            Compiled(
                name=str(layer.get("Name", "")), dtype=_dtype(outputs[0]), modules=tuple(names)
            )
        )
    return tuple(found)


def _dtype(output: Mapping[str, Any]) -> str:
    """Return the type of an output; 10 puts it among the format's words, 11 in a field."""
    words = str(output.get("Datatype") or output.get("Format/Datatype") or "").lower()
    return next((name for word, name in _TYPES if word in words), "")


def layer_report(
    vendor: Vendor, layers: Sequence[Layer], compiled: Sequence[Compiled] | None
) -> dict[str, Any]:
    """Return what layers.json holds.

    Args:
        vendor: Whose engine.
        layers: Of the network.
        compiled: Of the engine, if it could be looked into.
    """
    report: dict[str, Any] = {
        "made by": f"{vendor.title} {vendor.version}",
        "layers in each precision": per_precision(layers),
        "modules in each precision": per_module(layers),
        "network": [
            {
                "name": layer.name,
                "kind": layer.kind,
                "dtype": layer.dtype,
                "node": layer.node,
                "module": layer.module,
            }
            for layer in layers
        ],
    }
    if compiled is not None:
        report["engine"] = [
            {"name": layer.name, "dtype": layer.dtype, "modules": list(layer.modules)}
            for layer in compiled
        ]
    return report


def per_module(layers: Sequence[Layer]) -> dict[str, list[str]]:
    """Return the modules that have layers in each floating-point type, in order."""
    found: dict[str, dict[str, None]] = {}
    for layer in layers:
        if "float" in layer.dtype and layer.module:
            found.setdefault(layer.dtype, {})[layer.module] = None
    return {dtype: list(modules) for dtype, modules in found.items()}


def write_layers(folder: Path, report: Mapping[str, Any]) -> None:
    """Write layers.json."""
    (folder / LAYERS).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
