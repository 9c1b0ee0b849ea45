"""Run code of strangers so that it cannot take the rest down: no exit, no hanging, no printing."""

from __future__ import annotations

import contextlib
import io
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What became of a call.

    Attributes:
        value: What it returned.
        error: What it raised; TimeoutError if it did not come back.
        seconds: That it took.
        printed: What it wrote to stdout, which belongs to whoever reads the command's output.
        imported: Modules that it brought in.
    """

    value: Any = None
    error: BaseException | None = None
    seconds: float = 0.0
    printed: str = ""
    imported: frozenset[str] = field(default=frozenset())


def guarded(call: Callable[[], Any], *, seconds: float) -> Outcome:
    """Call on a thread of its own and wait for a while.

    A call that does not come back is left behind: its thread ends with the process, and what it
    would have returned is dropped.

    Args:
        call: What may raise anything, SystemExit included, or never return.
        seconds: How long to wait.

    Raises:
        KeyboardInterrupt: The user pressed Ctrl-C while it ran.
    """
    result = Outcome()
    thread = threading.Thread(target=_run, args=(call, result), daemon=True)
    before = set(sys.modules)
    start = time.perf_counter()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        thread.start()
        thread.join(seconds)
    if thread.is_alive():
        result = Outcome(error=TimeoutError(f"it was not done after {seconds:g} s"))
    result.seconds = time.perf_counter() - start
    result.printed = printed.getvalue()
    result.imported = frozenset(set(sys.modules) - before)
    if isinstance(result.error, KeyboardInterrupt):
        raise result.error
    return result


def _run(call: Callable[[], Any], result: Outcome) -> None:
    try:
        result.value = call()
    except BaseException as error:  # a plugin may raise anything, SystemExit included
        result.error = error
