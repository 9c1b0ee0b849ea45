"""The plugin's door: its rows, and the repositories that it recognises."""

from __future__ import annotations

from collections.abc import Iterable

from zoo import hookimpl
from zoo.spec import ModelSpec
from zoo_vision.families import deit, dino, dinov2, ijepa, mae, moco_v3, resnet, vit


@hookimpl
def zoo_models() -> Iterable[ModelSpec]:
    """Return all rows of this package."""
    for family in (vit, deit, dino, dinov2, mae, moco_v3, ijepa, resnet):
        yield from family.ROWS
