"""How far an array lies from the oracle's: numbers only, no verdict. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
TINY = 1e-300
LOUDEST = 300.0  # dB that stand for "no difference at all" in records, which JSON must hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One sample's output against the oracle's.

    Attributes:
        error: Root mean square of the difference over that of the oracle.
        peak: Largest difference over the root mean square of the oracle.
        vector: Largest norm of a vector's difference over the root mean square of their norms.
        max_abs: Largest difference.
        cosine: Largest 1 - cosine of a vector.
        cosine_p01: 1 - cosine that one vector in a hundred exceeds.
        norm: Norm over the oracle's norm.
        finite: Whether every number is finite.
    """

    error: float
    peak: float
    vector: float
    max_abs: float
    cosine: float
    cosine_p01: float
    norm: float
    finite: bool = True

    @property
    def sqnr(self) -> float:
        """Signal to noise, dB; infinite where nothing differs."""
        return decibel(self.error)

    def to_list(self) -> list[float | bool | None]:
        """Return the fields in order; what is not finite becomes None, which JSON can hold."""
        values = [getattr(self, field.name) for field in fields(self)]
        return [value if math.isfinite(value) else None for value in values]

    @classmethod
    def from_list(cls, values: list[Any]) -> Measure:
        """Return what `to_list` gave."""
        names = [field.name for field in fields(cls)]
        known = [math.inf if value is None else value for value in values]
        fields_by_name: dict[str, Any] = dict(zip(names, known, strict=True))
        return cls(**fields_by_name)


NOT_FINITE = Measure(
    error=math.inf,
    peak=math.inf,
    vector=math.inf,
    max_abs=math.inf,
    cosine=math.inf,
    cosine_p01=math.inf,
    norm=math.inf,
    finite=False,
)


def decibel(error: float) -> float:
    """Return a relative error as signal to noise, dB."""
    return math.inf if error == 0 else -20 * math.log10(error) if error < math.inf else -math.inf


def clipped(error: float) -> float:
    """Return a relative error as signal to noise for a record, dB."""
    return round(max(-LOUDEST, min(LOUDEST, decibel(error))), 1)


def rms(values: Array) -> float:
    """Return the root mean square."""
    return math.sqrt(float(np.mean(np.square(values, dtype=np.float64)))) if values.size else 0.0


def measure(oracle: Array, output: Array, *, scale: float, channels_first: bool = False) -> Measure:
    """Measure one sample's output.

    Args:
        oracle: (..., W) float64, without the batch axis; of a mask, its truth values.
        output: The same shape.
        scale: What errors are relative to: the oracle's root mean square, never 0.
        channels_first: Whether a vector runs along the first axis, as in a feature map (C, H, W).
    """
    oracle, got = np.asarray(oracle, np.float64), np.asarray(output, np.float64)
    if not np.isfinite(got).all():
        return NOT_FINITE
    if channels_first:
        oracle, got = np.moveaxis(oracle, 0, -1), np.moveaxis(got, 0, -1)
    one = oracle.reshape(-1, oracle.shape[-1])  # (N, W)
    other = got.reshape(one.shape)
    difference = other - one
    lengths = np.linalg.norm(difference, axis=1)  # (N,)
    distances = cosine_distances(one, other)
    return Measure(
        error=rms(difference) / scale,
        peak=float(np.abs(difference).max()) / scale,
        vector=float(lengths.max()) / (scale * math.sqrt(one.shape[1])),
        max_abs=float(np.abs(difference).max()),
        cosine=float(distances.max()),
        cosine_p01=float(np.quantile(distances, 0.99)),
        norm=rms(other) / max(rms(one), TINY) if rms(one) else float(not rms(other)),
    )


def cosine_distances(one: Array, other: Array) -> Array:
    """(N, W), (N, W) -> (N,) of 1 - cosine, exact where the vectors nearly agree.

    1 - cosine is half the squared distance of the unit vectors: no digits are lost to a
    subtraction from 1.
    """
    norms, others = np.linalg.norm(one, axis=1), np.linalg.norm(other, axis=1)
    units = one / np.maximum(norms, TINY)[:, None] - other / np.maximum(others, TINY)[:, None]
    distances: Array = np.square(units).sum(axis=1) / 2
    distances[(norms == 0) & (others == 0)] = 0.0
    return distances


def gallery(oracle: Array, output: Array, *, most: int = 5) -> tuple[float, float]:
    """Compare what a search would find: (N, D), (N, D) -> overlap, rank correlation.

    Args:
        oracle: Vectors of N samples.
        output: The candidate's.
        most: Neighbours that are looked at, or half of them all.

    Returns:
        Mean part of each sample's nearest neighbours that both agree on; Spearman's correlation of
        all similarities.
    """
    count = len(oracle)
    if count < 3 or not np.isfinite(output).all():
        return (1.0, 1.0) if count < 3 else (0.0, 0.0)
    nearest = min(most, (count - 1) // 2) or 1
    tables = []
    for vectors in (oracle, np.asarray(output, np.float64)):
        unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1), TINY)[:, None]
        tables.append(unit @ unit.T)
    shared = 0
    for row in range(count):
        found = [set(_nearest(table[row], row, nearest)) for table in tables]
        shared += len(found[0] & found[1])
    upper = np.triu_indices(count, 1)
    return shared / (count * nearest), _spearman(tables[0][upper], tables[1][upper])


def _nearest(similarities: Array, self: int, count: int) -> list[int]:
    order = [int(index) for index in np.argsort(-similarities, kind="stable") if index != self]
    return order[:count]


def _spearman(one: Array, other: Array) -> float:
    ranks = [
        np.argsort(np.argsort(values, kind="stable"), kind="stable") for values in (one, other)
    ]
    centred = [rank - rank.mean() for rank in ranks]
    return float(
        (centred[0] * centred[1]).sum()
        / max(np.linalg.norm(centred[0]) * np.linalg.norm(centred[1]), TINY)
    )
