"""A repository's files: chosen, fetched, verified, locked, and then never asked for again."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

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
)
from zoo.spec import WeightsSpec
from zoo.weights import fetch_first, fetch_weights, open_checkpoint, open_repo, pull

DATA = save({"a": torch.arange(30_000.0)})
OTHER = save({"a": torch.arange(30_000.0) + 1})
SHA256 = hashlib.sha256(DATA).hexdigest()
SPEC = WeightsSpec(source="hf:org/name")


def blob(home: Path) -> Path:
    """Return the one large file in the Hub's cache."""
    (found,) = (path for path in home.glob("hf/hub/models--*/blobs/*") if len(path.name) == 64)
    return found


def lock_files(home: Path) -> list[Path]:
    return sorted(home.glob("zoo/locks/*/*.json"))


def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make any socket an error."""

    def refuse(*values: object, **options: object) -> NoReturn:
        raise AssertionError("a network connection was opened")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.create_connection", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)


def test_main_is_resolved_once_and_its_commit_remembered(hub: Hub) -> None:
    commit = hub.add_repo("org/name", {"model.safetensors": DATA})
    fetched = fetch_weights(SPEC)
    hub.add_repo("org/name", {"model.safetensors": OTHER})

    again = fetch_weights(SPEC)

    assert fetched.revision == again.revision == commit
    assert fetched.pinned(SPEC).revision == commit
    assert again.weights[0].read_bytes() == DATA
    assert fetched.sha256 == {"model.safetensors": SHA256}
    assert hub.count("API") == 1


def test_a_tag_is_resolved_and_remembered_like_a_branch(hub: Hub) -> None:
    tagged = hub.add_repo("org/name", {"model.safetensors": DATA}, branch="v1.0/rc+1")
    hub.add_repo("org/name", {"model.safetensors": OTHER})

    fetched = fetch_weights(WeightsSpec(source="hf:org/name", revision="v1.0/rc+1"))

    assert fetched.revision == tagged
    assert fetched.weights[0].read_bytes() == DATA


def test_what_is_cached_and_locked_opens_no_connection(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"model.safetensors": DATA, "tokenizer.json": b"{}", "config.json": b'{"x": 1}'}
    hub.add_repo("org/name", files)
    fetch_weights(SPEC)
    fetch_first(SPEC, ["vocab.json", "tokenizer.json"])
    open_repo("hf:org/name").json("config.json")
    asked = len(hub.requests)
    no_network(monkeypatch)

    fetched = fetch_weights(SPEC)
    repo = open_repo("hf:org/name")

    assert fetched.weights[0].read_bytes() == DATA
    assert fetch_first(SPEC, ["vocab.json", "tokenizer.json"]).read_bytes() == b"{}"
    assert repo.json("config.json") == {"x": 1}
    assert repo.json("absent.json") is None
    assert repo.names() == frozenset(files)
    assert pull(SPEC, verify=True).sha256 == fetched.sha256
    assert len(hub.requests) == asked


def test_what_is_cached_and_locked_does_not_even_import_huggingface_hub(
    hub: Hub, tmp_path: Path
) -> None:
    hub.add_repo("org/name", {"model.safetensors": DATA})
    fetch_weights(SPEC)

    code = (
        "import sys; from zoo.spec import WeightsSpec; from zoo.weights import fetch_weights;"
        "print(fetch_weights(WeightsSpec(source='hf:org/name')).weights[0].stat().st_size,"
        "'huggingface_hub' in sys.modules, 'torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout.split() == [str(len(DATA)), "False", "False"]


def test_a_pinned_commit_needs_no_resolving(hub: Hub) -> None:
    commit = hub.add_repo("org/name", {"model.safetensors": DATA})

    fetch_weights(WeightsSpec(source="hf:org/name", revision=commit))

    assert hub.count("API") == 0


def test_the_first_file_that_exists_is_taken_and_no_other(hub: Hub) -> None:
    hub.add_repo("org/name", {"second.safetensors": DATA, "third.safetensors": OTHER})
    names = ("first.safetensors", "second.safetensors", "third.safetensors")

    fetched = fetch_weights(WeightsSpec(source="hf:org/name", files=names))

    assert list(fetched.files) == ["second.safetensors"]
    assert hub.count("GET") == 1


def test_absence_is_remembered_too(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = hub.add_repo("org/name", {"second.safetensors": DATA})
    names = ("first.safetensors", "second.safetensors")
    spec = WeightsSpec(source="hf:org/name", files=names, revision=commit)
    fetch_weights(spec)
    no_network(monkeypatch)

    assert list(fetch_weights(spec).files) == ["second.safetensors"]


def test_a_repository_without_any_of_the_files_says_which_were_looked_for(hub: Hub) -> None:
    hub.add_repo("org/name", {"README.md": b""})

    with pytest.raises(RepoNotFoundError, match=r"none of: model\.safetensors, pytorch_model\.bin"):
        fetch_weights(SPEC)


def test_files_in_a_subfolder_are_found_there(hub: Hub) -> None:
    files = {"model.safetensors": OTHER, "sub/model.safetensors": DATA, "sub/vocab.txt": b"a\n"}
    hub.add_repo("org/name", files)
    spec = WeightsSpec(source="hf:org/name", subfolder="sub")

    assert fetch_weights(spec).files.keys() == {"sub/model.safetensors"}
    assert fetch_weights(spec).weights[0].read_bytes() == DATA
    assert fetch_first(spec, ["vocab.txt"]).read_bytes() == b"a\n"


def sharded(places: dict[str, str] | None = None, **files: bytes) -> dict[str, bytes]:
    """Return a checkpoint of two shards and its index."""
    index = {"weight_map": places or {"a": "one.safetensors", "b": "two.safetensors"}}
    return {
        "model.safetensors.index.json": json.dumps(index).encode(),
        "one.safetensors": save({"a": torch.ones(2)}),
        "two.safetensors": save({"b": torch.ones(3)}),
        **files,
    }


def test_a_split_checkpoint_is_found_by_the_name_of_the_whole_one(hub: Hub) -> None:
    hub.add_repo("org/name", sharded())

    fetched = fetch_weights(SPEC)

    assert [path.name for path in fetched.weights] == ["one.safetensors", "two.safetensors"]
    assert open_checkpoint(fetched.weights).header == {"a": (2,), "b": (3,)}
    assert set(fetched.sha256) == set(sharded())


def test_a_whole_file_is_preferred_to_shards(hub: Hub) -> None:
    hub.add_repo("org/name", {**sharded(), "model.safetensors": DATA})

    assert list(fetch_weights(SPEC).files) == ["model.safetensors"]


@pytest.mark.parametrize(
    "shard",
    ["../one.safetensors", "/etc/passwd", "a/one.safetensors", "one.exe", "", "..", "a\\b.bin",
     "one.safetensors\0", 7, None, ["one.safetensors"], ".one.safetensors", "https://x/a.bin"],
)  # fmt: skip
def test_an_index_may_only_name_files_beside_it(hub: Hub, shard: Any) -> None:
    hub.add_repo("org/name", sharded({"a": "one.safetensors", "b": shard}))

    with pytest.raises(FormatError, match="plain name of a weights file"):
        fetch_weights(SPEC)

    assert hub.count("GET") == 1  # the index alone


@pytest.mark.parametrize(
    "index", [b"[]", b"{}", b'{"weight_map": []}', b'{"weight_map": {}}', b"7", b"not json", b"",
              b'{"weight_map": {"a": "one.safetensors", "a": "two.safetensors"}}',
              b"[" * 200_000, b'{"weight_map": "\xff"}'],
)  # fmt: skip
def test_an_index_that_is_none_is_refused(hub: Hub, index: bytes) -> None:
    hub.add_repo("org/name", {"model.safetensors.index.json": index})

    with pytest.raises(FormatError, match=r"index\.json"):
        fetch_weights(SPEC)


def test_shards_that_hold_other_tensors_than_their_index_says_are_refused(hub: Hub) -> None:
    places = {"a": "two.safetensors", "b": "two.safetensors", "c": "one.safetensors"}
    hub.add_repo("org/name", sharded(places))

    with pytest.raises(FormatError, match=r"does not hold what .*index\.json says: a, c"):
        fetch_weights(SPEC)


def test_a_missing_shard_is_named(hub: Hub) -> None:
    files = sharded()
    del files["two.safetensors"]
    hub.add_repo("org/name", files)

    with pytest.raises(RepoNotFoundError, match=r"two\.safetensors"):
        fetch_weights(SPEC)


def test_a_row_that_pins_other_bytes_refuses_the_hubs_without_fetching_them_twice(
    hub: Hub, tmp_path: Path
) -> None:
    hub.add_repo("org/name", {"model.safetensors": DATA})
    spec = WeightsSpec(source="hf:org/name", sha256={"model.safetensors": "0" * 64})

    for _ in range(2):
        with pytest.raises(IntegrityError, match=f"expected {'0' * 64}, found {SHA256}"):
            fetch_weights(spec)

    assert hub.count("GET") == 1
    assert blob(tmp_path).read_bytes() == DATA  # what the Hub holds is not thrown away


def test_a_pin_holds_for_the_file_of_that_name_and_no_other(hub: Hub) -> None:
    hub.add_repo("org/name", {"model.safetensors": DATA, "2_Dense/model.safetensors": OTHER})
    spec = WeightsSpec(source="hf:org/name", sha256={"model.safetensors": SHA256},
                       parts={"dense.": "2_Dense/model.safetensors"})  # fmt: skip

    fetched = fetch_weights(spec)

    assert fetched.parts["dense."].read_bytes() == OTHER
    assert fetched.sha256["model.safetensors"] == SHA256


def test_a_row_may_pin_the_beginning_of_a_hash(hub: Hub) -> None:
    hub.add_repo("org/name", {"model.safetensors": DATA})
    pin = {"model.safetensors": SHA256[:8].upper()}

    for _ in range(2):
        assert fetch_weights(WeightsSpec(source="hf:org/name", sha256=pin)).sha256 == {
            "model.safetensors": SHA256
        }


@pytest.mark.parametrize("pin", ["abc", "g" * 64, "0" * 65, "sha256:" + "0" * 64])
def test_a_pin_that_is_no_hash_is_refused(hub: Hub, pin: str) -> None:
    hub.add_repo("org/name", {"model.safetensors": DATA})

    with pytest.raises(FormatError, match="is no sha256"):
        fetch_weights(WeightsSpec(source="hf:org/name", sha256={"model.safetensors": pin}))


def test_a_locked_file_is_hashed_again_only_when_it_looks_changed(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repo("org/name", {"model.safetensors": DATA})
    fetch_weights(SPEC)
    hashed: list[str] = []
    real = sys.modules["zoo.weights.verify"].hash_file  # type: ignore[attr-defined]  # module's own

    def counting(path: Path, *, git: bool = False) -> tuple[str, str]:
        hashed.append(path.name)
        return real(path, git=git)  # type: ignore[no-any-return]  # as above

    monkeypatch.setattr("zoo.weights.verify.hash_file", counting)

    fetch_weights(SPEC)
    assert hashed == []
    pull(SPEC)
    assert hashed == []
    pull(SPEC, verify=True)
    assert len(hashed) == 1
    os.utime(blob(tmp_path), ns=(1, 1))
    fetch_weights(SPEC)
    assert len(hashed) == 2
    fetch_weights(SPEC)  # the new time is remembered
    assert len(hashed) == 2


def test_a_file_that_rotted_in_the_cache_is_set_aside_and_fetched_again(
    hub: Hub, tmp_path: Path
) -> None:
    hub.add_repo("org/name", {"model.safetensors": DATA})
    fetch_weights(SPEC)
    rotten = DATA[:-1] + b"\x55"
    blob(tmp_path).write_bytes(rotten)

    fetched = fetch_weights(SPEC)

    assert fetched.weights[0].read_bytes() == DATA
    assert hub.count("GET") == 2
    (aside,) = tmp_path.rglob("*.corrupt")
    assert aside.read_bytes() == rotten


def test_rot_that_keeps_size_and_time_is_found_by_pull_verify(hub: Hub, tmp_path: Path) -> None:
    hub.add_repo("org/name", {"model.safetensors": DATA})
    fetch_weights(SPEC)
    path = blob(tmp_path)
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x55")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert pull(SPEC, verify=True).weights[0].read_bytes() == DATA


def test_a_rotten_file_offline_is_an_error_that_leaves_it_alone(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repo("org/name", {"model.safetensors": DATA})
    fetch_weights(SPEC)
    blob(tmp_path).write_bytes(OTHER)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    with pytest.raises(IntegrityError, match="has other bytes than"):
        fetch_weights(SPEC)

    assert blob(tmp_path).read_bytes() == OTHER


def test_a_hub_that_changes_a_commits_bytes_is_found_out(hub: Hub, tmp_path: Path) -> None:
    commit = hub.add_repo("org/name", {"model.safetensors": DATA})
    spec = WeightsSpec(source="hf:org/name", revision=commit)
    fetch_weights(spec)
    for path in (tmp_path / "hf").rglob("*.safetensors"):
        path.unlink()
    hub.repo("org/name")[commit].files["model.safetensors"] = OTHER  # type: ignore[index]  # a lie

    with pytest.raises(IntegrityError, match="first load remembered"):
        fetch_weights(spec)


def test_a_deleted_cache_is_filled_again_from_the_locked_commit(hub: Hub, tmp_path: Path) -> None:
    commit = hub.add_repo("org/name", {"model.safetensors": DATA})
    fetch_weights(SPEC)
    hub.add_repo("org/name", {"model.safetensors": OTHER})
    blob(tmp_path).unlink()

    fetched = fetch_weights(SPEC)

    assert fetched.revision == commit
    assert fetched.weights[0].read_bytes() == DATA


def test_a_moved_cache_is_found_without_network(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repo("org/name", {"model.safetensors": DATA})
    fetch_weights(SPEC)
    (tmp_path / "hf" / "hub").rename(tmp_path / "moved")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "moved"))
    no_network(monkeypatch)

    assert fetch_weights(SPEC).weights[0].read_bytes() == DATA


def test_what_another_library_has_downloaded_is_verified_and_used(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    commit = hub.add_repo("org/name", {"model.safetensors": DATA})
    cache = os.environ["HF_HUB_CACHE"]
    huggingface_hub.hf_hub_download(
        "org/name", "model.safetensors", endpoint=hub.url, cache_dir=cache
    )
    no_network(monkeypatch)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    assert fetch_weights(SPEC).revision == commit
    assert open_repo("hf:org/name").names() == {"model.safetensors"}


def test_what_another_library_has_downloaded_wrongly_is_not_used(hub: Hub, tmp_path: Path) -> None:
    import huggingface_hub

    hub.add_repo("org/name", {"model.safetensors": DATA})
    hub.fault("wrong", file="model.safetensors", at=200)
    cache = os.environ["HF_HUB_CACHE"]
    path = huggingface_hub.hf_hub_download(
        "org/name", "model.safetensors", endpoint=hub.url, cache_dir=cache
    )
    assert Path(path).read_bytes() != DATA  # it checks no hash

    assert fetch_weights(SPEC).weights[0].read_bytes() == DATA


def test_offline_and_not_cached_says_what_to_do(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = hub.add_repo("org/name", {"model.safetensors": DATA})
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    no_network(monkeypatch)

    for revision in (None, commit):
        with pytest.raises(OfflineError, match=r"HF_HUB_OFFLINE is set .* `zoo pull`"):
            fetch_weights(WeightsSpec(source="hf:org/name", revision=revision))
    with pytest.raises(OfflineError, match="HF_HUB_OFFLINE"):
        open_repo(f"hf:org/name@{commit}").names()


def test_offline_as_huggingface_hub_was_told_when_it_was_imported_says_so_too(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repo("org/name", {"model.safetensors": DATA})
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    with pytest.raises(OfflineError, match="HF_HUB_OFFLINE is set"):
        fetch_weights(SPEC)


def test_a_damaged_lock_file_is_an_error_that_names_it(hub: Hub, tmp_path: Path) -> None:
    hub.add_repo("org/name", {"model.safetensors": DATA})
    fetch_weights(SPEC)
    good = {path: path.read_bytes() for path in lock_files(tmp_path)}
    assert len(good) == 2  # of main, and of its commit

    for path, data in good.items():
        later = data.replace(b'"version": 1', b'"version": 9')
        foreign = data.replace(b"hf:org/name", b"hf:org/evil")
        for damaged in (b"", data[:-9], b"[]", b"7", b"{}", b"\xff" * 9, later, foreign):
            path.write_bytes(damaged)
            with pytest.raises(FormatError, match=r"lock file .*\.json is damaged"):
                fetch_weights(SPEC)
        path.write_bytes(data)
    fetch_weights(SPEC)


def test_rows_of_one_repository_share_a_lock_and_others_do_not(hub: Hub, tmp_path: Path) -> None:
    files = {"model.safetensors": DATA}
    commits = {hub.add_repo(name, files) for name in ("org/a-b", "org-a/b", "org/a.b")}

    for name in ("org/a-b", "org-a/b", "org/a.b"):
        fetch_weights(WeightsSpec(source=f"hf:{name}"))

    assert len(commits) == 3
    assert len(lock_files(tmp_path)) == 6


FETCH = (
    "from zoo.spec import WeightsSpec; from zoo.weights import fetch_weights;"
    "print(fetch_weights(WeightsSpec(source='hf:org/name')).sha256['model.safetensors'])"
)


def start() -> subprocess.Popen[str]:
    """Start another process that fetches the same weights."""
    return subprocess.Popen([sys.executable, "-c", FETCH], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)  # fmt: skip


def test_two_processes_fetch_at_once_and_both_are_right(hub: Hub, tmp_path: Path) -> None:
    hub.add_repo("org/name", {"model.safetensors": DATA})
    hub.fault("slow", file="model.safetensors", times=None)

    runs = [start() for _ in range(2)]
    outputs = [run.communicate(timeout=300) for run in runs]

    assert [output.strip() for output, _ in outputs] == [SHA256] * 2, outputs
    asked = len(hub.requests)
    assert fetch_weights(SPEC).weights[0].read_bytes() == DATA
    assert len(hub.requests) == asked  # what both wrote is a good lock


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_fetch_that_is_stopped_leaves_nothing_under_a_final_name(
    hub: Hub, tmp_path: Path, how: signal.Signals
) -> None:
    hub.add_repo("org/name", {"model.safetensors": DATA})
    hub.fault("hang", file="model.safetensors", at=len(DATA) - 1)
    run = start()
    while not list(tmp_path.rglob("*.incomplete")):
        assert run.poll() is None, run.communicate()
        time.sleep(0.02)

    run.send_signal(how)
    run.communicate(timeout=300)

    assert run.returncode != 0
    assert not list((tmp_path / "hf").rglob("*.safetensors"))
    assert fetch_weights(SPEC).weights[0].read_bytes() == DATA


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_says_so_and_leaves_nothing_under_a_final_name(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    hub.add_repo("org/name", {"model.safetensors": DATA})

    class Full:
        """A file on a disk that is full after the first block."""

        def __init__(self, file: Any) -> None:
            self.file = file

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

        def write(self, data: bytes) -> int:
            if self.file.tell():
                raise OSError(code, os.strerror(code))
            return int(self.file.write(data))

    import huggingface_hub.file_download as theirs

    real = theirs.http_get
    monkeypatch.setattr(theirs, "http_get",
                        lambda url, file, **options: real(url, Full(file), **options))  # fmt: skip
    with pytest.raises(DiskError, match=r"No space left .* HF_HOME"):
        fetch_weights(SPEC)
    assert not list((tmp_path / "hf").rglob("*.safetensors"))
    assert not list(tmp_path.rglob("*.incomplete"))

    monkeypatch.setattr(theirs, "http_get", real)
    assert fetch_weights(SPEC).weights[0].read_bytes() == DATA


def test_a_file_that_cannot_fit_is_not_even_begun(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repo("org/name", {"model.safetensors": DATA})
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)

    with pytest.raises(DiskError, match=r"model\.safetensors needs .* MB and the disk of"):
        fetch_weights(SPEC)

    assert hub.count("GET") == 0


@pytest.mark.parametrize("variable", ["HF_HUB_CACHE", "ZOO_CACHE"])
def test_a_cache_that_cannot_be_written_says_so(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    hub.add_repo("org/name", {"model.safetensors": DATA})
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv(variable, str(tmp_path / "file" / "cache"))  # holds even for root

    with pytest.raises(DiskError, match="ZOO_CACHE"):
        fetch_weights(SPEC)


def test_weights_that_do_not_exist_are_refused_with_the_rows_reason() -> None:
    with pytest.raises(OptionError, match="SIFT has no parameters"):
        fetch_weights(WeightsSpec(source="none", files=(), reason="SIFT has no parameters"))


def test_nothing_is_printed_when_no_person_watches(
    hub: Hub, capfd: pytest.CaptureFixture[str]
) -> None:
    hub.add_repo("org/name", {"model.safetensors": DATA})

    fetch_weights(SPEC, progress=True)

    assert capfd.readouterr() == ("", "")


def test_a_person_at_a_terminal_sees_a_bar_and_only_when_asked_for(
    hub: Hub, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repo("org/name", {"model.safetensors": DATA})
    hub.add_repo("org/quiet", {"model.safetensors": DATA})
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)

    fetch_weights(WeightsSpec(source="hf:org/quiet"), progress=False)
    assert capfd.readouterr() == ("", "")
    fetch_weights(SPEC, progress=True)

    out, err = capfd.readouterr()
    assert out == ""
    assert "100%" in err


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "", "a//b", "a\\b", "a\0b"])
def test_no_name_leads_out_of_a_repository(hub: Hub, name: str) -> None:
    hub.add_repo("org/name", {"config.json": b"{}"})

    with pytest.raises(FormatError, match="plain relative file name"):
        open_repo("hf:org/name").json(name)
