"""The tester of low precision tested: every bug on purpose is refused, no right graph is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.mutations.low_precision import (
    IMAGE,
    PRECISION,
    STRUCTURE,
    T5,
    TEXT,
    Change,
    LowMutation,
    Twin,
    large_embeddings,
    large_logits,
    large_products,
    twin_of,
)
from zoo.manifest import Low
from zoo_export import graph
from zoo_export.parity import OnnxCandidate, Report, judge_against
from zoo_export.parity.low import structure_of
from zoo_export.parity.report import PROVEN
from zoo_export.precision.plan import LARGE
from zoo_export.precision.sensitive import search

TwinOf = Callable[[str, Change | None], Twin]


def _id(value: object) -> str:
    return value.kind.replace(" ", "-") if isinstance(value, LowMutation) else str(value)


def _pairs(mutations: tuple[LowMutation, ...]) -> list[tuple[LowMutation, str]]:
    return [(mutation, name) for mutation in mutations for name in mutation.rows]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny layers are faster on one thread."""
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(2)


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> TwinOf:
    """Return float32 graphs, each made once."""
    made: dict[tuple[str, Change | None], Twin] = {}

    def make(name: str, change: Change | None = None) -> Twin:
        if (name, change) not in made:
            made[name, change] = twin_of(name, tmp_path_factory.mktemp("twin"), change)
        return made[name, change]

    return make


@pytest.mark.parametrize(
    ("weights", "dtype"),
    [
        (None, "float16"),
        (None, "bfloat16"),
        (large_embeddings, "float16"),
        (large_embeddings, "bfloat16"),
        (large_logits, "float16"),
    ],
)
@pytest.mark.parametrize("name", [TEXT, IMAGE])
def test_the_plan_of_ranges_passes(
    twin: TwinOf, tmp_path: Path, name: str, weights: Change | None, dtype: Low
) -> None:
    exact = twin(name, weights)
    plan = exact.plan(dtype)

    report = exact.judged(plan, exact.lowered(plan, tmp_path / "low.onnx"))

    assert report.passed, report.line()
    assert report.structure == PROVEN
    assert report.executed == "emulated"
    assert report.precision == dtype


@pytest.mark.parametrize(("mutation", "name"), _pairs(STRUCTURE), ids=_id)
def test_a_bug_in_the_graph_breaks_the_proof(
    twin: TwinOf, tmp_path: Path, mutation: LowMutation, name: str
) -> None:
    exact = twin(name, None)
    plan = exact.plan("float16")

    found = structure_of(exact.lowered(plan, tmp_path / "low.onnx", mutation.graph), exact.path)

    assert found.startswith("not proven, ")
    assert mutation.word in found


@pytest.mark.parametrize(("mutation", "name"), _pairs(PRECISION), ids=_id)
def test_an_overflow_is_seen_that_onnx_runtime_hides(
    twin: TwinOf, tmp_path: Path, mutation: LowMutation, name: str
) -> None:
    exact = twin(name, mutation.weights)
    assert mutation.plan is not None
    plan = mutation.plan(exact.plan("float16"), graph.read(exact.path))
    path = exact.lowered(plan, tmp_path / "low.onnx")

    report = exact.judged(plan, path)
    plain = judge_against(exact.low("float16"), {"cpu": OnnxCandidate(path)})

    assert report.verdict == "refused"
    assert report.structure == PROVEN  # it is the same graph: only its rounding is wrong
    assert plain.candidates[0].faults == ()  # the CPU computes float16 in float32
    assert plain.candidates[0].passed, plain.line()


def test_the_search_keeps_the_one_module_that_needs_it(twin: TwinOf, tmp_path: Path) -> None:
    exact = twin(TEXT, large_logits)

    def judge(found: tuple[str, ...]) -> Report:
        plan = exact.plan("bfloat16", found=found)
        return exact.judged(plan, exact.lowered(plan, tmp_path / "low.onnx"))

    without = judge(())
    found = search(judge, exact.scopes.values())

    assert without.verdict == "refused"  # eight bits hold no difference beside 80,000
    assert found == ("blocks.0.attention",)
    assert judge(found).passed


def test_t5_keeps_the_products_that_overflow_in_float32(twin: TwinOf, tmp_path: Path) -> None:
    exact = twin(T5, large_products)
    plan = exact.plan("float16")
    unmeasured = replace(
        plan, float32={why: kept for why, kept in plan.float32.items() if why != LARGE}
    )

    report = exact.judged(plan, exact.lowered(plan, tmp_path / "low.onnx"))
    overflowing = exact.judged(unmeasured, exact.lowered(unmeasured, tmp_path / "bad.onnx"))

    kept = {exact.scopes.get(name) for name in plan.float32[LARGE]}
    assert "blocks.0.mlp.fc2" in kept
    assert report.passed, report.line()
    assert report.measured_by == "eager float16 under autocast"  # as it is, eager overflows
    assert overflowing.verdict == "refused"
    assert "is not finite" in overflowing.reason


def test_a_graph_without_its_twin_is_measured_but_not_passed(twin: TwinOf, tmp_path: Path) -> None:
    exact = twin(TEXT, None)
    plan = exact.plan("float16")

    report = exact.judged(plan, exact.lowered(plan, tmp_path / "low.onnx"), twin=False)

    assert report.candidates[0].passed
    assert report.verdict == "refused"
    assert "dB" in report.line()
    assert "structure: not proven" in report.line()
