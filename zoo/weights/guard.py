"""Keep huggingface_hub within bounds while one of our calls runs: its waits, retries and bars."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from zoo.errors import ServerError
from zoo.weights.faults import BUSY, Answered, Unanswered

_ETAG = re.compile(r"[A-Za-z0-9_.\-]{1,128}")

# The HEADs that the current call awaits an answer to, or None outside of one of ours.
_seen: ContextVar[set[str] | None] = ContextVar("zoo_hub_requests", default=None)


def progress_bar(progress: bool) -> Any:  # noqa: ANN401  a subclass of tqdm, which has no types of its own
    """Return the progress bar: huggingface_hub's for a person at a terminal, else a silent one."""
    from huggingface_hub.utils.tqdm import tqdm

    if progress and sys.stderr.isatty():
        return tqdm

    class Silent(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401  tqdm's own
            super().__init__(*args, **{**options, "disable": True})  # type: ignore[no-untyped-call]  # theirs

    return Silent


@contextmanager
def guarded() -> Iterator[None]:
    """Take over from huggingface_hub what it would do unbounded, for calls made in this block.

    Its own retries wait as long as a server's Retry-After says, and six times 60 s for one that
    hangs at a HEAD. Here a busy answer and a second HEAD end the call, and `retried` decides. An
    ETag becomes a file's name in the cache, so one with a slash is refused before it is used.
    """
    from huggingface_hub import get_session

    session: Any = get_session()
    hooks = session.event_hooks
    if _watch_request not in hooks["request"]:
        session.event_hooks = {
            "request": [*hooks["request"], _watch_request],
            "response": [_watch_response, *hooks["response"]],
        }
    token = _seen.set(set())
    try:
        yield
    finally:
        _seen.reset(token)


def _watch_request(request: Any) -> None:  # noqa: ANN401  httpx's or httpx2's
    seen = _seen.get()
    if seen is None or request.method != "HEAD":
        return
    if str(request.url) in seen:
        raise Unanswered(f"HEAD {request.url} had no answer")
    seen.add(str(request.url))


def _watch_response(response: Any) -> None:  # noqa: ANN401  httpx's or httpx2's
    seen = _seen.get()
    if seen is None:
        return
    seen.discard(str(response.request.url))
    if response.status_code in BUSY:
        raise Answered(response.status_code, dict(response.headers), str(response.request.url))
    for header in ("etag", "x-linked-etag", "x-repo-commit"):
        value = response.headers.get(header, "")
        if value and _ETAG.fullmatch(value.removeprefix("W/").strip('"')) is None:
            raise ServerError(
                f"{response.request.url.host} sent the header {header}: {value[:80]!r}, which is "
                "no hash. Do not trust this server; check HF_ENDPOINT."
            )
