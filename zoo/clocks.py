"""What time is measured with, and how runs are timed. No torch, unless a GPU's events are asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

LEAST_RUNS = 5
MOST_RUNS = 10_000
WARM_RUNS = 3
WARM_PART = 0.25  # of the seconds that are measured


class Clock(Protocol):
    """Times one run."""

    name: str

    def __call__(self, run: Callable[[], object]) -> float:
        """Return the milliseconds that a run took."""
        ...


class WallClock:
    """The time that passes until a run returns."""

    name = "wall"

    def __call__(self, run: Callable[[], object]) -> float:
        """Return the milliseconds that a run took."""
        start = time.perf_counter()
        run()
        return (time.perf_counter() - start) * 1e3


class CpuClock:
    """The time that processors spend on this process, all its threads together."""

    name = "cpu"

    def __call__(self, run: Callable[[], object]) -> float:
        """Return the milliseconds that a run took."""
        start = time.process_time()
        run()
        return (time.process_time() - start) * 1e3


class EventClock:
    """The time that a run takes on torch's stream of a GPU.

    Args:
        device: The GPU.
    """

    name = "events"

    def __init__(self, device: str) -> None:
        import torch

        self._stream = torch.cuda.current_stream(device)
        event: Any = torch.cuda.Event  # torch gives it no types
        self._events = [event(enable_timing=True) for _ in range(2)]

    def __call__(self, run: Callable[[], object]) -> float:
        """Return the milliseconds that a run took."""
        start, end = self._events
        start.record(self._stream)
        run()
        end.record(self._stream)
        end.synchronize()
        return float(start.elapsed_time(end))


def times_of(run: Callable[[], object], clock: Clock, seconds: float) -> list[float]:
    """Return the milliseconds of each run, after some that warm up, until the seconds are over."""
    warm_until = time.perf_counter() + WARM_PART * seconds
    for number in range(MOST_RUNS):
        if number >= WARM_RUNS and time.perf_counter() >= warm_until:
            break
        run()
    times: list[float] = []
    while len(times) < MOST_RUNS and (len(times) < LEAST_RUNS or sum(times) < seconds * 1e3):
        times.append(clock(run))
    return times
