"""Rows over tiny configs, with inputs and preprocessing that fit them."""

from __future__ import annotations

from zoo.registry import default_registry
from zoo.spec import ModelSpec
from zoo.testing.shrink import tiny


def tiny_row(name: str) -> ModelSpec:
    """Return a row over its tiny config."""
    return tiny(default_registry().row(name))


def distinct_rows() -> list[ModelSpec]:
    """Return one tiny row for each config and preprocessing kind that differs."""
    found: dict[str, ModelSpec] = {}
    for row in default_registry():
        if row.export == "torch":
            found.setdefault(repr(row.config.tiny()), row)
    return [tiny(row) for row in found.values()]
