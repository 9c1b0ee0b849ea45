"""Run code of strangers so that it cannot take the rest down: no exit, no hanging, no printing.

It runs in this process all the same: what patches another library, crashes the interpreter or
calls `os._exit` is beyond this.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

STDOUT, STDERR = 1, 2  # file descriptors
_ONE = threading.Lock()  # stdout, folder and variables are put back by one call at a time


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What became of a call.

    Attributes:
        value: What it returned.
        error: What it raised; TimeoutError if it did not come back.
        seconds: That it took.
        printed: What it wrote to stdout, which belongs to whoever reads the command's output.
        changed: What of the process it changed; put back as it was.
        threads: That it started and left running.
        imported: Modules that it brought in.
    """

    value: Any = None
    error: BaseException | None = None
    seconds: float = 0.0
    printed: str = ""
    changed: tuple[str, ...] = ()
    threads: tuple[threading.Thread, ...] = ()
    imported: frozenset[str] = field(default=frozenset())


def guarded(call: Callable[[], Any], *, seconds: float) -> Outcome:
    """Call on a thread of its own and wait for a while.

    A call that does not come back is left behind: its thread ends with the process, and what it
    would have returned is dropped.

    Args:
        call: What may raise anything, SystemExit included, or never return.
        seconds: How long to wait.
    """
    with _ONE:
        return _guarded(call, seconds)


def is_guarded() -> bool:
    """Return whether this is the thread of a guarded call."""
    return isinstance(threading.current_thread(), _Stranger)


class _Stranger(threading.Thread):
    """Runs a guarded call."""


def _guarded(call: Callable[[], Any], seconds: float) -> Outcome:
    result = Outcome()
    thread = _Stranger(target=_run, args=(call, result), daemon=True)
    modules, threads = set(sys.modules), {thread, *threading.enumerate()}
    start = time.perf_counter()
    printed = _Kept()
    changed: list[str] = []
    with (
        _put_back(changed),
        warnings.catch_warnings(),  # else one filter silences what is said of the next plugin
        contextlib.redirect_stdout(printed),
        _descriptor_spared(),
    ):
        thread.start()
        thread.join(seconds)
    if thread.is_alive():
        result = Outcome(error=TimeoutError(f"it was not done after {seconds:g} s"))
    result.seconds = time.perf_counter() - start
    result.printed = printed.getvalue()
    result.changed = tuple(changed)
    result.threads = tuple(other for other in threading.enumerate() if other not in threads)
    result.imported = frozenset(set(sys.modules) - modules)
    return result


class _Kept(io.StringIO):
    """What stands in for stdout; a plugin that closes it does not keep us from reading it."""

    def close(self) -> None:
        """Stay open."""


def _run(call: Callable[[], Any], result: Outcome) -> None:
    try:
        result.value = call()
    except BaseException as error:  # a plugin may raise anything, KeyboardInterrupt included
        result.error = error


@contextlib.contextmanager
def _descriptor_spared() -> Iterator[None]:
    """Send to stderr what is written to stdout past Python, by a library or a child process."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # there is no stdout, or no stderr
            kept = os.dup(STDOUT)
            stack.callback(os.close, kept)
            _flush()
            os.dup2(STDERR, STDOUT)
            stack.callback(os.dup2, kept, STDOUT)
            stack.callback(_flush)
        yield


def _flush() -> None:
    if sys.__stdout__ is not None:
        with contextlib.suppress(OSError, ValueError):  # nobody reads it, or it was closed
            sys.__stdout__.flush()


@contextlib.contextmanager
def _put_back(changed: list[str]) -> Iterator[None]:
    """Undo changes of what a process has but one of, and name them."""
    before = [(name, get(), put) for name, get, put in _STATES]
    yield
    for (name, state, put), (_, get, _) in zip(before, _STATES, strict=True):
        if get() != state:
            put(state)
            changed.append(name)


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it is gone
        return None


def _set_folder(folder: str | None) -> None:
    if folder is not None:
        os.chdir(folder)


def _set_variables(variables: dict[str, str]) -> None:
    for name in os.environ.keys() - variables.keys():
        del os.environ[name]
    os.environ.update(variables)


def _logging() -> tuple[int, list[Any], int]:
    """Return level and handlers of the root logger, and below what nothing is logged."""
    if "logging" not in sys.modules:  # as it will be when it is imported
        return 30, [], 0
    import logging

    root = logging.getLogger()
    return root.level, root.handlers[:], root.manager.disable


def _set_logging(state: tuple[int, list[Any], int]) -> None:
    import logging

    root = logging.getLogger()
    root.setLevel(state[0])
    root.handlers[:] = state[1]
    logging.disable(state[2])


_STATES: tuple[tuple[str, Callable[[], Any], Callable[[Any], None]], ...] = (
    ("the working folder", _folder, _set_folder),
    ("environment variables", lambda: dict(os.environ), _set_variables),
    ("logging", _logging, _set_logging),
)
