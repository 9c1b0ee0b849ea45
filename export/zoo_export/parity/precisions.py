"""What a precision can hold, and the limits that follow from it. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from zoo.manifest import Precision
from zoo_export.parity.thresholds import DEFAULT, Thresholds


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounding:
    """How a precision rounds.

    Attributes:
        unit: Largest relative error of a rounded number.
        largest: Finite number.
    """

    unit: float
    largest: float


ROUNDINGS: Mapping[Precision, Rounding] = MappingProxyType({
    "float32": Rounding(unit=2.0**-24, largest=(2 - 2.0**-23) * 2.0**127),
    "float16": Rounding(unit=2.0**-11, largest=65504.0),
    "bfloat16": Rounding(unit=2.0**-8, largest=(2 - 2.0**-7) * 2.0**127),
})  # fmt: skip


def limits_of(precision: Precision) -> Thresholds:
    """Return the gate's limits: everywhere the same ratios, floors in units of the precision."""
    scale = ROUNDINGS[precision].unit / ROUNDINGS["float32"].unit
    return replace(DEFAULT, floor=DEFAULT.floor * scale, peak_floor=DEFAULT.peak_floor * scale)
