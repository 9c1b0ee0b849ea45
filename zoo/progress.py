"""Progress of a long call: to nobody, to a callable, or to a bar on stderr."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Progress = bool | Callable[[int, int | None], None]
"""True for a bar, or what is told (done, total); the total may be unknown."""


class Reporter:
    """Tells progress while it is entered.

    Args:
        progress: To whom.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bar: Any = None

    def __enter__(self) -> Callable[[int, int | None], None]:
        if callable(self._progress):
            return self._progress
        if not self._progress:
            return lambda _done, _total: None
        from tqdm import tqdm

        self._bar = tqdm(unit=" items", leave=False)
        return self._advance

    def _advance(self, done: int, total: int | None) -> None:
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
