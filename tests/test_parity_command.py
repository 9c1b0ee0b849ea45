"""`zoo parity`: what it takes, what it prints, what it writes, how it exits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import onnx
import pytest

import zoo
from tests.bundle_tools import BundleOf
from tests.bundle_tools import bundle_of as bundle_of  # a fixture
from tests.cli_tools import Zoo
from tests.test_parity_onnx import lost_bias
from tests.tiny_rows import tiny_row
from zoo_export.parity import Report

NAME = "all-minilm-l6-v2"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Zoo:
    """Return the command line, for which names stand for tiny rows."""
    monkeypatch.setattr(zoo, "resolve", lambda name: (tiny_row(name),))
    return Zoo(capsys, monkeypatch)


def changed(bundle: Path, folder: Path) -> Path:
    """Return a graph with a bug."""
    model = onnx.load(bundle / "model.onnx")
    lost_bias(model)
    onnx.save(model, folder / "wrong.onnx")
    return folder / "wrong.onnx"


def test_a_bundle_is_judged_by_what_it_was_made_from(run: Zoo, bundle_of: BundleOf) -> None:
    ran = run("parity", bundle_of(NAME))

    assert ran.code == 0
    assert ran.out.startswith(f"parity passed: {NAME}: {NAME} ")
    assert ran.err == ""


def test_a_file_is_judged_against_a_model(run: Zoo, bundle_of: BundleOf) -> None:
    graph = bundle_of(NAME) / "model.onnx"

    ran = run("parity", NAME, "--against", graph, "--weights", "random")

    assert ran.code == 0
    assert "model.onnx" in ran.out


def test_a_wrong_file_is_refused_and_written_about(
    run: Zoo, bundle_of: BundleOf, tmp_path: Path
) -> None:
    graph = changed(bundle_of(NAME), tmp_path)
    json, junit = tmp_path / "report.json", tmp_path / "report.xml"

    ran = run("parity", NAME, "--against", graph, "--weights", "random", "--json", json,
              "--junit", junit)  # fmt: skip

    assert ran.code == 3
    assert ran.out == Report.from_json(json.read_text()).line() + "\n"
    assert ran.out.startswith(f"parity refused: {NAME}: wrong.onnx ")
    assert ElementTree.parse(junit).find("testsuite/testcase/failure") is not None


def test_other_weights_are_refused(run: Zoo, bundle_of: BundleOf) -> None:
    other = bundle_of("bge-small-en-v1.5")

    assert run("parity", NAME, "--against", other, "--weights", "random").code == 3


def test_half_precision_is_refused_as_float32(run: Zoo) -> None:
    ran = run("parity", NAME, "--against", "bfloat16", "--weights", "random")

    assert ran.code == 3
    assert "rounded to bfloat16" in ran.out


def test_layers_prints_every_boundary(run: Zoo, bundle_of: BundleOf) -> None:
    ran = run("parity", bundle_of(NAME), "--layers")

    lines = ran.out.splitlines()
    assert ran.code == 0
    assert lines[0].split() == ["candidate", "module", "side", "dB", "eager"]
    assert any(line.split()[1:3] == ["blocks.1.attention.proj", "out"] for line in lines)
    assert lines[-1].startswith("parity passed")


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ((NAME,), 2, "Say what to judge"),
        ((NAME, "--against", "nowhere.onnx"), 1, "There is no file or bundle 'nowhere.onnx'"),
    ],
)
def test_what_cannot_be_judged_is_said(
    run: Zoo, words: tuple[str, ...], code: int, text: str
) -> None:
    ran = run("parity", *words)

    assert ran.code == code
    assert text in ran.err


def test_a_joint_space_is_judged_by_its_towers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = Zoo(capsys, monkeypatch)("parity", "clip-b16", "--against", "float16")

    assert ran.code == 1
    assert "clip-b16-image, clip-b16-text" in ran.err


def test_outputs_of_other_names_are_told(run: Zoo, bundle_of: BundleOf, tmp_path: Path) -> None:
    model = onnx.load(bundle_of(NAME) / "model.onnx")
    for name in ("pooled", "tokens"):
        model.graph.node.append(onnx.helper.make_node("Identity", [name], [f"their_{name}"]))
    for value in model.graph.output:
        value.name = f"their_{value.name}"
    onnx.save(model, tmp_path / "named.onnx")

    ran = run("parity", NAME, "--against", tmp_path / "named.onnx", "--weights", "random")

    assert ran.code == 1
    assert "gives their_pooled, their_tokens; the model gives pooled, tokens" in ran.err


def test_profiles_and_reports_need_no_torch() -> None:
    code = (
        "import sys, zoo_export.parity.command, zoo_export.parity.junit; "
        "from zoo_export.parity import Report, default_profile; "
        "raise SystemExit('torch' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
