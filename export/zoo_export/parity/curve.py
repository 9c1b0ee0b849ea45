"""The signal-to-noise curve over a network's modules, as coordinates of a drawing. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from zoo_export.parity.metrics import LOUDEST
from zoo_export.parity.report import ModuleRecord

WIDTH, HEIGHT = 960, 300  # of the whole drawing, in its own units
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 14, 64  # margins
STEPS = (10, 20, 50, 100)  # dB between the lines of the grid
LABELS = 26  # that fit below the drawing


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One boundary.

    Attributes:
        x: From the left.
        y: From the top.
        text: What it is, for whoever points at it.
    """

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A drawing.

    Attributes:
        candidate: Its boundaries in the order of execution.
        eager: Eager float32's.
        grid: Height and decibel of each line.
        groups: Left end, middle and name of each part of the network; no name where it would not
            fit.
        first: The first boundary that is worse than eager allows, if any is.
    """

    candidate: tuple[Point, ...]
    eager: tuple[Point, ...]
    grid: tuple[tuple[float, int], ...]
    groups: tuple[tuple[float, float, str], ...]
    first: Point | None

    @property
    def lines(self) -> tuple[str, str]:
        """The candidate's and eager's points as SVG writes them."""
        one, other = (
            " ".join(f"{point.x:.1f},{point.y:.1f}" for point in points)
            for points in (self.candidate, self.eager)
        )
        return one, other


def curve(records: Sequence[ModuleRecord], blamed: str) -> Curve | None:
    """Return the drawing of a finding's records, or None if there are too few to draw.

    Args:
        records: In the order of execution.
        blamed: The module that the finding names, or nothing.
    """
    if len(records) < 2:
        return None
    finite = [v for r in records for v in (r.sqnr, r.yardstick) if -LOUDEST < v < LOUDEST]
    top, low = max(finite, default=150.0) + 12, min(0.0, *(finite or [0.0]))
    low = max(low, -40.0)
    step = next((s for s in STEPS if (top - low) / s <= 8), STEPS[-1])
    across = (WIDTH - LEFT - RIGHT) / (len(records) - 1)

    def place(value: float) -> float:
        part = (min(max(value, low), top) - low) / (top - low)
        return HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)

    def points(name: str) -> tuple[Point, ...]:
        return tuple(
            Point(
                x=LEFT + index * across,
                y=place(getattr(record, name)),
                text=f"{record.module} {record.side}: {words(getattr(record, name))}",
            )
            for index, record in enumerate(records)
        )

    candidate = points("sqnr")
    wrong = (
        index
        for index, record in enumerate(records)
        if blamed
        and f"{record.module}.".startswith(f"{blamed}.")
        and record.yardstick - record.sqnr > 9
    )
    first = next(wrong, None)
    lines = range(-(-int(low) // step) * step, int(top) + 1, step)
    return Curve(
        candidate=candidate,
        eager=points("yardstick"),
        grid=tuple((place(value), value) for value in lines),
        groups=tuple(_groups(records, across)),
        first=None if first is None else candidate[first],
    )


def words(value: float) -> str:
    """Return decibels in words."""
    return "exact" if value >= LOUDEST else f"{value:.0f} dB"


def _groups(records: Sequence[ModuleRecord], across: float) -> list[tuple[float, float, str]]:
    """Return the parts of the network: a block each, and what is around the blocks."""
    found: list[tuple[float, float, str]] = []
    start = 0
    for name, members in groupby(records, key=lambda record: _part(record.module)):
        count = len(list(members))
        left = LEFT + (start - 0.5) * across
        found.append((max(left, LEFT), left + count * across / 2, name))
        start += count
    every = -(-len(found) // LABELS)
    return [(left, middle, name if index % every == 0 else "")
            for index, (left, middle, name) in enumerate(found)]  # fmt: skip


def _part(module: str) -> str:
    first, _, rest = module.partition(".")
    second = rest.partition(".")[0]
    return f"{first}.{second}" if second.isdecimal() else first
