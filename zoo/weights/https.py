"""Authors' own files over https, only with a sha256 that the row pins."""

from __future__ import annotations

import http.client
import os
import ssl
import sys
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from zoo.errors import IntegrityError, RepoNotFoundError, ServerError
from zoo.weights.cache import cache_root, check_space, disk_errors, disk_fault, exclusive
from zoo.weights.faults import BUSY, explain_transport, offline, retry_after
from zoo.weights.hub import is_offline
from zoo.weights.lock import Entry, Lock, read_lock, remember
from zoo.weights.names import checked
from zoo.weights.retry import Fault, retried
from zoo.weights.verify import verify

TIMEOUT = 15.0  # seconds without a byte
_CHUNK = 1 << 20  # bytes
ANY = "any"  # a URL has no revisions


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    """Follow redirects, but never to a connection that anyone on the way could change."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str,
        headers: http.client.HTTPMessage, newurl: str,
    ) -> urllib.request.Request | None:  # fmt: skip
        if urlsplit(newurl).scheme != "https":
            fp.close()
            raise ServerError(
                f"{req.full_url} redirects to {newurl[:200]}, which is not https; refused."
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def secure_handlers() -> list[urllib.request.BaseHandler]:
    """Return what a download may use: https with checked certificates, proxies, redirects."""
    return [
        urllib.request.ProxyHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        _OnlyHttps(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ]


class HttpsSource:
    """A file at a URL, or the files below one that ends in a slash.

    Attributes:
        source: The URL.
        revision: None: a URL has no commits.
    """

    revision = None

    def __init__(self, url: str, *, progress: bool = False) -> None:
        self.source = url
        self._progress = progress
        self._lock: Lock | None = None

    def names(self) -> frozenset[str]:
        """Return the one name that the URL gives; a server's other files cannot be listed."""
        return frozenset() if self.source.endswith("/") else frozenset({file_name(self.source)})

    def get(self, name: str, *, pinned: str = "", check: bool = False) -> Entry | None:
        """Return a verified file, or None if it is not the one that the URL gives.

        Raises:
            IntegrityError: The row pins no sha256, or the bytes differ from it.
            WeightsError: It cannot be brought here.
        """
        checked(name)
        if not self.source.endswith("/") and name != file_name(self.source):
            return None
        if not pinned:
            raise IntegrityError(
                f"{name} from {self.source} has no sha256 in the model's row, and a file from the "
                "open web is not taken without one. Add it to WeightsSpec.sha256: 64 hex digits, "
                "or at least the first 8."
            )
        lock = self._lock = self._lock or read_lock(self.source, ANY)
        known = lock.files.get(name)
        if known is not None and not check and known.holds(pinned):
            return known
        path = cache_root() / "files" / lock.path.parent.name / name
        with exclusive(path.with_name(f".{path.name}.lock")):
            if path.is_file():
                try:
                    return self._remember(name, verify(path, name, lock, pinned=pinned))
                except IntegrityError:
                    with disk_errors(path):
                        os.replace(path, path.with_name(f"{path.name}.corrupt"))
            return self._remember(name, self._download(path, name, lock, pinned))

    def _remember(self, name: str, entry: Entry) -> Entry:
        assert self._lock is not None
        self._lock = remember(self._lock, files={name: entry})
        return entry

    def _download(self, path: Path, name: str, lock: Lock, pinned: str) -> Entry:
        """Fetch into a partial file, which a later call resumes, and rename it once verified."""
        if is_offline():
            raise offline(f"{name} of {self.source}")
        url = self.source + name if self.source.endswith("/") else self.source
        partial = path.with_name(f".{path.name}.partial")
        for last in (False, True):
            retried(lambda: self._receive(url, partial, name), lambda e: _explain(e, url, partial))
            try:
                entry = verify(partial, name, lock, pinned=pinned, remembered=False)
            except IntegrityError:
                with disk_errors(partial):
                    partial.unlink()
                if last:
                    raise
                continue
            with disk_errors(path):
                os.replace(partial, path)
            return replace(entry, path=str(path))
        raise AssertionError("the last attempt returns or raises")

    def _receive(self, url: str, partial: Path, name: str) -> None:
        """Append to the partial file what it still lacks."""
        have = partial.stat().st_size if partial.exists() else 0
        request = urllib.request.Request(url, headers={"User-Agent": "encoder-zoo"})
        if have:
            request.add_header("Range", f"bytes={have}-")
        opener = urllib.request.OpenerDirector()
        for handler in secure_handlers():
            opener.add_handler(handler)
        try:
            response: Any = opener.open(request, timeout=TIMEOUT)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code != 416 or not have:
                raise
            partial.unlink()  # the file is shorter than what we have: begin again
            raise http.client.IncompleteRead(b"") from error
        with response:
            resumed = response.status == 206
            length = response.headers.get("Content-Length")
            size = int(length) if length is not None else None
            check_space(partial.parent, size, name)
            with partial.open("ab" if resumed else "wb") as file, self._bar(name, size) as bar:
                got = 0
                while block := response.read(_CHUNK):
                    file.write(block)
                    bar.update(len(block))
                    got += len(block)
            if size is not None and got < size:
                raise http.client.IncompleteRead(b"", size - got)

    def _bar(self, name: str, size: int | None) -> Any:  # noqa: ANN401  tqdm has no types
        from tqdm import tqdm

        shown = self._progress and sys.stderr.isatty()
        return tqdm(desc=name, total=size, unit="B", unit_scale=True, disable=not shown)


def file_name(url: str) -> str:
    """Return the last part of a URL's path."""
    return checked(unquote(urlsplit(url).path.rpartition("/")[2]) or "index")


def _explain(error: Exception, url: str, partial: Path) -> Fault:
    if isinstance(error, urllib.error.HTTPError):
        text = f"{url} answered HTTP {error.code} ({error.reason})."
        if error.code in (404, 410):
            return Fault(error=RepoNotFoundError(f"{text} The authors moved or removed the file."))
        return Fault(error=ServerError(f"{text} Try again later."), again=error.code in BUSY,
                     pause=retry_after(dict(error.headers)))  # fmt: skip
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, OSError) and (fault := disk_fault(cause, partial)) is not None:
        return Fault(error=fault)
    link = cause if isinstance(cause, Exception) else error
    kinds = {cls.__name__ for cls in type(link).__mro__}
    return explain_transport(link, f"{file_name(url)}", f"https://{urlsplit(url).netloc}", kinds)
