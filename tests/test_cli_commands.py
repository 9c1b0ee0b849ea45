"""The commands that do not write vectors: what they print and how they end."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.shell_completion import ShellComplete

import zoo
from tests import clip_reference
from tests.bundle_tools import bundle_of as bundle_of, minilm as minilm
from tests.cli_tools import Zoo, save_tiny_bert
from zoo import samples
from zoo.cli import cli, info
from zoo.describe import row_to_dict
from zoo.joint import JointEncoder
from zoo.keys import KeyMap
from zoo.spec import Dim, ModelSpec, TensorSpec

COMMANDS = sorted(cli.list_commands(click.Context(cli)))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Zoo:
    return Zoo(capsys, monkeypatch)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_bert(tmp_path_factory.mktemp("models") / "tiny-bert")


# Completion


@pytest.mark.parametrize("command", ["info", "similarity", "export", "parity"])
def test_a_shell_completes_names_of_models_and_leaves_folders_to_itself(command: str) -> None:
    complete = ShellComplete(cli, {}, "zoo", "_ZOO_COMPLETE")
    assert {item.value for item in complete.get_completions([command], "clip-b1")} == {
        "clip-b16", "clip-b16-image", "clip-b16-text",
    }  # fmt: skip
    assert [item.type for item in complete.get_completions([command], "dist/")] == ["file"]


# list


def test_list_prints_a_line_a_model(run: Zoo) -> None:
    ran = run("list")
    assert ran.code == 0
    assert [line.split()[0] for line in ran.out.splitlines()] == [
        "name", *(row.name for row in zoo.list()),
    ]  # fmt: skip


def test_list_filters_as_the_function_does(run: Zoo) -> None:
    ran = run("list", "resnet*", "--modality", "image", "--dim", "512", "--json")
    found = zoo.list("resnet*", modality="image", dim=512)
    assert [row["name"] for row in ran.json] == [row.name for row in found]
    assert 0 < len(found) < len(zoo.list())


def test_list_says_so_when_nothing_matches(run: Zoo) -> None:
    ran = run("list", "no-such-model")
    assert ran.code == 0
    assert "No model matches" in ran.err
    assert len(ran.out.splitlines()) == 1


def fields_of(record: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(record)}


def assert_covers(record: Any, found: Any) -> None:
    """Hold a record against its JSON: every field, all the way down."""
    if isinstance(record, KeyMap):
        assert found == record.name
    elif dataclasses.is_dataclass(record):
        assert fields_of(record) <= found.keys()
        for name in fields_of(record):
            assert_covers(getattr(record, name), found[name])
    elif isinstance(record, tuple):
        assert len(record) == len(found)
        for one, other in zip(record, found, strict=True):
            assert_covers(one, other)
    elif record is None or isinstance(record, str | int | float | bool):
        assert found == record
    else:
        assert dict(record).keys() == found.keys()


def test_json_has_every_field_of_every_row(run: Zoo) -> None:
    rows = zoo.list()
    found = run("list", "--json").json
    assert len(found) == len(rows)
    for row, record in zip(rows, found, strict=True):
        assert_covers(row, record)
        assert record["modality"] == row.modality
        assert record["dim"] == row.dim
        assert record["weights"]["repo"] == row.weights.repo


def test_a_field_that_json_cannot_hold_is_an_error() -> None:
    row = zoo.resolve("hog")[0]
    with pytest.raises(TypeError, match="object"):
        row_to_dict(dataclasses.replace(row, note=object()))  # type: ignore[arg-type]  # on purpose


# info


def test_info_prints_what_loading_will_use(run: Zoo) -> None:
    row = zoo.resolve("dinov2-b14")[0]
    ran = run("info", "dinov2")
    assert ran.code == 0
    assert f"{row.params:,}" in ran.out
    assert row.weights.source in ran.out
    assert row.license in ran.out


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("dinov2-b14", "images resized to 256 pixels on the shorter side, then cut to the centre"),
        ("siglip-b16-image", "images squashed to 224 x 224 pixels (bicubic); mean 0.5, 0.5, 0.5"),
        (
            "siglip-so400m-14-384-image",
            "squashed to 384 x 384 pixels, of which the first 378 x 378",
        ),
        ("hog", "images squashed to 128 x 64 pixels (bilinear, grey)"),
        ("whisper-base", "sounds resampled to 16000 Hz, cut or filled up to 30 s, as 80 log-mel"),
        ("wav2vec2-base", "sounds resampled to 16000 Hz, of 300 s at most, scaled to mean 0"),
        ("e5-base-v2", "texts cut at 512 tokens, special ones included"),
        ("e5-base-v2", "role document: 'passage: '"),
        ("e5-base-v2", "input input_ids int64 (batch 1..4096, length"),
        ("dinov3-convnext-t", "3, height 32..1024 in steps of 32, width 32..1024 in steps of 32)"),
        ("colbertv2", "role query: marked [unused0], cut at 32 tokens, filled up with [MASK]"),
        ("glove-6b-300", "texts cut at 10,000 known words"),
    ],
)
def test_info_says_how_items_are_prepared(run: Zoo, name: str, line: str) -> None:
    assert line in " ".join(run("info", name).out.split())


def test_info_of_a_folder_has_no_revision(run: Zoo, tmp_path: Path) -> None:
    ran = run("info", save_tiny_bert(tmp_path / "bert"))

    assert str(tmp_path) in ran.out
    assert "revision" not in ran.out


def test_an_axis_of_one_size_is_no_range() -> None:
    batch = Dim(name="batch", min=4, typical=4, max=4)

    shown = info._input(TensorSpec(name="image", dtype="float32", shape=(batch, 3)))

    assert shown == "image float32 (batch 4, 3)"


@pytest.mark.parametrize("row", zoo.list(), ids=lambda row: row.name)
def test_info_can_print_every_row(run: Zoo, row: ModelSpec) -> None:
    assert run("info", row.name).out.startswith("name ")
    assert run("info", row.name, "--json").json == row_to_dict(row)


def test_info_of_a_bundle_is_what_its_manifest_says(run: Zoo, minilm: Path) -> None:
    ran = run("info", minilm)
    assert "verdict    parity passed" in ran.out
    assert "precision  float32" in ran.out
    assert run("info", minilm, "--json").json["verdict"]["outcome"] == "passed"


def test_info_of_a_space_has_its_towers(run: Zoo) -> None:
    assert "clip-b16-text" in run("info", "clip-b16").out
    towers = run("info", "clip-b16", "--json").json["towers"]
    assert {name: row["name"] for name, row in towers.items()} == {
        "image": "clip-b16-image", "text": "clip-b16-text",
    }  # fmt: skip


# errors


def test_an_unknown_model_exits_with_1_and_a_suggestion(run: Zoo) -> None:
    ran = run("info", "dinov2-b16")
    assert ran.code == 1
    assert ran.err.startswith("Error: ")
    assert "dinov2-b14" in ran.err
    assert ran.out == ""


def test_debug_shows_the_traceback(run: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DEBUG", "1")
    with pytest.raises(zoo.UnknownModelError):
        run("info", "dinov2-b16")


@pytest.mark.parametrize(
    "words",
    [
        ("listt",),
        ("list", "--no-such"),
        ("info",),
        ("embed", "hog"),
        ("card", "hog", "--check"),
        ("card", "hog", "--out", "."),
        ("export", "hog", "--out", "two\nlines"),
    ],
)
def test_wrong_usage_exits_with_2(run: Zoo, words: tuple[str, ...]) -> None:
    ran = run(*words)
    assert ran.code == 2
    assert "Error: " in ran.err


def test_a_mistyped_command_is_offered_what_was_meant(run: Zoo) -> None:
    assert "'list'" in run("listt").err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_an_example(run: Zoo, name: str) -> None:
    ran = run(name, "--help")
    assert ran.code == 0
    assert f"Example:\n    zoo {name}" in ran.out.replace("  Example", "Example")


def test_the_list_of_commands_cuts_no_sentence_short(run: Zoo) -> None:
    commands = run("--help").out.partition("Commands:")[2]
    assert all(
        line.endswith(".") for line in commands.partition("Example:")[0].split("\n") if line.strip()
    )


def test_a_file_that_the_system_refuses_is_an_error_without_a_traceback(
    run: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "/closed/weights")

    monkeypatch.setattr("zoo.resolve", refuse)
    ran = run("info", "hog")
    assert ran.code == 1
    assert ran.err.startswith("Error: /closed/weights cannot be read or written")


@pytest.mark.parametrize(
    ("redirect", "code", "text"),
    [(">&-", 0, ""), ("> /dev/full", 1, "Error: The output cannot be written: No space left")],
)
def test_an_output_that_takes_nothing_leaves_no_traceback(
    redirect: str, code: int, text: str
) -> None:
    ran = subprocess.run(
        f"{sys.executable} -m zoo list hog {redirect}",
        shell=True, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == code
    assert ran.stderr.startswith(text)
    assert "Traceback" not in ran.stderr


def test_characters_beyond_the_output_s_encoding_are_escaped(tmp_path: Path) -> None:
    for name in ("\u732b.jpg", "\u72ac.jpg"):
        shutil.copy(samples.images()[0], tmp_path / name)
    words = ["zoo", "similarity", "hog", "\u732b.jpg", "\u72ac.jpg"]
    for extra in ([], ["--json"]):
        ran = subprocess.run(
            [sys.executable, "-m", *words, *extra],
            cwd=tmp_path, env={**os.environ, "PYTHONIOENCODING": "latin-1"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        assert "\\u732b" in ran.stdout


def test_version_is_the_package_s(run: Zoo) -> None:
    assert zoo.__version__ in run("--version").out


def test_a_reader_that_leaves_early_hears_no_complaint() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "zoo", "list", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait(timeout=60)


# plugins and doctor


def test_plugins_are_listed_with_their_models(run: Zoo) -> None:
    plugins = {plugin["entry_point"]: plugin for plugin in run("plugins", "--json").json}
    assert {"classic", "multimodal", "text", "vision"} <= plugins.keys()
    assert "hog" in plugins["classic"]["models"]
    assert plugins["vision"]["distribution"] == "encoder-zoo"
    assert all(plugin["error"] is None for plugin in plugins.values())
    assert "zoo_vision.plugin" in run("plugins").out


def broken_plugin(folder: Path) -> dict[str, str]:
    """Put a plugin that cannot be imported on a path; return the environment that sees it."""
    info = folder / "acme-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[zoo]\nacme = acme_models\n")
    (folder / "acme_models.py").write_text("raise RuntimeError('out of acme')\n")
    return {**os.environ, "PYTHONPATH": str(folder)}


def test_a_broken_plugin_is_a_warning_for_list_and_a_problem_for_doctor(tmp_path: Path) -> None:
    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "zoo", *words],
            env=broken_plugin(tmp_path / words[0]),
            capture_output=True,
            text=True,
            check=False,
        )

    listed = call("list")
    assert listed.returncode == 0
    assert listed.stderr.startswith("Warning: Skipped plugin 'acme' of acme 1.0")
    assert "hog" in listed.stdout
    examined = call("doctor", "--json")
    assert examined.returncode == 1
    assert any("out of acme" in problem for problem in json.loads(examined.stdout)["problems"])


def test_doctor_describes_this_machine(
    run: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    (tmp_path / "file").write_bytes(b"12345")
    ran = run("doctor", "--json")
    assert ran.code == 0
    report = ran.json
    assert report["problems"] == []
    assert report["packages"]["numpy"] == np.__version__
    assert report["torch"]["devices"][0] == "cpu"
    assert report["cache"]["zoo"]["bytes"] == 5
    assert report["cache"]["zoo"]["writable"] is True
    assert report["hub"]["answers"] == "not asked"
    assert report["environment"]["HF_TOKEN"] == "(set)"
    assert "hf_secret" not in run("doctor").out


def test_doctor_asks_the_network_only_on_demand(run: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # discard: nobody listens
    assert run("doctor").code == 0
    ran = run("doctor", "--network", "--json")
    assert ran.code == 1
    assert ran.json["hub"]["answers"].startswith("no: ")


def test_doctor_finds_an_address_of_the_hub_that_is_none(
    run: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "banana")
    ran = run("doctor", "--json")
    assert ran.code == 1
    assert "HF_ENDPOINT='banana' is not the address" in ran.json["problems"][0]


def test_doctor_finds_a_cache_that_cannot_be_written(
    run: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "file" / "cache"))
    ran = run("doctor", "--json")
    assert ran.code == 1
    assert "cannot be written" in ran.json["problems"][0]


# pull and similarity


def test_doctor_passes_over_what_it_may_not_read(
    run: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "closed" / "cache"))
    stat = os.stat

    def refuse(path: Any, *args: Any, **options: Any) -> Any:
        if "closed" in str(path):  # a mode of 000 would not hold for root
            raise PermissionError(13, "Permission denied", path)
        return stat(path, *args, **options)

    monkeypatch.setattr(os, "stat", refuse)
    assert run("doctor", "--json").json["cache"]["zoo"]["files"] == 0


def test_pull_prints_hashes_and_paths(run: Zoo, bert: Path, tmp_path: Path,
                                      monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    ran = run("pull", bert)
    assert ran.code == 0
    pulled = dict(reversed(line.split("  ")) for line in ran.out.splitlines())
    for path, digest in pulled.items():
        assert hashlib.sha256(Path(path).read_bytes()).hexdigest() == digest
    assert {"model.safetensors", "tokenizer.json"} <= {Path(path).name for path in pulled}


def test_pull_of_a_model_without_files_says_so(run: Zoo) -> None:
    ran = run("pull", "hog")
    assert ran.code == 0
    assert "no files" in ran.err


def test_similarity_is_a_symmetric_matrix_of_cosines(run: Zoo, bert: Path) -> None:
    ran = run("similarity", bert, "the cat", "a kitten", "the cat", "--json")
    scores = np.array(ran.json["similarity"])
    vectors = zoo.load(str(bert)).encode(["the cat", "a kitten"])
    one, other = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert scores[0, 2] == pytest.approx(1, abs=1e-6)
    assert scores[0, 1] == scores[1, 0] == pytest.approx(float(one @ other), abs=1e-6)


def test_similarity_prints_a_line_an_item(run: Zoo) -> None:
    ran = run("similarity", "hog", *samples.images()[:2])
    header, *body = ran.out.splitlines()
    assert header.split() == ["1", "2"]
    assert len(body) == 2
    assert "1.0000" in body[0]


def test_similarity_of_one_item_is_wrong_usage(run: Zoo) -> None:
    assert run("similarity", "hog", samples.images()[0]).code == 2


def test_a_joint_space_compares_files_with_texts(run: Zoo, tmp_path: Path) -> None:
    clip_reference.save_tokenizer(tmp_path)
    pair = clip_reference.tiny_pair(quick_gelu=True)
    clip_reference.transformers_reference(pair).save_pretrained(tmp_path)
    image = samples.images()[0]
    joint = zoo.load(str(tmp_path))
    assert isinstance(joint, JointEncoder)
    wanted = joint.text.similarity(joint.text.encode("a cat"), joint.image.encode(image))

    scores = run("similarity", tmp_path, image, "a cat", "--json").json["similarity"]

    assert scores[1][0] == pytest.approx(float(wanted[0, 0]), abs=1e-6)
    assert scores[0][0] == pytest.approx(1, abs=1e-6)
