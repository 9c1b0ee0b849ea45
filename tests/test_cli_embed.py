"""`zoo embed`: what it reads, what it writes, and what an interruption leaves."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors import safe_open

import zoo
from tests.bundle_tools import bundle_of as bundle_of, minilm as minilm
from tests.cli_tools import WORDS, Zoo, save_tiny_bert
from zoo import samples
from zoo.cli import journal
from zoo.cli.inputs import read_items
from zoo.errors import InputError

MANY = 5000  # texts; more than one window, so that an interruption finds something done
CLOSE = 1e-6  # of unit-scale float32 vectors: other batches round otherwise


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_bert(tmp_path_factory.mktemp("models") / "tiny-bert")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Zoo:
    return Zoo(capsys, monkeypatch)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    path = tmp_path / "notes.txt"
    path.write_text("the cat sat\na rocket\non the moon\n")
    return path


def lines(count: int = MANY) -> list[str]:
    random = np.random.default_rng(0)
    return [
        " ".join(random.choice(WORDS, random.integers(1, 9))) + "\n" for _ in range(count)
    ]  # fmt: skip


def encode(model: Path | str, items: list[Any], **options: Any) -> np.ndarray[Any, Any]:
    encoder = zoo.load(str(model))
    result: np.ndarray[Any, Any] = encoder.encode(items, **options)
    return result


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def notes_of(out: Path) -> list[dict[str, Any]]:
    text = out.with_name(out.name + ".meta.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


# What comes out


def test_npy_holds_the_vectors_that_encode_gives(run: Zoo, bert: Path, notes: Path) -> None:
    out = notes.with_name("out.npy")
    assert run("embed", bert, notes, "-o", out).code == 0
    vectors = np.load(out)
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, encode(bert, notes.read_text().splitlines()))


def test_a_sidecar_says_where_each_vector_came_from(run: Zoo, bert: Path, notes: Path) -> None:
    out = notes.with_name("out.npy")
    run("embed", bert, notes, "-o", out)
    rows = notes_of(out)
    assert [row["row"] for row in rows] == [1, 2, 3]
    assert {row["source"] for row in rows} == {str(notes)}
    assert rows[1]["sha256"] == sha256(b"a rocket")
    assert rows[1]["model"] == zoo.resolve(str(bert))[0].name
    assert rows[1]["revision"] is None


def test_safetensors_hold_vectors_and_model(run: Zoo, bert: Path, notes: Path) -> None:
    out = notes.with_name("out.safetensors")
    assert run("embed", bert, notes, "-o", out).code == 0
    with safe_open(out, "numpy") as file:  # type: ignore[no-untyped-call]
        np.testing.assert_array_equal(
            file.get_tensor("vectors"), encode(bert, notes.read_text().splitlines())
        )
        assert file.metadata()["model"] == zoo.resolve(str(bert))[0].name
    assert len(notes_of(out)) == 3


def test_jsonl_holds_an_object_a_vector(run: Zoo, bert: Path, notes: Path) -> None:
    out = notes.with_name("out.jsonl")
    assert run("embed", bert, notes, "-o", out).code == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    vectors = np.array([row["vector"] for row in rows], dtype=np.float32)
    np.testing.assert_array_equal(vectors, encode(bert, notes.read_text().splitlines()))
    assert rows[2]["sha256"] == sha256(b"on the moon")


def test_parquet_holds_vectors_and_provenance(run: Zoo, bert: Path, notes: Path) -> None:
    out = notes.with_name("out.parquet")
    assert run("embed", bert, notes, "-o", out).code == 0
    table = pq.read_table(out)
    assert table.column_names == [
        "index", "source", "row", "sha256", "model", "revision", "vector",
    ]  # fmt: skip
    assert str(table.schema.field("vector").type).startswith("fixed_size_list<")
    vectors = np.array(table["vector"].to_pylist(), dtype=np.float32)
    np.testing.assert_array_equal(vectors, encode(bert, notes.read_text().splitlines()))
    assert table["row"].to_pylist() == [1, 2, 3]


def test_no_lines_give_an_array_of_no_rows(run: Zoo, bert: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("")
    assert run("embed", bert, tmp_path / "empty.txt", "-o", tmp_path / "out.npy").code == 0
    assert np.load(tmp_path / "out.npy").shape == (0, 16)


def test_nothing_but_the_result_is_left(run: Zoo, bert: Path, notes: Path) -> None:
    run("embed", bert, notes, "-o", notes.with_name("out.parquet"))
    assert {path.name for path in notes.parent.iterdir()} == {"notes.txt", "out.parquet"}


def test_a_file_of_the_users_in_the_folder_of_the_run_stays(
    run: Zoo, bert: Path, notes: Path
) -> None:
    mine = notes.with_name("out.npy.part") / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("precious")

    assert run("embed", bert, notes, "-o", notes.with_name("out.npy")).code == 0

    assert mine.read_text() == "precious"
    assert list(mine.parent.iterdir()) == [mine]


def test_a_file_in_the_place_of_the_unfinished_run_is_named(
    run: Zoo, bert: Path, notes: Path
) -> None:
    notes.with_name("out.npy.part").write_text("mine")

    ran = run("embed", bert, notes, "-o", notes.with_name("out.npy"))

    assert ran.code == 1
    assert "out.npy.part cannot be read or written (File exists). Name another place." in ran.err


def test_a_result_that_cannot_be_written_keeps_what_was_encoded(
    run: Zoo, bert: Path, notes: Path
) -> None:
    out = notes.with_name("out.npy")
    obstacle = out.with_name("out.npy.meta.jsonl")
    obstacle.mkdir()

    ran = run("embed", bert, notes, "-o", out)

    assert ran.code == 1
    assert "3 items kept in" in ran.err
    obstacle.rmdir()
    assert "Going on after 3 items" in run("embed", bert, notes, "-o", out).err
    assert len(np.load(out)) == 3


def test_an_existing_file_is_replaced_only_on_demand(run: Zoo, bert: Path, notes: Path) -> None:
    out = notes.with_name("out.npy")
    out.write_bytes(b"precious")
    refused = run("embed", bert, notes, "-o", out)
    assert refused.code == 1
    assert "--overwrite" in refused.err
    assert out.read_bytes() == b"precious"
    assert run("embed", bert, notes, "-o", out, "--overwrite").code == 0
    assert np.load(out).shape == (3, 16)


def test_another_suffix_is_wrong_usage(run: Zoo, bert: Path, notes: Path) -> None:
    ran = run("embed", bert, notes, "-o", notes.with_name("out.csv"))
    assert ran.code == 2
    assert ".parquet" in ran.err


# What goes in


def test_literal_texts_come_first(run: Zoo, bert: Path, notes: Path) -> None:
    out = notes.with_name("out.npy")
    run("embed", bert, notes, "--text", "a dog", "--text", "small text", "-o", out)
    assert [(row["source"], row["row"]) for row in notes_of(out)][:3] == [
        ("--text", 1), ("--text", 2), (str(notes), 1),
    ]  # fmt: skip


def test_stdin_is_a_text_a_line(run: Zoo, bert: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.npy"
    run("embed", bert, "-", "-o", out, stdin=["the cat\n", "a dog\n"])
    assert [(row["source"], row["row"]) for row in notes_of(out)] == [("-", 1), ("-", 2)]
    np.testing.assert_array_equal(np.load(out), encode(bert, ["the cat", "a dog"]))


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_a_column_of_a_table_is_encoded(
    run: Zoo, bert: Path, tmp_path: Path, delimiter: str
) -> None:
    path = tmp_path / ("in.csv" if delimiter == "," else "in.tsv")
    with path.open("w", newline="") as file:
        rows = [["id", "body"], ["1", 'the "cat"\non the mat'], ["2", "a, b"]]
        csv.writer(file, delimiter=delimiter).writerows(rows)
    run("embed", bert, path, "--column", "body", "-o", tmp_path / "out.npy")
    assert [row["sha256"] for row in notes_of(tmp_path / "out.npy")] == [
        sha256(b'the "cat"\non the mat'), sha256(b"a, b"),
    ]  # fmt: skip


def test_a_field_of_json_lines_is_encoded(run: Zoo, bert: Path, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"body": "the cat"}\n\n{"body": "a dog", "id": 2}\n')
    run("embed", bert, path, "--column", "body", "-o", tmp_path / "out.npy")
    assert [row["row"] for row in notes_of(tmp_path / "out.npy")] == [1, 3]


def test_a_column_of_a_parquet_file_is_encoded(run: Zoo, bert: Path, tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1, 2], "body": ["the cat", "a dog"]}), tmp_path / "in.parquet")
    out = tmp_path / "out.npy"
    assert run("embed", bert, tmp_path / "in.parquet", "--column", "body", "-o", out).code == 0
    assert [(row["row"], row["sha256"]) for row in notes_of(out)] == [
        (1, sha256(b"the cat")), (2, sha256(b"a dog")),
    ]  # fmt: skip


def test_images_in_a_parquet_file_are_encoded(run: Zoo, tmp_path: Path) -> None:
    pictures = [path.read_bytes() for path in samples.images()]
    pq.write_table(pa.table({"image": pictures}), tmp_path / "in.parquet")
    out = tmp_path / "out.npy"
    assert run("embed", "hog", tmp_path / "in.parquet", "--column", "image", "-o", out).code == 0
    np.testing.assert_array_equal(np.load(out), encode("hog", samples.images()))
    assert [row["sha256"] for row in notes_of(out)] == [sha256(one) for one in pictures]


def empty_cells() -> dict[str, Any]:
    return {
        "in.jsonl": b'{"body": "the cat"}\n{"body": null}\n{"id": 1}\n{"body": 3}\n',
        "in.csv": b"id,body\n1,the cat\n2\n3\n4\n",
        "in.parquet": pa.table({"body": ["the cat", None, None, None]}),
    }


@pytest.mark.parametrize("name", ["in.jsonl", "in.csv", "in.parquet"])
def test_a_cell_that_holds_no_text_is_a_bad_item(
    run: Zoo, bert: Path, tmp_path: Path, name: str
) -> None:
    content = empty_cells()[name]
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    else:
        pq.write_table(content, tmp_path / name)
    command = ("embed", bert, tmp_path / name, "--column", "body", "-o", tmp_path / "out.npy")

    refused = run(*command)
    skipped = run(*command, "--on-error", "skip", "--restart")

    assert refused.code == 1
    assert f"{name}, row 2" in refused.err
    assert "NoneType" in refused.err
    assert skipped.code == 0
    assert "Skipped 3 of 4 items" in skipped.err
    assert np.load(tmp_path / "out.npy").shape == (1, 16)


def test_a_cell_may_be_longer_than_python_allows(run: Zoo, bert: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("id,body\n1," + "cat " * 50_000 + "\n")
    ran = run("embed", bert, tmp_path / "in.csv", "--column", "body", "-o", tmp_path / "o.npy")
    assert ran.code == 0, ran.err


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("in.csv", "", "no column 'body'; it is empty"),
        ("in.csv", "body,body\na,b\n", "has 2 columns 'body'"),
        ("in.jsonl", '{"id": 1}\n', "no column 'body'; it has id"),
        ("in.ndjson", "[1]\n", "row 1: is no JSON object"),
        ("in.parquet", "no parquet", "cannot be read"),
        ("in.json", '[{"body": "a"}]', "Write an object a line, as .jsonl"),
    ],
)
def test_a_table_that_cannot_be_read_says_why(
    run: Zoo, bert: Path, tmp_path: Path, name: str, content: str, says: str
) -> None:
    (tmp_path / name).write_text(content)
    (tmp_path / "good.csv").write_text("body\n")
    ran = run("embed", bert, tmp_path / "good.csv", tmp_path / name, "--column", "body",
              "-o", tmp_path / "o.npy")  # fmt: skip
    assert ran.code == 1
    assert says in ran.err


def test_a_text_in_the_place_of_a_file_is_told_so(run: Zoo, bert: Path, tmp_path: Path) -> None:
    ran = run("embed", bert, "the cat " * 100, "-o", tmp_path / "o.npy")
    assert ran.code == 1
    assert "A literal text goes after --text" in ran.err


@pytest.mark.parametrize("name", ["~nobody-of-that-name/x", "the cat " * 100])
def test_a_name_that_cannot_be_is_not_there(
    run: Zoo, bert: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "list.txt").write_text(f"{name}\n")
    out = tmp_path / "o.npy"
    for words in (["info", name], ["embed", name, "--text", "x", "-o", out], ["verify", name],
                  ["embed", bert, name, "-o", out], ["similarity", "hog", name, name],
                  ["embed", "hog", tmp_path / "list.txt", "-o", out]):  # fmt: skip
        ran = run(*words)
        assert ran.code == 1
        assert ran.err.startswith("Error: ")


def test_what_is_compared_is_named_when_it_is_bad(run: Zoo) -> None:
    for model in ("hog", "clip-b16"):
        ran = run("similarity", model, samples.images()[0], "gone.jpg", "--weights", "random")
        assert ran.code == 1
        assert "There is no file 'gone.jpg'" in ran.err
        assert "Item" not in ran.err


def test_a_column_that_is_not_there_names_those_that_are(
    run: Zoo, bert: Path, tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text("id,body\n1,cat\n")
    ran = run("embed", bert, tmp_path / "in.csv", "--column", "text", "-o", tmp_path / "o.npy")
    assert ran.code == 1
    assert "id, body" in ran.err


def test_a_table_asks_for_its_column(run: Zoo, bert: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("id,body\n1,cat\n")
    ran = run("embed", bert, tmp_path / "in.csv", "-o", tmp_path / "o.npy")
    assert ran.code == 1
    assert "--column" in ran.err


def test_a_folder_is_searched_for_images(run: Zoo, tmp_path: Path) -> None:
    deep = tmp_path / "photos" / "deep"
    deep.mkdir(parents=True)
    shutil.copy(samples.images()[1], deep / "one.JPG")
    shutil.copy(samples.images()[0], tmp_path / "photos" / "two.jpg")
    (deep / "readme.md").write_text("no image")
    out = tmp_path / "out.npy"
    assert run("embed", "hog", tmp_path / "photos", "-o", out).code == 0
    rows = notes_of(out)
    assert [row["source"] for row in rows] == [
        str(tmp_path / "photos" / "two.jpg"), str(deep / "one.JPG"),
    ]  # fmt: skip
    assert rows[0]["sha256"] == sha256(samples.images()[0].read_bytes())
    assert rows[0]["row"] is None
    np.testing.assert_array_equal(np.load(out), encode("hog", samples.images()[:2]))


def test_a_quoted_glob_is_expanded(run: Zoo, tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg", "c.txt"):
        shutil.copy(samples.images()[0], tmp_path / name)
    out = tmp_path / "out.npy"
    run("embed", "hog", tmp_path / "**" / "*.jpg", "-o", out)
    assert [Path(row["source"]).name for row in notes_of(out)] == ["a.jpg", "b.jpg"]


def test_paths_of_images_come_from_stdin(run: Zoo, tmp_path: Path) -> None:
    out = tmp_path / "out.npy"
    run("embed", "hog", "-", "-o", out, stdin=[f"{path}\n" for path in samples.images()])
    np.testing.assert_array_equal(np.load(out), encode("hog", samples.images()))


def test_a_table_names_images_relative_to_itself(run: Zoo, tmp_path: Path) -> None:
    shutil.copy(samples.images()[0], tmp_path / "one.jpg")
    (tmp_path / "photos.csv").write_text("file\none.jpg\n")
    out = tmp_path / "out.npy"
    assert run("embed", "hog", tmp_path / "photos.csv", "--column", "file", "-o", out).code == 0
    assert notes_of(out)[0]["source"] == str(tmp_path / "photos.csv")


def test_nothing_to_encode_is_wrong_usage(run: Zoo, bert: Path, tmp_path: Path) -> None:
    assert run("embed", bert, "-o", tmp_path / "o.npy").code == 2


def test_a_missing_input_points_to_the_option_for_texts(
    run: Zoo, bert: Path, tmp_path: Path
) -> None:
    ran = run("embed", bert, "hello world", "-o", tmp_path / "o.npy")
    assert ran.code == 1
    assert "--text" in ran.err


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_bytes(b"fine\n\xff\xfe\n")
    with pytest.raises(InputError, match=r"bad\.txt is not text in UTF-8"):
        list(read_items([str(tmp_path / "bad.txt")], modality="text", column=None))


def test_a_model_of_images_is_not_offered_literal_texts(run: Zoo, tmp_path: Path) -> None:
    ran = run("embed", "hog", tmp_path / "*.png", "-o", tmp_path / "o.npy")
    assert ran.code == 1
    assert "--text" not in ran.err


def test_a_folder_that_may_not_be_searched_is_left_out_and_named(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    shutil.copy(samples.images()[0], tmp_path / "open" / "a.jpg")
    (tmp_path / "closed").mkdir()

    def scan(path: str) -> Any:
        if path.endswith("closed"):  # a mode of 000 would not hold for root
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    scandir = os.scandir
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "scandir", scan)
        with pytest.warns(UserWarning, match="closed is left out: Permission denied"):
            items = list(read_items([str(tmp_path)], modality="image", column=None))
        with pytest.raises(InputError, match="closed cannot be read: Permission denied"):
            list(read_items([str(tmp_path / "closed")], modality="image", column=None))

    assert [item.value for item in items] == [tmp_path / "open" / "a.jpg"]


@pytest.mark.parametrize("suffix", [".npy", ".parquet", ".jsonl", ".safetensors"])
def test_a_file_name_of_any_bytes_is_recorded(run: Zoo, tmp_path: Path, suffix: str) -> None:
    odd = tmp_path / os.fsdecode(b"odd \xff name.jpg")
    shutil.copy(samples.images()[0], odd)

    ran = run("embed", "hog", odd, "-o", tmp_path / f"out{suffix}")

    assert ran.code == 0, ran.err


def test_a_joint_space_names_its_towers(run: Zoo, tmp_path: Path) -> None:
    ran = run("embed", "clip-b16", "--text", "a cat", "-o", tmp_path / "o.npy")
    assert ran.code == 1
    assert "clip-b16-image" in ran.err
    assert "clip-b16-text" in ran.err


def test_a_model_of_one_vector_a_token_is_refused(run: Zoo, tmp_path: Path) -> None:
    ran = run("embed", "colbertv2", "--text", "a cat", "-o", tmp_path / "o.npy")
    assert ran.code == 1
    assert "colbertv2 gives one vector a token" in ran.err


# Options


def test_options_reach_the_encoder(run: Zoo, bert: Path, notes: Path) -> None:
    out = notes.with_name("out.npy")
    run("embed", bert, notes, "-o", out, "--prompt", "query ", "--normalize", "--batch-size", "2")
    texts = notes.read_text().splitlines()
    wanted = encode(bert, texts, prompt="query ", normalize=True)
    np.testing.assert_allclose(np.load(out), wanted, atol=CLOSE)
    np.testing.assert_allclose(np.linalg.norm(np.load(out), axis=1), 1, atol=CLOSE)


def test_random_weights_need_no_weights_file_and_are_recorded(run: Zoo, tmp_path: Path) -> None:
    out = tmp_path / "out.npy"
    image = samples.images()[0]
    assert run("embed", "resnet-18", image, "--weights", "random", "-o", out).code == 0
    assert np.load(out).shape == (1, 512)
    assert json.loads((tmp_path / "out.npy.meta.jsonl").read_text())["revision"] == "random"


def test_a_bundle_encodes_as_its_model_does(run: Zoo, minilm: Path, tmp_path: Path) -> None:
    ran = run("embed", minilm, "--text", "a cat", "--text", "a dog", "-o", tmp_path / "out.npy")
    assert ran.code == 0, ran.err
    wanted = zoo.open(minilm).encode(["a cat", "a dog"])
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), wanted, atol=CLOSE)

    ran = run("similarity", minilm, "a cat", "a dog", "--json")
    np.testing.assert_allclose(ran.json["similarity"], wanted @ wanted.T, atol=CLOSE)


def test_a_bundle_has_its_own_precision_and_weights(run: Zoo, minilm: Path, tmp_path: Path) -> None:
    ran = run("embed", minilm, "--text", "a cat", "--dtype", "float64", "-o", tmp_path / "o.npy")
    assert ran.code == 1
    assert "has its own precision" in ran.err


def test_a_bundle_runs_on_the_runtime_that_is_asked_for(
    run: Zoo, minilm: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.npy"
    assert run("embed", minilm, "--text", "a cat", "--runtime", "onnx", "-o", out).code == 0
    ran = run("similarity", minilm, "a cat", "a cat", "--runtime", "onnx", "--json")
    assert ran.code == 0, ran.err

    for words in (["embed", minilm, "--text", "a", "-o", tmp_path / "o.npy"],
                  ["similarity", minilm, "a", "b"]):  # fmt: skip
        ran = run(*words, "--runtime", "tensorrt")
        assert ran.code == 1
        assert "has nothing for 'tensorrt'; it runs on onnx" in ran.err


def test_a_model_has_no_choice_of_runtime(run: Zoo, tmp_path: Path) -> None:
    for words in (["embed", "resnet-18", samples.images()[0], "-o", tmp_path / "o.npy"],
                  ["similarity", "resnet-18", "a.jpg", "b.jpg"],
                  ["similarity", "clip-b16", "a cat", "a dog"]):  # fmt: skip
        ran = run(*words, "--runtime", "onnx")
        assert ran.code == 1
        assert "is no bundle: --runtime onnx chooses what runs one" in ran.err
        assert "zoo export" in ran.err


# Bad items


def test_a_bad_item_is_named_by_its_source_once(run: Zoo, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    ran = run("embed", "hog", samples.images()[0], tmp_path / "bad.jpg", "-o", tmp_path / "o.npy")
    assert ran.code == 1
    assert ran.err.count(str(tmp_path / "bad.jpg")) == 1
    assert not (tmp_path / "o.npy").exists()


def test_skipped_items_are_left_out_and_named(run: Zoo, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    good = samples.images()
    out = tmp_path / "out.npy"
    listed = [
        f"{path}\n" for path in (good[0], tmp_path / "bad.jpg", tmp_path / "gone.jpg", good[1])
    ]
    ran = run("embed", "hog", "-", "--on-error", "skip", "-o", out, stdin=listed)
    assert ran.code == 0
    assert "Skipped 2 of 4 items" in ran.err
    assert "-, row 2" in ran.err
    assert [row["index"] for row in notes_of(out)] == [0, 3]
    np.testing.assert_array_equal(np.load(out), encode("hog", good[:2]))


# Interruptions


def broken(text: list[str], after: int) -> Iterator[str]:
    """Yield some lines, then behave as if the user had pressed Ctrl-C."""
    yield from text[:after]
    raise KeyboardInterrupt


@pytest.mark.parametrize("suffix", [".parquet", ".npy"])
def test_an_interrupted_run_goes_on_to_the_same_result(
    run: Zoo, bert: Path, tmp_path: Path, suffix: str
) -> None:
    text = lines()
    command = ("embed", bert, "-", "-o", tmp_path / f"out{suffix}")
    stopped = run(*command, stdin=broken(text, MANY - 10))
    assert stopped.code == 130
    assert "same command again" in stopped.err
    assert "Interrupted" in stopped.err
    assert not (tmp_path / f"out{suffix}").exists()

    resumed = run(*command, stdin=text)
    assert resumed.code == 0
    assert "Going on after" in resumed.err
    whole = encode(bert, [line.rstrip("\n") for line in text])
    if suffix == ".npy":
        vectors, indices = np.load(tmp_path / "out.npy"), [
            row["index"] for row in notes_of(tmp_path / "out.npy")
        ]  # fmt: skip
    else:
        table = pq.read_table(tmp_path / "out.parquet")
        vectors, indices = np.array(table["vector"].to_pylist()), table["index"].to_pylist()
    assert indices == list(range(MANY))
    np.testing.assert_array_equal(vectors, whole)


@pytest.fixture
def unfinished(run: Zoo, bert: Path, tmp_path: Path) -> Path:
    """The target of a run that was interrupted."""
    out = tmp_path / "out.parquet"
    run("embed", bert, "-", "-o", out, stdin=broken(lines(), MANY - 10))
    assert (tmp_path / "out.parquet.part" / "rows.jsonl").stat().st_size > 0
    return out


def test_other_options_cannot_go_on_from_an_unfinished_run(
    run: Zoo, bert: Path, unfinished: Path
) -> None:
    ran = run("embed", bert, "-", "-o", unfinished, "--normalize", stdin=lines())
    assert ran.code == 1
    assert "normalize: None is now True" in ran.err
    assert "--restart" in ran.err


def test_restart_forgets_the_unfinished_run(run: Zoo, bert: Path, unfinished: Path) -> None:
    ran = run("embed", bert, "-", "-o", unfinished, "--normalize", "--restart", stdin=lines(5))
    assert ran.code == 0
    assert pq.read_table(unfinished).num_rows == 5


def test_changed_inputs_cannot_go_on(run: Zoo, bert: Path, unfinished: Path) -> None:
    text = ["another first line\n", *lines()[1:]]
    ran = run("embed", bert, "-", "-o", unfinished, stdin=text)
    assert ran.code == 1
    assert "inputs have changed" in ran.err


def test_half_written_rows_are_done_again(run: Zoo, bert: Path, unfinished: Path) -> None:
    part = unfinished.with_name("out.parquet.part")
    rows, vectors = part / "rows.jsonl", part / "vectors.f32"
    rows.write_bytes(rows.read_bytes()[:-7])
    vectors.write_bytes(vectors.read_bytes()[: -5 * 64 - 3])
    assert run("embed", bert, "-", "-o", unfinished, stdin=lines()).code == 0
    table = pq.read_table(unfinished)
    assert table["index"].to_pylist() == list(range(MANY))
    whole = encode(bert, [line.rstrip("\n") for line in lines()])
    np.testing.assert_array_equal(np.array(table["vector"].to_pylist()), whole)


@pytest.mark.parametrize("suffix", [".npy", ".jsonl"])
def test_an_interruption_inside_a_window_costs_one_batch(
    run: Zoo, bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    out = tmp_path / f"out{suffix}"
    (tmp_path / "in.txt").write_text("".join(lines(1500)))
    command = ("embed", bert, tmp_path / "in.txt", "-o", out)
    append = journal.Journal.append
    written: list[int] = []

    def interrupted(self: journal.Journal, batch: list[Any]) -> None:
        if len(written) == 3:
            raise KeyboardInterrupt
        append(self, batch)
        written.append(len(batch))

    with monkeypatch.context() as patch:
        patch.setattr(journal.Journal, "append", interrupted)
        stopped = run(*command)
    assert f"{sum(written)} items kept" in stopped.err
    resumed = run(*command)

    assert f"Going on after {sum(written)} items" in resumed.err
    whole = encode(bert, [line.rstrip("\n") for line in lines(1500)])
    if suffix == ".npy":
        vectors, rows = np.load(out), notes_of(out)
    else:
        rows = [json.loads(line) for line in out.read_text().splitlines()]
        vectors = np.array([row["vector"] for row in rows], dtype=np.float32)
    np.testing.assert_array_equal(vectors, whole)
    assert [row["row"] for row in rows] == list(range(1, 1501))


def test_zeros_that_a_power_cut_left_are_dropped(tmp_path: Path) -> None:
    first = journal.Journal(tmp_path, asked={}, width=2)
    first.append([({"index": 3}, np.ones(2))])
    first.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    with (tmp_path / "rows.jsonl").open("ab") as file:
        file.write(bytes(20) + b"\n")
    with journal.Journal(tmp_path, asked={}, width=2) as second:
        assert [record["index"] for record in second.records()] == [3]
        assert 3 in second.done
        assert 2 not in second.done


def test_an_unfinished_run_that_is_broken_can_be_begun_anew(
    run: Zoo, bert: Path, unfinished: Path
) -> None:
    part = unfinished.with_name("out.parquet.part")
    (part / "state.json").write_text("{")
    ran = run("embed", bert, "-", "-o", unfinished, stdin=lines(5))
    assert ran.code == 1
    assert "state.json is broken" in ran.err

    ran = run("embed", bert, "-", "-o", unfinished, "--restart", stdin=lines(5))
    assert ran.code == 0, ran.err


@pytest.mark.parametrize("name", ["rows.jsonl", "vectors.f32"])
def test_an_unfinished_run_that_lost_a_file_begins_anew(
    run: Zoo, bert: Path, unfinished: Path, name: str
) -> None:
    (unfinished.with_name("out.parquet.part") / name).unlink()
    ran = run("embed", bert, "-", "-o", unfinished, stdin=lines(5))
    assert ran.code == 0, ran.err
    assert pq.read_table(unfinished).num_rows == 5


def test_a_half_written_line_of_a_skipped_item_is_dropped(tmp_path: Path) -> None:
    first = journal.Journal(tmp_path, asked={}, width=2)
    first.append([({"index": 0}, np.ones(2)), ({"index": 1, "error": "bad"}, None)])
    first.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    rows = tmp_path / "rows.jsonl"
    rows.write_bytes(rows.read_bytes()[:-3])
    with journal.Journal(tmp_path, asked={}, width=2) as second:
        assert [record["index"] for record in second.records()] == [0]
        assert (second.items, second.count) == (1, 1)


LIMITED = """
import resource, sys
import zoo.cli
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # bytes; the disk as good as full
sys.exit(zoo.cli.main(sys.argv[1:]))
"""


def test_a_full_disk_is_a_clear_error_and_leaves_no_result(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", LIMITED, "embed", "hog", *samples.images(), "-o", "out.npy"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert "Error: No space left" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "out.npy").exists()


def test_two_processes_cannot_write_one_result(run: Zoo, bert: Path, notes: Path) -> None:
    out = notes.with_name("out.npy")
    with journal.Journal(notes.with_name("out.npy.part"), asked={}, width=16):
        ran = run("embed", bert, notes, "-o", out)
    assert ran.code == 1
    assert "Another process" in ran.err


def test_ctrl_c_ends_the_process_with_130(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "zoo", "embed", "hog", "-", "-o", str(tmp_path / "out.npy")],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(f"{samples.images()[0]}\n")
    process.stdin.flush()
    deadline = time.monotonic() + 60
    while not (tmp_path / "out.npy.part" / "vectors.f32").exists():
        assert time.monotonic() < deadline, "the run did not begin"
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.rstrip().endswith("Interrupted")
    assert "Traceback" not in err
