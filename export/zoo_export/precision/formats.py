"""The two low precisions: what they hold, and what their rounding costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import onnx_ir as ir

from zoo.manifest import Low
from zoo.preprocess import Array
from zoo_export.parity.precisions import ROUNDINGS

# Values that come this near to the largest number stay in float32: other inputs than those that
# were measured may be larger, and so may the steps inside an operator.
HEADROOM = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A floating-point format of 16 bits.

    Attributes:
        name: As in a manifest.
        dtype: In a graph.
        largest: Finite number.
        smallest: Number of full precision; what is smaller loses bits.
        unit: Largest relative error of rounding.
    """

    name: Low
    dtype: ir.DataType
    largest: float
    smallest: float
    unit: float

    @property
    def allowed(self) -> float:
        """Largest value that may be computed in it."""
        return self.largest / HEADROOM

    def rounded(self, array: Array) -> Array:
        """Return an array in this format; what is too large becomes infinite."""
        with np.errstate(over="ignore"):
            return array.astype(self.dtype.numpy())

    def loss(self, array: Array) -> float:
        """Return the root mean square of what rounding takes away, relative to the numbers."""
        exact = array.astype(np.float64).ravel()
        finite = np.isfinite(exact)
        exact = exact[finite]
        size = float(np.linalg.norm(exact))
        lost = self.rounded(array).astype(np.float64).ravel()[finite] - exact
        error = float(np.linalg.norm(lost))
        return error / size if size else 0.0 if math.isfinite(error) else math.inf


FORMATS: Mapping[str, Format] = MappingProxyType({
    "float16": Format(
        name="float16",
        dtype=ir.DataType.FLOAT16,
        largest=ROUNDINGS["float16"].largest,
        smallest=2.0**-14,
        unit=ROUNDINGS["float16"].unit,
    ),
    "bfloat16": Format(
        name="bfloat16",
        dtype=ir.DataType.BFLOAT16,
        largest=ROUNDINGS["bfloat16"].largest,
        smallest=2.0**-126,
        unit=ROUNDINGS["bfloat16"].unit,
    ),
})  # fmt: skip
