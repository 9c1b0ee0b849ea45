"""A coverage run says what was shown of a row, why the rest was not, and goes on after a fault."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import coverage, coverage_checks
from benchmarks.coverage_table import LABELS, markdown
from tests import preprocessing, shown
from tests.comparisons import compare, comparison_of
from tests.reference import FLOAT32, FLOAT64
from zoo.cards.results import RowResults, read_results, write_results
from zoo.registry import default_registry

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:gensim"),
    pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning"),
]


@pytest.fixture
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder for results."""
    monkeypatch.setattr(coverage, "CARDS", tmp_path)
    return tmp_path


def run(*names: str) -> str:
    """Run rows in this process; returns what was printed."""
    ran = CliRunner().invoke(coverage.main, ["--here", *(f"--only={name}" for name in names)])
    assert ran.exit_code == 0, ran.output
    return ran.output


@pytest.mark.parametrize(
    "name",
    ["vit-b16", "swin-t", "resnet-18", "clip-b16-text", "siglip2-b16-image", "electra-small",
     "colbertv2", "xlnet-base-cased", "hubert-base", "glove-6b-50", "lsa"],
)  # fmt: skip
def test_a_comparison_with_the_reference_agrees_to_rounding(name: str) -> None:
    found = compare(default_registry().row(name))

    assert found is not None
    assert found.errors["float64"] <= FLOAT64
    assert found.errors["float32"] <= FLOAT32


def test_two_rows_of_one_tiny_configuration_share_their_graphs(cards: Path) -> None:
    run("vit-s16", "vit-t16")

    first, second = read_results(cards).values()
    assert first.reference.startswith("timm ")
    assert [check.name for check in first.checks] == list(LABELS)
    assert [check.outcome for check in first.checks] == [
        *["passed"] * 5,
        "built",
        "passed",
        "built",
    ]
    details = {check.name: check.detail for check in first.checks}
    assert "dB" in details["ONNX graph in float32"]
    assert details["ONNX graph in float16"].endswith("emulated")
    assert details["TensorRT-RTX engine in float16"].startswith(
        "one engine for sm_80, sm_86, sm_89, sm_120"
    )
    assert (first.graphs_of, second.graphs_of) == ("", "vit-s16")
    assert second.checks[4:] == first.checks[4:]
    assert first.seconds > second.seconds > 0


def test_what_was_not_shown_says_why(cards: Path) -> None:
    run("sift-vlad")

    checks = {check.name: check for check in read_results(cards)["sift-vlad"].checks}
    assert [checks[name].outcome for name in LABELS] == [
        *["not run"] * 3,
        "passed",
        *["not run"] * 4,
    ]
    assert "NumPy" in checks["outputs in float64"].detail
    assert checks["weights of full size"].detail == "it has no file of weights"
    assert "`algebra`" in checks["ONNX graph in float32"].detail


def test_a_run_goes_on_where_it_stopped_and_after_a_fault(
    cards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("sift")
    tried: list[str] = []

    def broken(row: object, *_: object, **__: object) -> object:
        tried.append(row.name)  # type: ignore[attr-defined]
        raise RuntimeError("no memory")

    monkeypatch.setattr(coverage_checks, "build_bundle", broken)
    run("sift", "glove-6b-50")

    assert tried == ["glove-6b-50"] * 2
    checks = {check.name: check for check in read_results(cards)["glove-6b-50"].checks}
    assert checks["outputs in float64"].outcome == "passed"
    assert checks["ONNX graph in float32"].outcome == "failed"
    assert checks["ONNX graph in float32"].detail == "RuntimeError: no memory"
    assert checks["TensorRT-RTX engine in float32"].detail == "no float32 graph passed"


def test_what_was_run_is_run_again_when_asked_for(cards: Path) -> None:
    run("sift-vlad")
    stored = read_results(cards)["sift-vlad"]
    write_results(cards, {"sift-vlad": replace(stored, reference="another")})

    run("sift-vlad")
    assert read_results(cards)["sift-vlad"].reference == "another"
    CliRunner().invoke(coverage.main, ["--here", "--again", "--only=sift-*"])

    assert read_results(cards)["sift-vlad"].reference == stored.reference
    assert [check.name for check in read_results(cards)["sift-vlad"].checks] == [
        check.name for check in stored.checks
    ]


def test_a_text_tower_is_not_shown_by_the_pixels_of_its_joint_space() -> None:
    image, text = (
        preprocessing.parity(default_registry().row(f"clip-b16-{side}"))
        for side in ("image", "text")
    )

    assert "pixels are bit equal to open clips" in image
    assert text.startswith("open_clip's tokens")


def test_a_test_that_fails_is_a_failed_check(monkeypatch: pytest.MonkeyPatch) -> None:
    @pytest.mark.parametrize("name", ["hog", "vit-t16"])
    def wrong(name: str) -> None:
        assert name == "hog", "an expected key is missing"

    monkeypatch.setattr(shown, "FULL_SIZE", (wrong,))
    _, checks = coverage_checks.reference_checks(default_registry().row("vit-t16"))

    keys = next(check for check in checks if check.name == "weights of full size")
    assert keys.outcome == "failed"
    assert "an expected key is missing" in keys.detail


def test_every_row_with_a_file_is_named_by_a_test_of_its_keys() -> None:
    without = [
        row.name
        for row in default_registry()
        if row.params and not any(list(shown.cases(test, row)) for test in shown.FULL_SIZE)
    ]

    assert without == []


def test_every_family_is_held_against_a_library() -> None:
    assert [row.name for row in default_registry() if comparison_of(row) is None] == []


def test_rows_that_were_not_run_are_listed() -> None:
    rows = [default_registry().row(name) for name in ("hog", "tfidf")]

    page = markdown(rows, {"hog": RowResults(checks=(), reference="")})

    assert "Rows not run: hog, tfidf." in page


def test_the_page_is_what_the_stored_results_give() -> None:
    page = markdown(list(default_registry()), read_results(Path("model_cards")))

    assert Path("docs/coverage.md").read_text(encoding="utf-8") == page, (
        "Run `python -m benchmarks.coverage --table`."
    )
