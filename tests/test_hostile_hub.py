"""A Hub that misbehaves in every way that we could think of, at every point of a download.

Each case ends in the right bytes or in the right error, and whatever happened, nothing wrong is
left where a later load would take it.
"""

from __future__ import annotations

import hashlib
import json
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from tests.hub import Hub
from zoo.errors import (
    GatedError,
    IntegrityError,
    OfflineError,
    RateLimitError,
    RepoNotFoundError,
    ServerError,
    WeightsError,
)
from zoo.spec import WeightsSpec
from zoo.weights import Fetched, fetch_weights

REPO = "org/name"
ONE = "model-00001-of-00002.safetensors"
TWO = "model-00002-of-00002.safetensors"
INDEX = "model.safetensors.index.json"


def files() -> dict[str, bytes]:
    """Return a checkpoint of two shards; large enough that one read does not take it whole."""
    first = {"a": torch.arange(9_000.0)}
    second = {"b": torch.arange(9_000.0) * -1, "c": torch.ones(3)}
    places = {**dict.fromkeys(first, ONE), **dict.fromkeys(second, TWO)}
    return {
        INDEX: json.dumps({"metadata": {}, "weight_map": places}).encode(),
        ONE: save(first),
        TWO: save(second),
    }


FILES = files()
FIRST, MIDDLE, LAST = 0, len(FILES[ONE]) // 2, len(FILES[ONE]) - 1


@dataclass(frozen=True)
class Case:
    """A misdeed and how it must end: `error` is None for the right bytes."""

    name: str
    kind: Any
    when: dict[str, Any] = field(default_factory=dict)
    error: type[WeightsError] | None = None
    says: str = ""


def breaks() -> list[Case]:
    """Return what can happen to bytes under way: where, on which shard, how often."""
    cases = []
    lasting: dict[str, type[WeightsError]] = {
        "reset": ServerError, "truncate": ServerError, "hang": ServerError, "wrong": IntegrityError,
    }  # fmt: skip
    for kind, error in lasting.items():
        for place, at in (("first", FIRST), ("middle", MIDDLE), ("last", LAST)):
            for often, times in (("once", 1), ("twice", 2), ("ever", None)):
                ends = error if times is None or (kind == "wrong" and times == 2) else None
                when = {"file": ONE, "at": at, "times": times}
                cases.append(Case(f"{kind}-{place}-{often}", kind, when, ends))
        for often, times in (("once", 1), ("ever", None)):
            when = {"file": TWO, "at": MIDDLE, "times": times}
            ends = error if times is None else None
            cases.append(Case(f"{kind}-shard2-{often}", kind, when, ends))
    for kind, ends in (("short", ServerError), ("longer", ServerError), ("html", ServerError)):
        for often, times in (("once", 1), ("ever", None)):
            when = {"file": TWO, "at": MIDDLE, "times": times}
            cases.append(Case(f"{kind}-{often}", kind, when, None if times else ends))
    for file, place in ((INDEX, "index"), (ONE, "shard1")):
        cases.append(Case(f"slow-{place}", "slow", {"file": file}))
        cases.append(Case(f"garbage-{place}", "garbage", {"file": file}))
        when = {"file": file, "times": None}
        cases.append(Case(f"garbage-{place}-ever", "garbage", when, ServerError))
    when = {"file": INDEX, "at": 20, "times": None}
    cases.append(Case("wrong-index-ever", "wrong", when, IntegrityError, "git"))
    cases.append(Case("wrong-index-once", "wrong", {**when, "times": 1}))
    return cases


def answers() -> list[Case]:
    """Return refusals, at the HEAD, at the GET and where the list of files is asked for."""
    statuses: list[tuple[int, dict[str, str], type[WeightsError], str]] = [
        (401, {}, GatedError, "HF_TOKEN"),
        (401, {"X-Error-Code": "GatedRepo"}, GatedError, "Accept the licence"),
        (403, {"X-Error-Code": "GatedRepo"}, GatedError, "Accept the licence"),
        (403, {}, GatedError, "HF_TOKEN"),
        (404, {}, RepoNotFoundError, "HTTP 404"),
        (404, {"X-Error-Code": "RevisionNotFound"}, RepoNotFoundError, "no revision"),
        (404, {"X-Error-Code": "RepoNotFound"}, RepoNotFoundError, "no repository"),
        (400, {}, ServerError, "HTTP 400"),
        (418, {}, ServerError, "HTTP 418"),
        (451, {}, ServerError, "HTTP 451"),
    ]
    cases = []
    for on, file in (("HEAD", TWO), ("GET", TWO), ("API", REPO)):
        for status, headers, error, says in statuses:
            code = headers.get("X-Error-Code", "plain")
            when = {"on": on, "file": file, "status": status, "headers": headers, "times": None}
            cases.append(Case(f"{status}-{code}-{on}", "status", when, error, says))
        for status in (429, 500, 502, 503, 504):
            error = RateLimitError if status == 429 else ServerError
            for often, times in (("once", 1), ("twice", 2), ("ever", None)):
                when = {"on": on, "file": file, "status": status, "times": times}
                if status in (429, 503):
                    when["headers"] = {"Retry-After": "7"}
                ends, says = (None, "") if times else (error, f"HTTP {status}")
                cases.append(Case(f"{status}-{on}-{often}", "status", when, ends, says))
        when = {"on": on, "file": file, "status": 429, "headers": {"Retry-After": "86400"}}
        cases.append(Case(f"429-{on}-a-day", "status", when, RateLimitError, "86400 s"))
    return cases


def heads() -> list[Case]:
    """Return a HEAD or a list of files that is broken or makes no sense."""
    cases = []
    for kind in ("reset", "garbage", "hang"):
        for on, file in (("HEAD", ONE), ("HEAD", TWO), ("API", REPO)):
            place = f"{on}-{file[6:11]}"
            cases.append(Case(f"{kind}-{place}-once", kind, {"on": on, "file": file}))
            when = {"on": on, "file": file, "times": None}
            cases.append(Case(f"{kind}-{place}-ever", kind, when, ServerError))
        # The second HEAD of a file is the one that huggingface_hub itself makes.
        cases.append(Case(f"{kind}-second-HEAD", kind, {"on": "HEAD", "file": ONE, "nth": 2}))
    for kind in ("no-etag", "no-commit", "other-commit", "loop", "html"):
        cases.append(Case(f"{kind}-HEAD-once", kind, {"on": "HEAD", "file": ONE}))
        when = {"on": "HEAD", "file": ONE, "times": None}
        cases.append(Case(f"{kind}-HEAD-ever", kind, when, ServerError))
    evil = {"on": "HEAD", "file": ONE, "times": None}
    cases.append(Case("evil-etag", "evil-etag", evil, ServerError, "Do not trust"))
    later = {**evil, "nth": 2}
    cases.append(Case("evil-etag-later", "evil-etag", later, ServerError, "Do not trust"))
    cases.append(Case("bad-length", "bad-length", evil))
    for name, body in {
        "no-json": b"<html>",
        "null": b"null",
        "list": b"[]",
        "no-sha": b'{"id": "org/name"}',
        "evil-sha": b'{"id": "org/name", "sha": "../../evil", "siblings": []}',
        "siblings": b'{"id": "org/name", "sha": "' + b"a" * 40 + b'", "siblings": 7}',
        "deep": b"[" * 100_000,
    }.items():
        when = {"on": "API", "times": None, "body": body}
        cases.append(Case(f"list-{name}", "json", when, ServerError))
    return cases


CASES = [*breaks(), *answers(), *heads()]


def assert_right(fetched: Fetched) -> None:
    assert [path.read_bytes() for path in fetched.weights] == [FILES[ONE], FILES[TWO]]
    for name, digest in fetched.sha256.items():
        assert digest == hashlib.sha256(FILES[name]).hexdigest()


def assert_nothing_wrong_is_kept(home: Path) -> None:
    """Every file under a name that a later load would take has the right bytes."""
    for path in home.glob("hf/hub/models--*/snapshots/*/*"):
        if path.is_file():
            assert path.read_bytes() == FILES[path.name], f"{path} has wrong bytes"
    assert not list(home.rglob("*.incomplete"))
    assert not [path for path in home.parent.rglob("*evil*") if path != home]


def test_there_are_more_than_sixty_different_faults() -> None:
    assert len({case.name for case in CASES}) == len(CASES) > 60


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_fault_ends_in_the_right_bytes_or_the_right_error(
    case: Case, hub: Hub, tmp_path: Path
) -> None:
    spec = WeightsSpec(source=f"hf:{REPO}")
    hub.add_repo(REPO, FILES)
    hub.fault(case.kind, **case.when)

    if case.error is None:
        assert_right(fetch_weights(spec))
    else:
        with pytest.raises(case.error) as caught:
            fetch_weights(spec)
        assert type(caught.value) in (case.error, *case.error.__subclasses__())
        text = str(caught.value)
        assert case.says in text
        assert REPO in text or "Do not trust" in text
        assert len(text) > 60, text

    assert_nothing_wrong_is_kept(tmp_path)
    hub.heal()
    assert_right(fetch_weights(spec))
    assert_nothing_wrong_is_kept(tmp_path)


def test_a_refused_connection_says_that_the_host_cannot_be_reached(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(OfflineError, match="cannot be reached"):
            fetch_weights(WeightsSpec(source="hf:org/name"))


def test_a_name_that_cannot_be_looked_up_says_so(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")

    with pytest.raises(OfflineError, match=r"hub\.invalid cannot be looked up"):
        fetch_weights(WeightsSpec(source="hf:org/name"))


@pytest.mark.parametrize(
    "value",
    ["banana", "huggingface.co", "http://", "ftp://hub.example", "https://a b", "http://h:x"],
)
def test_an_address_that_is_none_names_the_variable_at_once(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", value)

    for source in (WeightsSpec(source="hf:org/name"),
                   WeightsSpec(source="hf:org/name", revision="0" * 40)):  # fmt: skip
        with pytest.raises(WeightsError, match=rf"HF_ENDPOINT='{value}' is not .* look like http"):
            fetch_weights(source)


def test_what_is_cached_needs_no_address(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add_repo(REPO, FILES)
    spec = WeightsSpec(source=f"hf:{REPO}")
    fetch_weights(spec)
    monkeypatch.setenv("HF_ENDPOINT", "banana")

    assert_right(fetch_weights(spec))


def test_a_server_that_does_not_speak_tls_is_not_trusted(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.url.replace("http:", "https:"))

    with pytest.raises(ServerError, match=r"TLS failed.*SSL_CERT_FILE"):
        fetch_weights(WeightsSpec(source="hf:org/name"))


def test_a_proxy_that_refuses_is_named(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    monkeypatch.setenv("HF_ENDPOINT", "https://hub.invalid")
    monkeypatch.setenv("HTTPS_PROXY", hub.url)  # which does not know CONNECT
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    huggingface_hub.close_session()

    with pytest.raises(OfflineError, match="HTTPS_PROXY"):
        fetch_weights(WeightsSpec(source="hf:org/name"))


def test_a_gated_repository_opens_with_a_token_which_the_cdn_never_sees(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repo(REPO, FILES, gated=True)
    spec = WeightsSpec(source=f"hf:{REPO}")
    with pytest.raises(GatedError, match=f"{hub.url}/{REPO}"):
        fetch_weights(spec)

    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert_right(fetch_weights(spec))

    sent = {request.token for request in hub.requests if request.on == "GET" and
            request.file == ONE}  # fmt: skip
    assert sent == {None}


def test_a_private_repository_looks_like_none_and_the_error_says_both(hub: Hub) -> None:
    hub.add_repo(REPO, FILES, private=True)

    with pytest.raises(RepoNotFoundError, match="if it is private"):
        fetch_weights(WeightsSpec(source=f"hf:{REPO}"))


@pytest.mark.parametrize("name", ["", "a/b/c", "../etc", "org/..", "org/na me", "org/-", "x" * 200])
def test_an_impossible_repository_name_is_refused_without_a_request(hub: Hub, name: str) -> None:
    with pytest.raises(RepoNotFoundError, match="cannot be the name"):
        fetch_weights(WeightsSpec(source=f"hf:{name}"))

    assert not hub.requests


def test_the_pause_that_a_rate_limit_asks_for_is_kept(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("zoo.weights.retry.sleep", pauses.append)
    hub.add_repo(REPO, FILES)
    hub.fault("status", file=TWO, status=429, headers={"Retry-After": "7"}, times=2)

    fetch_weights(WeightsSpec(source=f"hf:{REPO}"))

    assert pauses == [7.0, 7.0]


def test_pauses_grow_and_are_never_the_same_for_two_clients(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("zoo.weights.retry.sleep", pauses.append)
    hub.add_repo(REPO, FILES)
    hub.fault("status", on="HEAD", status=500, times=None)

    for _ in range(2):
        with pytest.raises(ServerError):
            fetch_weights(WeightsSpec(source=f"hf:{REPO}"))

    first, second = pauses[:3], pauses[3:]
    assert len(first) == len(second) == 3
    assert first != second
    assert first[0] < first[1] < first[2] < 5


def test_a_download_that_breaks_off_is_resumed_where_it_stopped(hub: Hub) -> None:
    hub.add_repo(REPO, FILES)
    hub.fault("truncate", file=ONE, at=MIDDLE)

    assert_right(fetch_weights(WeightsSpec(source=f"hf:{REPO}")))

    starts = [request.start for request in hub.requests if request.on == "GET" and
              request.file == ONE]  # fmt: skip
    assert starts[0] is None
    assert starts[1:] == [MIDDLE - MIDDLE % 4096]  # huggingface_hub keeps whole blocks
