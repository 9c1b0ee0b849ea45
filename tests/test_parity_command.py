"""`zoo parity`: what it takes, what it prints, what it writes, how it exits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import onnx
import pytest

import zoo
from tests.bundle_tools import (
    BundleOf,
    bundle_of as bundle_of,  # a fixture
    minilm as minilm,
)
from tests.cli_tools import Zoo
from tests.mutations.bench import reference
from tests.test_parity_onnx import lost_bias
from tests.tiny_rows import tiny_row
from zoo_export.parity import Report, judge_against

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


@pytest.mark.parametrize("bytes_left", [0, 1000])
def test_a_damaged_bundle_is_said_to_be_damaged_and_not_judged(
    run: Zoo, minilm: Path, bytes_left: int
) -> None:
    os.truncate(minilm / "model.onnx", bytes_left)

    ran = run("parity", minilm)

    assert ran.code == 1
    assert f"{minilm / 'model.onnx'} has been changed or damaged: it has {bytes_left}" in ran.err
    assert "Copy the bundle again" in ran.err


def test_weights_with_a_wrong_bit_are_not_taken_for_an_export_that_went_wrong(
    run: Zoo, minilm: Path
) -> None:
    data = bytearray((minilm / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (minilm / "model.onnx").write_bytes(data)

    ran = run("parity", minilm)

    assert ran.code == 1
    assert "model.onnx has been changed or damaged: its sha256" in ran.err


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


@pytest.fixture
def space(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Zoo:
    """Return the command line, for which every name stands for a joint space of tiny towers."""
    towers = tuple(map(tiny_row, ("clip-b16-image", "clip-b16-text")))
    monkeypatch.setattr(zoo, "resolve", lambda name: towers)
    return Zoo(capsys, monkeypatch)


def test_a_joint_space_is_judged_tower_by_tower(
    space: Zoo, bundle_of: BundleOf, tmp_path: Path
) -> None:
    for name in ("clip-b16-image", "clip-b16-text"):
        (tmp_path / name).symlink_to(bundle_of(name))
    json, junit, html = (tmp_path / name for name in ("report.json", "report.xml", "report.html"))

    ran = space("parity", "clip-b16", "--against", tmp_path, "--weights", "random",
                "--json", json, "--junit", junit, "--html", html)  # fmt: skip

    lines = ran.out.splitlines()
    assert ran.code == 0, ran.out + ran.err
    assert lines[0].startswith("parity passed: clip-b16-image: clip-b16-image ")
    assert lines[1].startswith("parity passed: clip-b16-text: clip-b16-text ")
    assert Report.from_json((tmp_path / "report.clip-b16-text.json").read_text()).passed
    assert len(ElementTree.parse(junit).findall("testsuite")) == 2
    assert all(
        f"<h1>{name}</h1>" in html.read_text() for name in ("clip-b16-image", "clip-b16-text")
    )


def test_one_graph_is_not_held_against_two_towers(space: Zoo, bundle_of: BundleOf) -> None:
    ran = space("parity", "clip-b16", "--against", bundle_of("clip-b16-image"))

    assert ran.code == 1
    assert "clip-b16-image, clip-b16-text" in ran.err


def test_several_candidates_stand_in_one_report(
    run: Zoo, bundle_of: BundleOf, tmp_path: Path
) -> None:
    bundle, json = bundle_of(NAME), tmp_path / "report.json"
    graph = changed(bundle, tmp_path)

    ran = run("parity", bundle, "--against", bundle, "--against", graph, "--against", "float16",
              "--json", json)  # fmt: skip

    report = Report.from_json(json.read_text())
    assert ran.code == 3
    assert [(c.name, c.passed) for c in report.candidates] == [
        (NAME, True), ("wrong.onnx", False), ("float16", False)
    ]  # fmt: skip


def test_candidates_of_one_name_are_told_apart(run: Zoo, bundle_of: BundleOf) -> None:
    bundle = bundle_of(NAME)

    ran = run("parity", bundle, "--against", bundle / "model.onnx", "--against",
              bundle / "model.onnx")  # fmt: skip

    assert ran.code == 0
    assert "model.onnx (2)" in ran.out


# of torch's own modules, as the compiler imports them
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_compiled_module_is_judged_at_every_shape(run: Zoo) -> None:
    ran = run("parity", NAME, "--against", "compile", "--weights", "random")

    assert ran.code == 0, ran.out
    assert ran.out.startswith(f"parity passed: {NAME}: compile ")


def test_graphs_for_other_sizes_are_judged_where_they_meet_or_not_at_all(
    run: Zoo, bundle_of: BundleOf, tmp_path: Path
) -> None:
    bundle, json = bundle_of(NAME), tmp_path / "report.json"
    for size in (2, 3):
        model = onnx.load(bundle / "model.onnx")
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = size
        onnx.save(model, tmp_path / f"batch{size}.onnx")

    met = run("parity", bundle, "--against", bundle, "--against", tmp_path / "batch2.onnx",
              "--json", json)  # fmt: skip
    apart = run("parity", bundle, "--against", bundle, "--against", tmp_path / "batch2.onnx",
                "--against", tmp_path / "batch3.onnx")  # fmt: skip

    assert met.code == 0
    assert {len(case.samples) for case in Report.from_json(json.read_text()).cases} == {2}
    assert apart.code == 1
    assert "batch3.onnx takes a batch of 3..3, the others of 2..2" in apart.err


def test_a_repro_of_what_was_refused_is_written(
    run: Zoo, bundle_of: BundleOf, tmp_path: Path
) -> None:
    graph = changed(bundle_of(NAME), tmp_path)

    ran = run("parity", bundle_of(NAME), "--against", graph, "--repro", tmp_path / "repro")

    assert ran.code == 3
    assert (tmp_path / "repro" / "wrong.onnx" / "run.py").is_file()
    assert f"repro: {tmp_path / 'repro' / 'wrong.onnx'}" in ran.err


def test_a_report_is_judged_again_by_other_limits(run: Zoo, bundle_of: BundleOf,
                                                  tmp_path: Path) -> None:  # fmt: skip
    json = tmp_path / "report.json"
    run("parity", bundle_of(NAME), "--json", json)

    same = run("parity", "--rejudge", json)
    strict = run("parity", "--rejudge", json, "--limit", "ratio=0.01", "--limit", "floor=0",
                 "--limit", "peak_floor=0", "--json", tmp_path / "strict.json")  # fmt: skip

    assert (same.code, strict.code) == (0, 3)
    assert Report.from_json((tmp_path / "strict.json").read_text()).thresholds.floor == 0


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("--rejudge", "FILE", "--limit", "ratios=2"), 1, "There is no limit 'ratios', only ratio"),
        (("--rejudge", "FILE", "--limit", "row=big"), 1, "'row=big' must be as in row=2"),
        (("--rejudge", "FILE", "--against", "compile"), 2, "--rejudge runs nothing"),
        ((NAME, "--against", "compile", "--limit", "row=2"), 2, "--limit belongs to --rejudge"),
        ((), 2, "Say which model"),
    ],
)
def test_what_cannot_be_judged_again_is_said(
    run: Zoo, tmp_path: Path, words: tuple[str, ...], code: int, text: str
) -> None:
    report = judge_against(reference(NAME), {})
    (tmp_path / "report.json").write_text(report.to_json())

    ran = run("parity", *(str(tmp_path / "report.json") if w == "FILE" else w for w in words))

    assert ran.code == code
    assert text in ran.err


def test_a_file_that_is_no_report_is_not_judged(run: Zoo, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")

    ran = run("parity", "--rejudge", tmp_path / "other.json")

    assert ran.code == 1
    assert "no parity report of schema" in ran.err


@pytest.mark.parametrize("data", [b"no graph at all", b"", b"\x08"])
def test_a_file_that_is_no_graph_is_told(run: Zoo, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file.onnx").write_bytes(data)

    ran = run("parity", NAME, "--against", tmp_path / "file.onnx")

    assert ran.code == 1
    assert "file.onnx is no ONNX file" in ran.err


def test_text_that_is_no_json_is_no_report(run: Zoo, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("some notes")

    ran = run("parity", "--rejudge", tmp_path / "notes.txt")

    assert ran.code == 1
    assert "is no report" in ran.err


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
        "import sys, zoo_export.parity.command, zoo_export.parity.junit, zoo_export.parity.html; "
        "from zoo_export.parity import Report, default_profile; "
        "raise SystemExit('torch' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
