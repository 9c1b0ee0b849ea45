"""A coverage run says what was shown of a row, why the rest was not, and goes on after a fault."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import coverage
from tests.comparisons import compare
from tests.reference import FLOAT32, FLOAT64
from zoo.cards.results import read_results
from zoo.registry import default_registry


@pytest.fixture
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder for results, where no graph is exported."""
    monkeypatch.setattr(coverage, "CARDS", tmp_path)
    monkeypatch.setattr(
        coverage, "judged", lambda *_: {"verdict": "passed", "line": "", "ratios": [(9, 1.0, 0.5)]}
    )
    return tmp_path


@pytest.mark.parametrize("name", ["vit-b16", "resnet-18", "electra-small"])
def test_a_comparison_with_the_reference_agrees_to_rounding(name: str) -> None:
    found = compare(default_registry().row(name))

    assert found is not None
    assert found.errors["float64"] <= FLOAT64
    assert found.errors["float32"] <= FLOAT32


def test_what_was_not_compared_says_why(cards: Path) -> None:
    ran = CliRunner().invoke(coverage.main, ["hog"])

    checks = {check.name: check for check in read_results(cards)["hog"].checks}
    assert ran.exit_code == 0, ran.output
    assert checks["float64 error"].outcome == "no"
    assert "no comparison is registered for the family hog" in ran.output
    assert checks["ONNX parity"].detail == "tiny, 0.50 of its limits"


def test_a_run_goes_on_where_it_stopped_and_after_a_fault(
    cards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    CliRunner().invoke(coverage.main, ["hog"])
    tried: list[str] = []

    def broken(row: object, *_: object) -> object:
        tried.append(row.name)  # type: ignore[attr-defined]
        raise RuntimeError("no memory")

    monkeypatch.setattr(coverage, "judged", broken)
    ran = CliRunner().invoke(coverage.main, ["hog", "glove-6b-50"])

    assert ran.exit_code == 0
    assert tried == ["glove-6b-50"]
    assert read_results(cards)["glove-6b-50"].checks[-1].detail == "RuntimeError: no memory"
