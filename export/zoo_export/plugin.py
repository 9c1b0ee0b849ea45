"""The plugin's door: its commands, and the backends that run what it exports. No torch."""

from __future__ import annotations

from collections.abc import Mapping

from zoo import hookimpl


@hookimpl
def zoo_commands() -> Mapping[str, str]:
    """Return `zoo export` and `zoo parity`."""
    return {
        "export": "zoo_export.commands:export",
        "parity": "zoo_export.parity.command:command",
    }


@hookimpl
def zoo_targets() -> Mapping[str, str]:
    """Return what `zoo export --to` and `zoo.load(backend=...)` can ask for."""
    return {
        "onnx": "zoo_export.targets:ONNX_TARGET",
        "tensorrt": "zoo_export.targets:TENSORRT_TARGET",
        "tensorrt-rtx": "zoo_export.targets:TENSORRT_RTX_TARGET",
    }
