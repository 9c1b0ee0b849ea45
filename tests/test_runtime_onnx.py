"""A bundle runs where neither torch nor a plugin is, on the device that was asked for."""

from __future__ import annotations

import copy
import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import zoo
from tests.bundle_tools import (
    BundleOf,
    bundle_of as bundle_of,
    change_manifest,
    items_of,
    minilm as minilm,
    rehash,
)
from tests.cli_tools import Zoo, save_tiny_bert
from tests.reference import FLOAT32, relative_error
from tests.test_packaging import without
from tests.tiny_rows import tiny_row
from zoo.bundle import MANIFEST, MODEL, TOKENIZER, open_bundle
from zoo.encoder import Encoder
from zoo.errors import BundleError, MissingExtraError, OptionError, ParityError
from zoo.loading import load_row
from zoo.verify import verify

ABSENT = ("torch", "onnx", "onnxscript", "zoo_vision", "zoo_text", "zoo_multimodal", "zoo_classic",
          "zoo_export", "huggingface_hub", "transformers")  # fmt: skip


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Zoo:
    return Zoo(capsys, monkeypatch)


@pytest.fixture(scope="module")
def real_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the folder of a tiny BERT with a tokenizer of words, and its bundle."""
    from zoo_export.build import build_bundle
    from zoo_export.parity import default_profile

    folder = tmp_path_factory.mktemp("bert")
    save_tiny_bert(folder / "model")
    (row,) = zoo.resolve(str(folder / "model"))
    build_bundle(row, folder / "bundle", profile=default_profile(row))
    return folder / "model", folder / "bundle"


# Without torch


@pytest.mark.parametrize("name", ["all-minilm-l6-v2", "clip-b16-text", "vit-b16", "hog"])
def test_a_bundle_runs_and_is_verified_without_torch_and_without_plugins(
    name: str, bundle_of: BundleOf, tmp_path: Path
) -> None:
    row = tiny_row(name)
    items = [str(item) for item in items_of(row, 3)]
    code = f"""
import zoo
from zoo.verify import verify
encoder = zoo.open({str(bundle_of(name))!r})
assert all(check.passed for check in verify({str(bundle_of(name))!r}))
print(json.dumps(encoder.encode({items!r}).tolist()))
"""
    found = np.array(json.loads(without(ABSENT, code, tmp_path)))
    wanted = load_row(row, weights="random").encode(items_of(row, 3))
    assert relative_error(found, wanted) < FLOAT32


def test_tensors_that_need_torch_are_refused_with_its_pip_line(
    minilm: Path, tmp_path: Path
) -> None:
    code = f"""
import zoo
try:
    zoo.open({str(minilm)!r}).encode(["a"], convert_to_tensor=True)
except zoo.ZooError as error:
    print(error)
"""
    assert "encoder-zoo[torch]" in without(ABSENT, code, tmp_path)


def test_opening_imports_only_what_running_takes(bundle_of: BundleOf, tmp_path: Path) -> None:
    code = f"""
import zoo
zoo.open({str(bundle_of("all-minilm-l6-v2"))!r}).encode("text")
print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}} & {set(ABSENT)!r})))
"""
    assert json.loads(without((), code, tmp_path)) == []


def test_a_missing_runtime_is_named_with_its_pip_line(
    minilm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"onnxruntime .*encoder-zoo\[cpu\]"):
        zoo.open(minilm)


# Devices and options


@pytest.mark.parametrize(
    ("device", "why"),
    [
        ("cuda", "has no CUDAExecutionProvider"),
        ("cuda:1", "has no CUDAExecutionProvider"),
        ("mps", "no device of ONNX Runtime"),
        ("cuda:x", "no device of ONNX Runtime"),
        ("cpu:0", "no device of ONNX Runtime"),
    ],
)
def test_no_other_device_than_the_one_asked_for_is_used(
    minilm: Path, device: str, why: str
) -> None:
    with pytest.raises(OptionError, match=why):
        zoo.open(minilm, device=device)


def test_threads_can_be_chosen(minilm: Path) -> None:
    one = zoo.open(minilm, threads=1).encode("a text")
    np.testing.assert_allclose(one, zoo.open(minilm, threads=2).encode("a text"), atol=1e-6)
    with pytest.raises(OptionError, match="threads=0 is less than 1"):
        zoo.open(minilm, threads=0)


def test_a_norm_inside_the_graph_cannot_be_left_out_but_one_can_be_added(
    bundle_of: BundleOf,
) -> None:
    unit, plain = zoo.open(bundle_of("all-minilm-l6-v2")), zoo.open(bundle_of("vit-b16"))
    images = items_of(tiny_row("vit-b16"), 3)

    with pytest.raises(OptionError, match=r"ends in an L2 norm.*zoo\.load\('all-minilm-l6-v2'\)"):
        unit.encode("text", normalize=False)
    vectors = plain.encode(images)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    assert (np.abs(lengths - 1) > 0.01).all()
    np.testing.assert_allclose(
        plain.encode(images, normalize=True), vectors / lengths, rtol=1e-6, atol=1e-7
    )


def test_an_open_bundle_behaves_as_a_loaded_model(minilm: Path) -> None:
    encoder = zoo.open(minilm)
    texts = ["one", "", "a longer text"]

    tensors = encoder.encode(texts, convert_to_tensor=True)
    assert isinstance(tensors, torch.Tensor)
    np.testing.assert_array_equal(tensors.numpy(), encoder.encode(texts))
    lengths = [len(tokens) for tokens in encoder.encode(texts, output="tokens")]
    assert lengths == [5, 2, 15]  # a start, a token a byte, an end
    record = encoder(encoder.preprocess(texts))
    np.testing.assert_array_equal(record.pooled, encoder.encode(texts))
    with pytest.raises(OptionError, match="runs an artefact"):
        _ = encoder.module
    with pytest.raises(OptionError, match="runs on the device that it was opened on"):
        encoder.encode(texts, device=["cpu", "cpu"])
    with pytest.raises(OptionError, match="gives pooled, tokens; not 'pyramid'"):
        encoder.encode(texts, output="pyramid")


def test_copies_of_an_open_bundle_are_opened_as_it_was(
    minilm: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(minilm.parent)
    encoder = zoo.open(minilm.name, threads=1)
    monkeypatch.chdir(tmp_path)  # as a worker may start anywhere

    for again in (copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
        session: Any = vars(again.backend)["session"]
        assert session.get_session_options().intra_op_num_threads == 1
        np.testing.assert_array_equal(again.encode(["one", ""]), encoder.encode(["one", ""]))


def test_a_file_that_is_no_graph_is_a_bundle_error(minilm: Path) -> None:
    (minilm / MODEL).write_bytes(b"no graph at all")
    rehash(minilm, MODEL)
    with pytest.raises(BundleError, match=r"cannot load .*model\.onnx"):
        zoo.open(minilm)


def test_a_tokenizer_goes_along_as_one_file(real_tokenizer: tuple[Path, Path]) -> None:
    model, bundle = real_tokenizer
    opened, loaded = zoo.open(bundle), zoo.load(str(model))
    assert isinstance(loaded, Encoder)
    texts = ["The cat sat on the mat", "unheard-of words", "", "a kitten " * 60]

    assert (bundle / TOKENIZER).is_file()
    for name, array in opened.preprocess(texts).items():
        np.testing.assert_array_equal(array, loaded.preprocess(texts)[name])
    assert relative_error(opened.encode(texts), loaded.encode(texts)) < FLOAT32
    origin = open_bundle(bundle).manifest.weights
    assert origin.source == "local files"
    assert len(origin.sha256["model.safetensors"]) == 64


# Verifying


def test_verify_says_what_it_measured(real_tokenizer: tuple[Path, Path]) -> None:
    checks = verify(real_tokenizer[1])

    assert {check.output for check in checks} == {"pooled", "tokens", "input_ids", "attention_mask"}
    assert {check.case for check in checks} == {0, 1}
    for check in checks:
        assert check.passed
        assert check.error <= check.limit < 1e-4


def test_verify_refuses_a_runtime_whose_numbers_are_too_far(minilm: Path, run: Zoo) -> None:
    assert run("verify", minilm).code == 0

    def tighten(value: dict[str, Any]) -> None:
        value["golden"]["limits"]["pooled"] = 1e-12

    change_manifest(minilm, tighten)
    ran = run("verify", minilm)
    assert ran.code == ParityError.exit_code == 3
    assert "REFUSED" in ran.out
    assert "2 of 8 checks are refused" in ran.err


def test_verify_refuses_a_tokenizer_that_makes_other_ids(
    real_tokenizer: tuple[Path, Path], tmp_path: Path
) -> None:
    bundle = Path(shutil.copytree(real_tokenizer[1], tmp_path / "bundle"))
    value = json.loads((bundle / TOKENIZER).read_text())
    vocab = value["model"]["vocab"]
    vocab["a"], vocab["[UNK]"] = vocab["[UNK]"], vocab["a"]
    (bundle / TOKENIZER).write_text(json.dumps(value))
    rehash(bundle, TOKENIZER)

    refused = {check.output for check in verify(bundle) if not check.passed}
    assert refused == {"input_ids"}


# The command line and the cache


def test_export_and_verify_on_the_command_line(tmp_path: Path, run: Zoo) -> None:
    made = run("export", "hog", "--out", tmp_path / "hog", "--batch", "1:2:4", "--json")
    assert made.code == 0, made.err
    (said,) = made.json
    assert said["path"] == str(tmp_path / "hog")
    assert said["verdict"].startswith("parity passed: hog")
    assert set(said["seconds"]) == {"load", "export", "parity", "engine", "pack"}

    checked = run("verify", tmp_path / "hog", "--json")
    assert checked.code == 0
    assert all(check["passed"] for check in checked.json)
    again = run("export", "hog", "--out", tmp_path / "hog")
    assert (again.code, "--overwrite" in again.err) == (1, True)
    (tmp_path / "hog" / MANIFEST).write_text("{}")
    assert run("verify", tmp_path / "hog").code == 1


@pytest.mark.parametrize(
    "words",
    [
        ("--batch", "1:2"),
        ("--batch", "many"),
        ("--size", "224x"),
        ("--size", "1x2x3"),
        ("--to", "nonsense"),
    ],
)
def test_words_that_make_no_sense_are_wrong_usage(words: tuple[str, str], run: Zoo) -> None:
    assert run("export", "hog", "--out", "nowhere", *words).code == 2


def test_loading_with_the_onnx_backend_exports_once_and_mends_the_cache() -> None:
    row = tiny_row("simcse-unsup-bert-base")

    def load() -> Encoder:
        found = zoo.load(row, backend="onnx", weights="random")
        assert isinstance(found, Encoder)
        return found

    first = load()
    model = Path(first.backend.session._model_path)  # type: ignore[attr-defined]  # ONNX Runtime's
    stamp = model.stat().st_mtime_ns
    vectors = load().encode(["a", "b"])
    assert model.stat().st_mtime_ns == stamp
    assert relative_error(vectors, load_row(row, weights="random").encode(["a", "b"])) < FLOAT32

    data = bytearray(model.read_bytes())
    data[-1] ^= 1
    model.write_bytes(data)
    np.testing.assert_array_equal(load().encode(["a", "b"]), vectors)
    assert model.stat().st_mtime_ns != stamp
    with pytest.raises(OptionError, match="runs in float32"):
        zoo.load(row, backend="onnx", weights="random", dtype="float64")
