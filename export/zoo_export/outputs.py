"""Names of the arrays that leave an encoder: what graphs, runtimes and parity call them.

The fields of `Encoded`, flat: `pooled`, `tokens`, `prefix`, `mask`, and `pyramid_0`, `pyramid_1`,
... for the levels of a pyramid, finest first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.encoded import Encoded

LEVEL = "pyramid_"


def named_outputs(encoded: Encoded) -> dict[str, Tensor]:
    """Return what is there, by name, in the order of the record."""
    named: dict[str, Tensor] = {}
    for name in ("pooled", "tokens", "mask", "prefix"):
        value = getattr(encoded, name)
        if value is not None:
            named[name] = value
    for index, level in enumerate(encoded.pyramid or ()):
        named[f"{LEVEL}{index}"] = level
    return named
