"""What a build says of its progress, and how it is stopped. No torch."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, Protocol, TypeVar

from tqdm import tqdm

Result = TypeVar("Result")
_GLANCE = 0.2  # seconds between two looks at the keyboard; Windows hears Ctrl-C only then


class Bar(Protocol):
    """What shows progress; tqdm's bars are."""

    total: float | None

    def update(self, n: int) -> object:
        """Go on by some steps."""
        ...

    def set_description_str(self, desc: str, refresh: bool) -> None:
        """Say what is being done."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was."""
        ...


def bar(name: str, *, shown: bool) -> Bar:
    """Return a bar on stderr, if that is a terminal."""
    found: Bar = tqdm(desc=name, unit="step", leave=False, disable=None if shown else True)
    return found


def monitor(module: Any, shown: Bar, stop: threading.Event) -> Any:  # noqa: ANN401  no types
    """Return a progress monitor of TensorRT's.

    Args:
        module: The package.
        shown: Told of every step.
        stop: Ends the build at its next step, once it is set.
    """

    class Monitor(module.IProgressMonitor):  # type: ignore[misc]  # of a package without types
        def __init__(self) -> None:
            module.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            shown.total = (shown.total or 0) + num_steps
            shown.set_description_str(phase_name, refresh=False)

        def step_complete(self, phase_name: str, step: int) -> bool:
            shown.update(1)
            return not stop.is_set()

        def phase_finish(self, phase_name: str) -> None:
            """Nothing is told apart by the end of a phase."""

    return Monitor()


def interruptible(work: Callable[[], Result], stop: threading.Event) -> Result:
    """Run work on another thread, so that Ctrl-C is heard while a library is busy on it.

    Args:
        work: Looks at `stop` now and then.
        stop: Set at Ctrl-C.

    Raises:
        KeyboardInterrupt: When the work has ended.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="zoo-build") as pool:
        future = pool.submit(work)
        try:
            while not future.done():
                wait([future], timeout=_GLANCE)
        except KeyboardInterrupt:
            stop.set()
            raise
        return future.result()
