"""A bundle is whole and as it was written, or it is not opened."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import field, make_dataclass, replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from tests.bundle_tools import (
    BundleOf,
    bundle_of as bundle_of,
    change_manifest,
    minilm as minilm,
    rehash,
)
from zoo.bundle import (
    GOLDEN,
    MANIFEST,
    MODEL,
    PARITY,
    README,
    SCHEMA,
    SCOPES,
    open_bundle,
    read_manifest,
    write_manifest,
)
from zoo.errors import BundleError, DiskError, FormatError, OptionError, ZooError
from zoo.manifest import Facts, Manifest
from zoo.new_bundle import new_bundle
from zoo.records import from_plain, to_plain
from zoo.registry import default_registry
from zoo.runtime import open_encoder
from zoo.spec import ImagePreprocess, ModelSpec, Role, TextPreprocess, WeightsSpec
from zoo.verify import verify
from zoo_export.draft import facts_of

every_row = pytest.mark.parametrize("row", list(default_registry()), ids=lambda row: row.name)


# Records


@every_row
def test_what_a_bundle_says_of_a_row_comes_back_exactly(row: ModelSpec) -> None:
    facts = facts_of(row, ("pooled", "tokens"))
    again = from_plain(Facts, json.loads(json.dumps(to_plain(facts))), "facts")
    assert again == facts
    assert again.recipe_sha256() == facts.recipe_sha256()


def test_every_field_of_a_recipe_comes_back() -> None:
    text = TextPreprocess(
        max_length=7,
        tokenizer=("vocab.txt",),
        tokenizer_home=WeightsSpec(source="hf:a/b", sha256={"x": "0" * 64}),
        lower=False,
        pad_id=3,
        pad_to_max=True,
        clean="clip",
        prompts={"one": "1: "},
        roles={"query": Role(prompt="q: ", max_length=5)},
        default_role="query",
    )
    image = ImagePreprocess(size=(3, 5), resize=(4, 6), mean=(0.1, 1 / 3, 1e-17), channels="grey")
    for recipe in (text, image):
        plain = json.loads(json.dumps(to_plain(recipe)))
        assert from_plain(type(recipe), plain, "recipe") == recipe


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"max_length": "7"}, "max_length is '7'; it must be of type int"),
        ({"max_length": True}, "max_length is 'True'"),
        ({"clean": "dirty"}, "clean is 'dirty'; it must be 'none' or"),
        ({"tokenizer": "x"}, "tokenizer is 'x'; it must be a list"),
        ({"roles": {"query": {"type": "Dim"}}}, "roles.query is .* it must be a Role"),
        ({"surprise": 1}, "has 'surprise', which nothing knows"),
        ({"type": "ImagePreprocess"}, "it must be a TextPreprocess"),
    ],
)
def test_a_field_of_another_type_is_named(change: dict[str, Any], why: str) -> None:
    plain = {**to_plain(TextPreprocess(max_length=7)), **change}
    with pytest.raises(FormatError, match=why):
        from_plain(TextPreprocess, plain, "recipe")


# Opening


def test_a_bundle_has_these_files_and_no_others(bundle_of: BundleOf) -> None:
    found = {path.name for path in bundle_of("vit-b16").iterdir()}
    assert found == {MANIFEST, MODEL, GOLDEN, PARITY, SCOPES, README}


@pytest.mark.parametrize("name", [MODEL, GOLDEN, PARITY, SCOPES, README])
def test_a_changed_byte_is_refused_and_named(minilm: Path, name: str) -> None:
    data = bytearray((minilm / name).read_bytes())
    data[len(data) // 2] ^= 1
    (minilm / name).write_bytes(data)
    with pytest.raises(BundleError, match=f"{name} has been changed or damaged: its sha256 is not"):
        open_bundle(minilm)


def test_a_file_that_was_cut_off_is_named_with_what_to_do(minilm: Path) -> None:
    os.truncate(minilm / MODEL, 1000)
    with pytest.raises(BundleError, match=rf"{MODEL} has been .* has 1000 bytes, not .* Copy the"):
        open_encoder(minilm)


def test_a_missing_and_an_extra_file_are_refused_and_named(minilm: Path) -> None:
    (minilm / "model.plan").write_bytes(b"?")
    with pytest.raises(BundleError, match=r"holds model\.plan, which its manifest does not name"):
        open_bundle(minilm)
    (minilm / "model.plan").unlink()
    (minilm / ".gitattributes").write_text("what a repository adds does not matter")
    assert open_bundle(minilm).manifest.facts.name == "all-minilm-l6-v2"
    (minilm / SCOPES).unlink()
    with pytest.raises(BundleError, match=r"not complete: scopes\.json is missing"):
        open_bundle(minilm)


def test_a_newer_schema_is_refused_with_what_to_do(minilm: Path) -> None:
    change_manifest(minilm, lambda value: value.update(schema=SCHEMA + 1, surprise={}))
    with pytest.raises(BundleError, match=r"newer encoder-zoo .*pip install --upgrade"):
        open_bundle(minilm)


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "a/b", "..", "a\\b", "c:x", "", "nul\0", MANIFEST]
)
def test_a_file_outside_the_bundle_is_refused(minilm: Path, name: str) -> None:
    (minilm.parent / "secret").write_text("secret")

    def climb(value: dict[str, Any]) -> None:
        value["files"][name] = value["files"][README]

    change_manifest(minilm, climb)
    with pytest.raises(BundleError, match=r"cannot be opened: .*(plain|outside)"):
        open_bundle(minilm)


def test_weights_outside_the_bundle_are_never_read(minilm: Path) -> None:
    model = onnx.load(minilm / MODEL)
    onnx.save_model(model, minilm / MODEL, save_as_external_data=True, location="x.data",
                    size_threshold=0)  # fmt: skip
    (minilm / "x.data").rename(minilm.parent / "x.data")
    model = onnx.load(minilm / MODEL, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "../x.data"
    (minilm / MODEL).write_bytes(model.SerializeToString())
    rehash(minilm, MODEL)

    with pytest.raises(BundleError, match="ONNX Runtime cannot load"):
        open_encoder(minilm)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda v: v["facts"].update(normalize=False), "its recipe is not the one that was hashed"),
        (lambda v: v["facts"]["preprocess"].update(max_length=9), "its recipe is not"),
        (lambda v: v.pop("graph"), "has no 'graph'"),
        (lambda v: v.update(format="zip"), "not that of a bundle"),
        (lambda v: v.update(schema="1"), "does not say its schema"),
        (lambda v: v["verdict"].update(outcome="refused"), "was not proven equal"),
        (lambda v: v["verdict"].update(outcome="deferred"), "was not proven equal"),
    ],
)
def test_a_manifest_that_was_tampered_with_is_refused(
    minilm: Path, change: Callable[[dict[str, Any]], None], why: str
) -> None:
    change_manifest(minilm, change)
    with pytest.raises(BundleError, match=why):
        open_bundle(minilm)


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v["facts"].update(name="another"),
        lambda v: v["golden"]["limits"].update(pooled=1.0),
        lambda v: v["verdict"].update(line="parity passed: better than it was"),
        lambda v: v.pop("toolchain"),
        lambda v: v.update(sha256=None),
        lambda v: v.pop("sha256"),
    ],
)
def test_a_manifest_that_was_edited_by_hand_is_refused(
    minilm: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    value = json.loads((minilm / MANIFEST).read_text())
    change(value)
    (minilm / MANIFEST).write_text(json.dumps(value, indent=1))
    with pytest.raises(BundleError, match=r"manifest\.json has been changed or damaged"):
        verify(minilm)


def test_a_manifest_that_is_only_laid_out_anew_is_the_same(minilm: Path) -> None:
    value = json.loads((minilm / MANIFEST).read_text())
    turned = dict(reversed(value.items()))
    (minilm / MANIFEST).write_text(json.dumps(turned, indent=4), encoding="utf-16")
    assert open_bundle(minilm).manifest.facts.name == "all-minilm-l6-v2"


def test_a_bundle_from_before_manifests_were_hashed_opens(minilm: Path) -> None:
    value = json.loads((minilm / MANIFEST).read_text())
    del value["sha256"]
    (minilm / MANIFEST).write_text(json.dumps({**value, "schema": 2}))
    assert open_bundle(minilm).manifest.facts.name == "all-minilm-l6-v2"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": 1, "format": 2}', "[" * 100_000])
def test_a_broken_manifest_is_refused(minilm: Path, text: str) -> None:
    (minilm / MANIFEST).write_text(text)
    with pytest.raises(BundleError, match="cannot be opened"):
        open_bundle(minilm)


def test_a_manifest_that_only_json_can_read_is_refused(minilm: Path) -> None:
    deep = json.loads("[" * 600 + "]" * 600)
    change_manifest(minilm, lambda value: value["facts"]["architecture"].update(deep=deep))
    with pytest.raises(BundleError, match="nested too deeply"):
        open_bundle(minilm)


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(BundleError, match=r"is no bundle: it has no manifest\.json"):
            open_bundle(path)


def test_manifests_with_random_damage_never_raise_another_error(minilm: Path) -> None:
    rng = random.Random(0)
    whole = (minilm / MANIFEST).read_bytes()
    refused = 0
    for _ in range(500):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data))
            data[at : at + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 3))
        (minilm / MANIFEST).write_bytes(data)
        try:
            read_manifest(minilm)
        except ZooError:
            refused += 1
    assert refused > 250


# Writing


def manifest_of(bundle: Path) -> Manifest:
    return replace(open_bundle(bundle).manifest, files={})


def fill(folder: Path, manifest: Manifest, text: str = "hello") -> None:
    (folder / README).write_text(text)
    write_manifest(folder, manifest)


def test_a_bundle_appears_when_it_is_complete(bundle_of: BundleOf, tmp_path: Path) -> None:
    manifest = manifest_of(bundle_of("vit-b16"))
    with new_bundle(tmp_path / "deep" / "b") as folder:
        fill(folder, manifest)
        assert not (tmp_path / "deep" / "b").exists()
    assert open_bundle(tmp_path / "deep" / "b").manifest.facts == manifest.facts
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["b"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_what_fails_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def write() -> None:
        with new_bundle(tmp_path / "b") as folder:
            (folder / README).write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_is_replaced_only_when_asked(bundle_of: BundleOf, tmp_path: Path) -> None:
    manifest = manifest_of(bundle_of("vit-b16"))
    for text in ("old", "new"):
        with new_bundle(tmp_path / "b", overwrite=True) as folder:
            fill(folder, manifest, text)
    with pytest.raises(OptionError, match="--overwrite"), new_bundle(tmp_path / "b"):
        pass
    assert (tmp_path / "b" / README).read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_what_is_no_bundle_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("dear to me")
    with (
        pytest.raises(OptionError, match=r"no bundle\. Name another place"),
        new_bundle(tmp_path / "photos", overwrite=True),
    ):
        pass
    assert (tmp_path / "photos" / "cat.jpg").read_text() == "dear to me"


def test_of_two_writers_one_wins_and_the_other_is_told(bundle_of: BundleOf, tmp_path: Path) -> None:
    manifest = manifest_of(bundle_of("vit-b16"))

    def race() -> None:
        with new_bundle(tmp_path / "b") as slow:
            fill(slow, manifest, "slow")
            with new_bundle(tmp_path / "b") as fast:
                fill(fast, manifest, "fast")

    with pytest.raises(OptionError, match="is there already"):
        race()
    assert (tmp_path / "b" / README).read_text() == "fast"
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


WRITER = """
import pathlib, signal, sys, time
from zoo.new_bundle import new_bundle
{before}
with new_bundle(pathlib.Path({place!r})) as folder:
    (folder / "README.md").write_bytes(b"x" * {size})
    print("half", flush=True)
    time.sleep({seconds})
"""


def writer(place: Path, *, before: str = "", size: int = 10, seconds: int = 600) -> Any:
    code = WRITER.format(place=str(place), before=before, size=size, seconds=seconds)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_writer_that_is_killed_leaves_nothing_under_the_name(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = writer(tmp_path / "b")
    assert process.stdout.readline() == "half\n"
    os.kill(process.pid, number)
    process.communicate(timeout=300)

    left = [path.name for path in tmp_path.iterdir()]
    assert "b" not in left
    if number == signal.SIGINT:
        assert left == []
    with new_bundle(tmp_path / "b"):  # what is left is in nobody's way
        pass


def test_a_full_disk_is_a_disk_error_and_leaves_nothing(tmp_path: Path) -> None:
    before = (
        "import resource; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))"
    )
    process = writer(tmp_path / "b", before=before, size=100_000)
    _, err = process.communicate(timeout=300)
    assert f"{DiskError.__module__}.{DiskError.__name__}" in err
    assert list(tmp_path.iterdir()) == []


def test_a_field_that_a_later_version_adds_changes_no_hash_of_what_was_written_before() -> None:
    before = make_dataclass("Recipe", [("size", int), ("crop", bool, field(default=False))])
    later = make_dataclass(
        "Recipe",
        [
            ("size", int),
            ("crop", bool, field(default=False)),
            ("tags", dict, field(default_factory=dict)),
        ],
    )

    def essence(record: Any) -> Any:
        return to_plain(record, defaults=False)

    assert essence(later(8)) == essence(before(8)) == {"type": "Recipe", "size": 8}
    assert essence(later(8, tags={"a": 1})) != essence(before(8))
    assert essence(before(8, True)) != essence(before(8))
