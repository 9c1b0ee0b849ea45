"""A Hub over loopback: real HTTP on 127.0.0.1, so that huggingface_hub is exercised end to end.

The fixture `hub` points everything at it (endpoint, caches, tokens, time-outs) for one test::

    def test_a_row_loads(hub):
        commit = hub.add_repo("org/name", {"config.json": b"{}", "model.safetensors": data})
        fetched = fetch_weights(WeightsSpec(source="hf:org/name", revision=commit))

Large files (by their ending) are served as the real Hub serves LFS files: the HEAD redirects to
another origin, the CDN, and carries the sha256 in X-Linked-Etag. Small ones have git's blob sha1.

`hub.fault("reset", file="model.safetensors", at=1000, nth=2, times=1)` makes the second GET of that
file break after its first thousand bytes. `hub.requests` is what was asked, in order.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import huggingface_hub.constants
import huggingface_hub.file_download
import pytest

Kind = Literal[
    "status", "reset", "truncate", "short", "longer", "wrong", "hang", "slow", "html", "garbage",
    "no-etag", "no-commit", "other-commit", "evil-etag", "bad-length", "loop", "json",
]  # fmt: skip
LARGE = (".safetensors", ".bin", ".pt", ".pth", ".msgpack")
TIMEOUT = 0.3  # seconds that the client waits for a byte of a Hub that is known to hang
PATIENCE = 20.0  # seconds that it waits else: a busy machine is no fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a client asked: `on` is HEAD, GET or API; `start` is where its Range begins."""

    on: str
    file: str
    start: int | None = None
    token: str | None = None


@dataclass(slots=True, kw_only=True)
class Fault:
    """A misdeed and when to do it: on the `nth` matching request and `times - 1` more."""

    kind: Kind
    on: str = "GET"
    file: str = ""
    at: int = 0
    nth: int = 1
    times: int | None = 1
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    seen: int = 0

    def strikes(self, on: str, file: str) -> bool:
        """Count a request and say whether it is one to spoil."""
        if self.on != on or (self.file and self.file != file):
            return False
        self.seen += 1
        return self.seen >= self.nth and (self.times is None or self.seen < self.nth + self.times)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repo:
    """The files of a repository at one commit, and who may have them."""

    commit: str
    files: Mapping[str, bytes]
    gated: bool = False
    private: bool = False


class Hub:
    """The server; see the module's docstring.

    Attributes:
        url: What HF_ENDPOINT is set to.
        cdn: Where large files come from.
        requests: What was asked, in order.
        stopped: Set when the server is about to end; ends what hangs.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.stopped = threading.Event()
        self._repos: dict[str, dict[str, Repo]] = {}
        self._faults: list[Fault] = []
        self._guard = threading.Lock()
        hub = self

        class Handler(_Handler):
            owner = hub

        # Two ports are two origins to a client: the Hub, and the CDN that large files come from.
        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
        self._threads = [
            threading.Thread(target=server.serve_forever, args=(0.02,)) for server in self._servers
        ]
        self.url, self.cdn = (
            f"http://127.0.0.1:{server.server_address[1]}" for server in self._servers
        )

    def __enter__(self) -> Hub:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stopped.set()
        for server, thread in zip(self._servers, self._threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()

    def add_repo(
        self, name: str, files: Mapping[str, bytes], *, branch: str = "main",
        gated: bool = False, private: bool = False, commit: str | None = None,
    ) -> str:  # fmt: skip
        """Add a repository, or a new commit to one; returns the commit."""
        digest = hashlib.sha1(name.encode(), usedforsecurity=False)
        for file, data in sorted(files.items()):
            digest.update(f"\0{file}\0{len(data)}\0".encode() + data)
        commit = commit or digest.hexdigest()
        repo = Repo(commit=commit, files=dict(files), gated=gated, private=private)
        self._repos.setdefault(name, {}).update({branch: repo, commit: repo})
        return commit

    def fault(self, kind: Kind, **when: Any) -> Fault:
        """Plan a misdeed; see Fault. `times=None` means for ever."""
        fault = Fault(kind=kind, **when)
        with self._guard:
            self._faults.append(fault)
        if kind == "hang":
            self.wait(TIMEOUT)
        return fault

    @staticmethod
    def wait(seconds: float) -> None:
        """Set how long huggingface_hub waits for a byte; the fixture puts it back."""
        huggingface_hub.constants.HF_HUB_ETAG_TIMEOUT = seconds  # type: ignore[assignment]  # an int by default
        huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT = seconds  # type: ignore[assignment]  # as above

    def heal(self) -> None:
        """Forget all planned misdeeds."""
        with self._guard:
            self._faults.clear()

    def count(self, on: str | None = None, file: str | None = None) -> int:
        """Return how many requests there were, of a kind and for a file if given."""
        return sum(
            (on is None or request.on == on) and (file is None or request.file == file)
            for request in self.requests
        )

    def note(self, request: Request) -> Fault | None:
        """Record a request; returns the misdeed that is due, if any."""
        with self._guard:
            self.requests.append(request)
            due = [fault for fault in self._faults if fault.strikes(request.on, request.file)]
        return due[0] if due else None

    def repo(self, name: str) -> dict[str, Repo] | None:
        """Return a repository's commits and branches."""
        return self._repos.get(name)

    def large(self, sha256: str) -> tuple[str, bytes] | None:
        """Return name and bytes of a large file by its hash."""
        for revisions in self._repos.values():
            for repo in revisions.values():
                for name, data in repo.files.items():
                    if hashlib.sha256(data).hexdigest() == sha256:
                        return name, data
        return None


class _Handler(BaseHTTPRequestHandler):
    owner: Hub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes; waiting costs 40 ms each

    def do_HEAD(self) -> None:
        self._answer("HEAD")

    def do_GET(self) -> None:
        self._answer("GET")

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:  # the client hung up, or one of our own misdeeds did
            self.close_connection = True

    def _answer(self, method: str) -> None:
        path = urlsplit(self.path).path
        api = re.fullmatch(r"/api/models/(.+?)(?:/(revision|tree)/([^/]+).*)?", path)
        file = re.fullmatch(r"/(.+?)/resolve/([^/]+)/(.+)", path)
        cdn = re.fullmatch(r"/cdn/([0-9a-f]{64})(?:/.*)?", path)
        token = self.headers.get("Authorization")
        if api:
            fault = self.owner.note(Request(on="API", file=api[1], token=token))
            self._api(api[1], api[2] or "revision", unquote(api[3] or "main"), fault)
        elif cdn and (found := self.owner.large(cdn[1])):
            self._send_file(method, *found, fault=self._note(method, found[0], token))
        elif file:
            self._resolve(method, file[1], unquote(file[2]), unquote(file[3]), token)
        else:
            self._refuse(404, {})

    def _note(self, method: str, name: str, token: str | None) -> Fault | None:
        start = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return self.owner.note(
            Request(on=method, file=name, start=int(start[1]) if start else None, token=token)
        )

    def _api(self, name: str, what: str, revision: str, fault: Fault | None) -> None:
        if fault is not None and self._misbehave(fault, b"{}" * 100):
            return
        repo = self._find(name, revision)
        if repo is None:
            return
        files: list[dict[str, Any]] = [
            {"rfilename": file, "path": file, "type": "file", "size": len(data)}
            for file, data in repo.files.items()
        ]
        value: Any = files
        if what == "revision":
            value = {"_id": "0", "id": name, "modelId": name, "sha": repo.commit,
                     "private": repo.private, "gated": repo.gated, "siblings": files,
                     "tags": [], "downloads": 0, "likes": 0}  # fmt: skip
        self._send(200, {"Content-Type": "application/json"}, json.dumps(value).encode())

    def _find(self, name: str, revision: str) -> Repo | None:
        """Return a repository at a revision, or refuse as the Hub does."""
        revisions = self.owner.repo(name)
        if revisions is None or (
            self.headers.get("Authorization") is None
            and any(repo.private for repo in revisions.values())
        ):
            self._refuse(401, {"X-Error-Code": "RepoNotFound",
                               "X-Error-Message": "Repository not found"})  # fmt: skip
        elif revision not in revisions:
            self._refuse(404, {"X-Error-Code": "RevisionNotFound"})
        else:
            return revisions[revision]
        return None

    def _resolve(self, method: str, name: str, revision: str, file: str, token: str | None) -> None:
        large = file.endswith(LARGE)
        # A GET of a large file is noted where its bytes are sent: at the CDN.
        fault = None if large and method == "GET" else self._note(method, file, token)
        repo = self._find(name, revision)
        if repo is None:
            return
        if repo.gated and token is None:
            self._refuse(401, {"X-Error-Code": "GatedRepo",
                               "X-Error-Message": "The model is gated."})  # fmt: skip
            return
        if file not in repo.files:
            self._refuse(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": repo.commit})
            return
        data = repo.files[file]
        headers = {"X-Repo-Commit": repo.commit}
        if not large:
            blob = f"blob {len(data)}\0".encode() + data
            headers["ETag"] = f'"{hashlib.sha1(blob, usedforsecurity=False).hexdigest()}"'
            self._send_file(method, file, data, fault=fault, headers=headers)
            return
        sha256 = hashlib.sha256(data).hexdigest()
        headers |= {
            "X-Linked-Etag": f'"{sha256}"',
            "X-Linked-Size": str(len(data)),
            "Location": f"{self.owner.cdn}/cdn/{sha256}",
        }
        if fault is not None and (headers := self._spoil(fault, headers)) is None:
            return
        self._send(302, headers, b"")

    def _send_file(
        self, method: str, name: str, data: bytes, *, fault: Fault | None,
        headers: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        headers = {"Accept-Ranges": "bytes", **(headers or {})}
        if method == "HEAD":
            spoilt = headers if fault is None else self._spoil(fault, headers)
            if spoilt is not None:
                self._send(200, {"Content-Length": str(len(data)), **spoilt}, b"")
            return
        if fault is not None and fault.kind == "wrong":
            at = fault.at % len(data)
            data = data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]
            fault = None
        start, status = 0, 200
        if wanted := re.match(r"bytes=(\d+)-", self.headers.get("Range", "")):
            start, status = int(wanted[1]), 206
            if start >= len(data):
                self._refuse(416, {"Content-Range": f"bytes */{len(data)}"})
                return
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        if fault is None or not self._misbehave(fault, data, start, status, headers):
            self._send(status, headers, data[start:])

    def _spoil(self, fault: Fault, headers: dict[str, str]) -> dict[str, str] | None:
        """Return the headers of a HEAD, spoilt; None if the whole answer was."""
        match fault.kind:
            case "no-etag":
                return {k: v for k, v in headers.items() if "etag" not in k.lower()}
            case "no-commit":
                return {k: v for k, v in headers.items() if k != "X-Repo-Commit"}
            case "other-commit":
                return {**headers, "X-Repo-Commit": "f" * 40}
            case "evil-etag":
                evil = {k: '"../../../../evil"' for k in headers if "etag" in k.lower()}
                return {**headers, **evil}
            case "bad-length":
                return {**headers, "X-Linked-Size": "banana"}
            case _:
                return None if self._misbehave(fault, b"") else headers

    def _misbehave(
        self, fault: Fault, data: bytes, start: int = 0, status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> bool:  # fmt: skip
        """Answer wrongly; returns False where the right answer is still to be given."""
        sent = data[start : max(start, fault.at)]
        full = {**(headers or {}), "Content-Length": str(len(data) - start)}
        match fault.kind:
            case "status":
                self._refuse(fault.status, fault.headers)
            case "html":
                page = b"<html><body>Please log in to the network.</body></html>"
                self._send(200, {"Content-Type": "text/html"}, page)
            case "json":
                self._send(200, {"Content-Type": "application/json"}, fault.body)
            case "garbage":
                self.wfile.write(b"\x00\xffthis is no HTTP\r\n\r\n")
                self.close_connection = True
            case "loop":
                self._send(302, {"Location": self.owner.url + self.path}, b"")
            case "short":
                self._send(status, headers or {}, sent)
            case "longer":
                self._send(status, headers or {}, data[start:] + b"more" * 8)
            case "slow":
                for _ in range(3):
                    self.owner.stopped.wait(TIMEOUT / 4)
                return False
            case "truncate":
                self._send(status, full, sent)
                self.close_connection = True
            case "reset":
                if self.command != "HEAD":
                    self._send(status, full, sent)
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.close_connection = True
            case "hang":
                if self.command != "HEAD" and data:
                    self._send(status, full, sent)
                self.owner.stopped.wait(60)
                self.close_connection = True
            case _:
                raise AssertionError(f"{fault.kind} is no misdeed for this request")
        return True

    def _refuse(self, status: int, headers: Mapping[str, str]) -> None:
        self._send(status, headers, b"")

    def _send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
            self.wfile.flush()


class _NoWait:
    """Stands for the module `time` in huggingface_hub, so that its pauses take no time."""

    @staticmethod
    def sleep(seconds: float) -> None:
        """Return at once."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A running Hub that this test's process talks to, with empty caches and no pauses."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN",
                 "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_OFFLINE"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    constants = huggingface_hub.constants
    with Hub() as server:
        home = tmp_path / "hf"
        for name, value in {
            "HF_ENDPOINT": server.url,
            "HF_HOME": str(home),
            "HF_HUB_CACHE": str(home / "hub"),
            "HF_HUB_OFFLINE": "0",
            "ZOO_CACHE": str(tmp_path / "zoo"),
        }.items():
            monkeypatch.setenv(name, value)
        # huggingface_hub has read its environment when it was imported.
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
        for name in ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"):
            monkeypatch.setattr(constants, name, PATIENCE)
        monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 4096)
        monkeypatch.setattr(huggingface_hub.file_download, "time", _NoWait)
        monkeypatch.setattr("zoo.weights.retry.sleep", _NoWait.sleep)
        yield server
        huggingface_hub.close_session()
