"""Folders, installed packages and https: where files may come from besides the Hub."""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import huggingface_hub
import pytest
import torch
from safetensors.torch import save

from tests.hub import Hub
from zoo.errors import (
    DiskError,
    FormatError,
    IntegrityError,
    OfflineError,
    OptionError,
    RepoNotFoundError,
    ServerError,
)
from zoo.spec import WeightsSpec
from zoo.weights import fetch_first, fetch_weights, open_repo
from zoo.weights.https import HttpsSource, secure_handlers

DATA = save({"a": torch.arange(30_000.0)})
OTHER = save({"a": torch.arange(30_000.0) + 1})
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "zoo"))


def write(folder: Path, **files: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name.replace("_", ".")).write_bytes(data)
    return folder


# Folders


def test_a_folder_is_read_where_it_is(tmp_path: Path) -> None:
    folder = write(tmp_path / "model", model_safetensors=DATA, vocab_txt=b"a\n")
    spec = WeightsSpec(source=str(folder))

    fetched = fetch_weights(spec)

    assert fetched.weights == (folder / "model.safetensors",)
    assert fetched.revision is None
    assert fetched.sha256 == {"model.safetensors": SHA256}
    assert fetched.pinned(spec) == spec
    assert fetch_first(spec, ["tokenizer.json", "vocab.txt"]) == folder / "vocab.txt"


def test_a_folders_files_may_change_because_they_are_the_users(tmp_path: Path) -> None:
    folder = write(tmp_path / "model", model_safetensors=DATA)
    fetch_weights(WeightsSpec(source=str(folder)))
    write(folder, model_safetensors=OTHER)

    fetched = fetch_weights(WeightsSpec(source=str(folder)))

    assert fetched.sha256 == {"model.safetensors": hashlib.sha256(OTHER).hexdigest()}


def test_a_folders_files_may_not_differ_from_what_the_row_pins(tmp_path: Path) -> None:
    folder = write(tmp_path / "model", model_safetensors=OTHER)

    with pytest.raises(IntegrityError, match="the model's row expects"):
        fetch_weights(WeightsSpec(source=str(folder), sha256={"model.safetensors": SHA256}))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RepoNotFoundError, match="There is no folder"):
        fetch_weights(WeightsSpec(source=str(tmp_path / "nothing")))


def test_a_home_folder_may_be_written_with_a_tilde(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "model", model_safetensors=DATA)
    monkeypatch.setenv("HOME", str(tmp_path))

    assert fetch_weights(WeightsSpec(source="~/model")).sha256["model.safetensors"] == SHA256


def test_a_folder_is_read_even_where_nothing_can_be_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path / "model", model_safetensors=DATA)
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "file" / "cache"))

    assert fetch_weights(WeightsSpec(source=str(folder))).sha256["model.safetensors"] == SHA256


def test_the_files_of_a_folder_are_listed_with_forward_slashes(tmp_path: Path) -> None:
    folder = write(tmp_path / "model", config_json=b'{"a": [1, 2]}')
    write(folder / "1_Pooling", config_json=b"{}")
    write(folder / ".git", config_json=b"{}")

    repo = open_repo(str(folder))

    assert repo.names() == {"config.json", "1_Pooling/config.json"}
    assert repo.json("config.json") == {"a": [1, 2]}
    assert repo.json("1_Pooling/config.json") == {}
    assert repo.json("absent.json") is None
    assert (repo.source, repo.revision) == (str(folder), None)


def test_the_header_of_a_repositorys_weights_can_be_read(tmp_path: Path) -> None:
    folder = write(tmp_path / "model", model_safetensors=DATA)
    torch.save({"b": torch.ones(2, 3)}, folder / "pytorch_model.bin")

    repo = open_repo(str(folder))

    assert repo.header("model.safetensors") == {"a": (30_000,)}
    assert repo.header("pytorch_model.bin") == {"b": (2, 3)}
    with pytest.raises(RepoNotFoundError, match=r"no file 'absent\.bin'"):
        repo.header("absent.bin")


def test_unencrypted_http_is_refused() -> None:
    with pytest.raises(OptionError, match="not encrypted"):
        fetch_weights(WeightsSpec(source="http://example.org/model.safetensors"))


# Installed packages


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with weights and a RECORD, whose code must never run."""
    site = tmp_path / "site"
    model = write(site / "weights_inside" / "model", model_safetensors=DATA)
    (site / "weights_inside" / "__init__.py").write_text("raise SystemExit('imported')")
    digest = base64.urlsafe_b64encode(hashlib.sha256(DATA).digest()).decode().rstrip("=")
    record = f"weights_inside/model/model.safetensors,sha256={digest},{len(DATA)}\n"
    write(site / "weights_inside-1.0.dist-info", RECORD=record.encode())
    monkeypatch.syspath_prepend(str(site))
    return model


def test_weights_inside_a_package_are_found_without_importing_it(package: Path) -> None:
    spec = WeightsSpec(source="package:weights_inside/model")

    fetched = fetch_weights(spec)

    assert fetched.weights == (package / "model.safetensors",)
    assert fetched.source == spec.source
    assert "weights_inside" not in sys.modules


def test_a_package_whose_file_differs_from_its_record_is_refused(package: Path) -> None:
    write(package, model_safetensors=OTHER)

    with pytest.raises(IntegrityError, match=f"expected {SHA256}"):
        fetch_weights(WeightsSpec(source="package:weights_inside/model"))


def test_a_package_without_a_record_must_keep_the_bytes_of_the_first_load(package: Path) -> None:
    (package.parent.parent / "weights_inside-1.0.dist-info" / "RECORD").unlink()
    spec = WeightsSpec(source="package:weights_inside/model")
    fetch_weights(spec)
    write(package, model_safetensors=OTHER)

    with pytest.raises(IntegrityError, match="first load remembered"):
        fetch_weights(spec)


def test_a_package_whose_first_load_cannot_be_remembered_is_an_error(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "file" / "cache"))

    with pytest.raises(DiskError, match="ZOO_CACHE"):
        fetch_weights(WeightsSpec(source="package:weights_inside/model"))


@pytest.mark.parametrize("name", ["not_installed_anywhere", "a.b", "a-b", "", "sys"])
def test_a_package_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(RepoNotFoundError, match=r"not installed here|import name"):
        fetch_weights(WeightsSpec(source=f"package:{name}/model"))


def test_no_folder_leads_out_of_a_package(package: Path) -> None:
    with pytest.raises(FormatError, match="plain relative file name"):
        fetch_weights(WeightsSpec(source="package:weights_inside/../.."))


# https


def through(hub: Hub) -> Callable[[], list[urllib.request.BaseHandler]]:
    """Return the product's own handlers, but for the wire: TLS to anywhere ends at our server."""

    class Wire(urllib.request.HTTPSHandler):
        def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
            def connect(host: str, **options: Any) -> http.client.HTTPConnection:
                patience = huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT  # as the Hub's tests
                return http.client.HTTPConnection(urlsplit(hub.url).netloc, timeout=patience)

            return self.do_open(connect, req)  # type: ignore[arg-type]  # urllib's own kind

    def handlers() -> list[urllib.request.BaseHandler]:
        return [
            Wire() if isinstance(handler, urllib.request.HTTPSHandler) else handler
            for handler in secure_handlers()
        ]

    return handlers


NAME = "model.safetensors"
URL = f"https://files.example/cdn/{SHA256}/{NAME}"


@pytest.fixture
def web(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A server behind https://files.example, with one file."""
    monkeypatch.setattr("zoo.weights.https.secure_handlers", through(hub))
    hub.add_repo("org/name", {NAME: DATA})
    return hub


def spec(**changes: Any) -> WeightsSpec:
    values: dict[str, Any] = {"source": URL, "files": (NAME,), "sha256": {NAME: SHA256}}
    return WeightsSpec(**{**values, **changes})


def test_a_pinned_file_comes_over_https_once(web: Hub) -> None:
    fetched = fetch_weights(spec())
    assert fetched.weights[0].read_bytes() == DATA
    assert fetched.sha256 == {NAME: SHA256}

    assert fetch_weights(spec()) == fetched

    assert web.count("GET") == 1


def test_a_url_that_ends_in_a_slash_has_many_files(web: Hub) -> None:
    source = URL.removesuffix(NAME)

    assert fetch_weights(spec(source=source)).weights[0].read_bytes() == DATA


def test_the_beginning_of_a_hash_is_enough(web: Hub) -> None:
    assert fetch_weights(spec(sha256={NAME: SHA256[:8]})).weights[0].read_bytes() == DATA


def test_a_file_without_a_pinned_hash_is_refused_without_a_request(web: Hub) -> None:
    with pytest.raises(IntegrityError, match=r"WeightsSpec\.sha256"):
        fetch_weights(spec(sha256={}))

    assert not web.requests


def test_other_bytes_than_the_pinned_ones_are_refused_and_not_kept(
    web: Hub, tmp_path: Path
) -> None:
    with pytest.raises(IntegrityError, match="the model's row expects"):
        fetch_weights(spec(sha256={NAME: "0" * 64}))

    assert web.count("GET") == 2
    assert not [
        path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size > 999
    ]


@pytest.mark.parametrize("kind", ["reset", "truncate", "hang", "wrong", "garbage", "html", "short"])
@pytest.mark.parametrize("times", [1, 2])
def test_a_fault_on_the_way_is_survived(web: Hub, kind: Any, times: int) -> None:
    web.fault(kind, file=NAME, at=len(DATA) // 2, times=times)

    if kind in ("wrong", "html", "short") and times == 2:
        with pytest.raises(IntegrityError):
            fetch_weights(spec())
    assert fetch_weights(spec()).weights[0].read_bytes() == DATA


def test_a_download_that_broke_off_for_good_is_resumed_by_the_next_call(web: Hub) -> None:
    web.fault("truncate", file=NAME, at=50_000, times=None)
    with pytest.raises(ServerError, match=r"https://files\.example"):
        fetch_weights(spec())
    web.heal()
    asked = len(web.requests)

    assert fetch_weights(spec()).weights[0].read_bytes() == DATA

    assert [request.start for request in web.requests[asked:]] == [50_000]


def test_a_partial_file_of_something_else_is_begun_again(web: Hub, tmp_path: Path) -> None:
    fetched = fetch_weights(spec())
    path = fetched.weights[0]
    path.unlink()
    for rest in (OTHER[:70_000], OTHER + b"longer"):
        path.with_name(f".{NAME}.partial").write_bytes(rest)
        assert fetch_weights(spec()).weights[0].read_bytes() == DATA
        path.unlink()


@pytest.mark.parametrize(
    ("status", "error"), [(404, RepoNotFoundError), (403, ServerError), (500, ServerError)]
)
def test_a_refusal_says_which_url_refused(web: Hub, status: int, error: Any) -> None:
    web.fault("status", file=NAME, status=status, times=None)

    with pytest.raises(error, match=f"{URL} answered HTTP {status}"):
        fetch_weights(spec())


def test_a_redirect_away_from_https_is_refused(web: Hub) -> None:
    there = {"Location": f"{web.url}/elsewhere"}
    web.fault("status", file=NAME, status=302, headers=there)

    with pytest.raises(ServerError, match="not https"):
        fetch_weights(spec())

    assert len(web.requests) == 1


def test_a_redirect_to_https_is_followed(web: Hub) -> None:
    web.fault("status", file=NAME, status=302, headers={"Location": URL + "?again"})

    assert fetch_weights(spec()).weights[0].read_bytes() == DATA


def test_the_products_own_connection_is_tls_with_checked_certificates(hub: Hub) -> None:
    source = HttpsSource(hub.url.replace("http:", "https:") + f"/{NAME}")

    with pytest.raises(ServerError, match="TLS failed"):
        source.get(NAME, pinned=SHA256)


def test_offline_and_not_here_says_so(web: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    with pytest.raises(OfflineError, match="HF_HUB_OFFLINE"):
        fetch_weights(spec())


def test_what_is_here_needs_no_network(web: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = fetch_weights(spec())

    def refuse(*values: object) -> NoReturn:
        raise AssertionError("a network connection was opened")

    monkeypatch.setattr("socket.socket.connect", refuse)
    assert fetch_weights(spec()) == fetched
    os.utime(fetched.weights[0], ns=(1, 1))
    assert fetch_weights(spec()) == fetched
    for lock in fetched.weights[0].parents[2].glob("locks/*/*.json"):
        lock.unlink()
    assert fetch_weights(spec()) == fetched


def test_a_file_that_rotted_is_set_aside_and_fetched_again(web: Hub) -> None:
    path = fetch_weights(spec()).weights[0]
    path.write_bytes(OTHER)

    assert fetch_weights(spec()).weights[0].read_bytes() == DATA
    assert path.with_name(f"{NAME}.corrupt").read_bytes() == OTHER


def test_no_room_on_the_disk_is_found_before_the_bytes_come(
    web: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))

    with pytest.raises(DiskError, match="MB free"):
        fetch_weights(spec())


def test_side_files_of_a_single_url_do_not_exist(web: Hub) -> None:
    with pytest.raises(RepoNotFoundError, match=r"none of: tokenizer\.json"):
        fetch_first(spec(), ["tokenizer.json"])
