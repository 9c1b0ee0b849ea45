"""The search for the fewest modules that must stay in float32 for a graph to pass its gate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from zoo_export.parity.report import Report

RUNS = 40  # of the gate, at most

Modules = tuple[str, ...]


def search(judge: Callable[[Modules], Report], modules: Iterable[str]) -> Modules:
    """Return the fewest modules with which a graph passes, or those that bring it nearest.

    Whole blocks first: each is kept alone, to see what that gains, and in that order they are added
    until the graph passes. Then whatever is not needed is left out again: blocks, then parts of
    those that are left.

    Args:
        judge: Judges the graph with some modules kept in float32.
        modules: Names of all.
    """
    names = sorted(set(modules) - {""})
    trial = _Trial(judge)
    ranked = sorted(blocks(names), key=lambda block: trial.excess((block,)))
    kept: Modules = ()
    while ranked and trial.excess(kept) > 1:
        kept, ranked = (*kept, ranked[0]), ranked[1:]
    kept = trial.thinned(kept)
    split = tuple(part for block in kept for part in parts(block, names))
    kept = trial.thinned(split) if trial.excess(split) <= 1 else kept
    return kept if trial.excess(kept) <= 1 else trial.nearest()


def blocks(modules: Iterable[str]) -> list[str]:
    """Return the large parts of a network: names up to their first number."""
    found: dict[str, None] = {}
    for module in modules:
        words = module.split(".")
        count = next((i + 1 for i, word in enumerate(words) if word.isdecimal()), 1)
        found.setdefault(".".join(words[:count]))
    return list(found)


def parts(block: str, modules: Iterable[str]) -> list[str]:
    """Return the modules directly inside a block, or the block itself where there are none."""
    inside = dict.fromkeys(
        f"{block}.{module.removeprefix(f'{block}.').partition('.')[0]}"
        for module in modules
        if module.startswith(f"{block}.")
    )
    return list(inside) or [block]


class _Trial:
    """Judges each set of modules once, and no more than so many."""

    def __init__(self, judge: Callable[[Modules], Report]) -> None:
        self._judge = judge
        self._excess: dict[Modules, float] = {}

    def excess(self, kept: Modules) -> float:
        """Return how many times a graph exceeds its limits; infinite once there were enough."""
        key = tuple(sorted(kept))
        if key not in self._excess:
            if len(self._excess) >= RUNS:
                return math.inf
            self._excess[key] = excess(self._judge(key))
        return self._excess[key]

    def thinned(self, kept: Modules) -> Modules:
        """Return what is left when everything is taken out without which the graph passes too."""
        for module in reversed(kept):
            without = tuple(other for other in kept if other != module)
            if self.excess(without) <= 1:
                kept = without
        return kept

    def nearest(self) -> Modules:
        """Return the set that came nearest to passing."""
        return min(self._excess, key=lambda kept: (self._excess[kept], len(kept)))


def excess(report: Report) -> float:
    """Return the largest part of any limit that was used up; infinite where something is wrong."""
    if report.reason or any(candidate.faults for candidate in report.candidates):
        return math.inf
    shares = [output.worst for candidate in report.candidates for output in candidate.outputs]
    return max(shares, default=math.inf)
