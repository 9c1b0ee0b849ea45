"""The plugin's door. Imports neither torch nor timm."""

from __future__ import annotations

from collections.abc import Iterable

from zoo import hookimpl
from zoo.hookspecs import Namespace
from zoo_timm.namespace import Timm


@hookimpl
def zoo_namespaces() -> Iterable[Namespace]:
    """Return `timm:`."""
    return [Timm()]
