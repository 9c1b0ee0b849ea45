"""What the gate compares, what it refuses to measure by, and what its report can do."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from torch import nn

from tests.mutations.bench import float_outputs, reference, wide_profile
from tests.tiny_rows import distinct_rows, tiny_row
from zoo.loading import random_module
from zoo.preprocess import Array, preprocessor_for
from zoo.spec import ModelSpec
from zoo_export.parity import (
    Candidate,
    Profile,
    Range,
    Report,
    Thresholds,
    TorchCandidate,
    default_profile,
    gate,
    judge,
    judge_against,
)
from zoo_export.parity.cases import collate, lattice
from zoo_export.parity.double import in_float64, memory_short
from zoo_export.parity.junit import junit
from zoo_export.parity.metrics import cosine_distances, gallery, measure
from zoo_export.parity.thresholds import Budget

TEXT = "all-minilm-l6-v2"
IMAGE = "vit-b16"


class Scaled:
    """Every output times a factor: a cosine of exactly 1."""

    def __init__(self, inner: TorchCandidate, factor: float) -> None:
        self.inner, self.factor = inner, np.float32(factor)

    def run(self, batch: dict[str, Array]) -> dict[str, Array]:
        return {name: array * self.factor for name, array in self.inner.run(batch).items()}


def right(name: str) -> TorchCandidate:
    base = reference(name)
    return TorchCandidate(base.spec, base.module, base.outputs)


def judged(row: ModelSpec, module: nn.Module, **options: Any) -> Report:
    outputs = float_outputs(row, module)
    options.setdefault("profile", default_profile(row))
    candidate = TorchCandidate(row, module, outputs)
    return judge(row, module, {"same": candidate}, outputs=outputs, **options)


@pytest.mark.parametrize("row", distinct_rows(), ids=lambda row: row.name)
def test_every_kind_of_network_agrees_with_itself(row: ModelSpec) -> None:
    report = judged(row, random_module(row), preprocessor=preprocessor_for(row))

    assert report.passed, report.line()
    assert report.not_run == ()


def test_a_cosine_of_one_passes_nothing() -> None:
    report = judge_against(reference(TEXT), {"scaled": Scaled(right(TEXT), 1.001)})

    assert not report.passed
    assert max(output.cosine for output in report.candidates[0].outputs) < 1e-9


def test_an_error_below_the_limit_passes_and_twice_the_limit_does_not() -> None:
    base = reference(TEXT)
    own = judge_against(base, {"same": right(TEXT)}).candidates[0].outputs[1]
    limit = Thresholds().ratio(own.elements) * own.yardstick

    assert judge_against(base, {"a": Scaled(right(TEXT), 1 + 0.5 * limit)}).passed
    assert not judge_against(base, {"a": Scaled(right(TEXT), 1 + 2.5 * limit)}).passed


def test_a_network_that_eager_float32_cannot_compute_is_refused() -> None:
    row = tiny_row(TEXT)
    module = random_module(row)
    with torch.no_grad():
        # 1e30 squared is beyond float32, not beyond float64
        module.get_submodule("blocks.0.mlp.fc2").get_parameter("weight").mul_(1e30)

    report = judged(row, module)

    assert report.verdict == "refused"
    assert "eager float32" in report.reason
    assert "eager float32" in report.line()


def test_a_candidate_that_fails_to_run_is_refused_with_its_words() -> None:
    class Broken:
        def run(self, batch: dict[str, Array]) -> dict[str, Array]:
            raise RuntimeError("index 3 is out of bounds")

    report = judge_against(reference(TEXT), {"broken": Broken()})

    assert report.verdict == "refused"
    assert "index 3 is out of bounds" in report.line()


def test_one_bad_candidate_refuses_the_whole_report() -> None:
    candidates: dict[str, Candidate] = {"good": right(TEXT), "bad": Scaled(right(TEXT), 2.0)}

    report = judge_against(reference(TEXT), candidates)

    assert [candidate.passed for candidate in report.candidates] == [True, False]
    assert report.verdict == "refused"


def test_nothing_is_passed_where_nothing_was_judged() -> None:
    assert judge_against(reference(TEXT), {}).verdict == "refused"


def test_too_little_memory_defers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "BUDGET", Budget(memory=0.0))
    row = tiny_row(TEXT)

    report = judged(row, random_module(row))

    assert report.verdict == "deferred"
    assert not report.passed
    assert "GB are free" in report.line()
    assert Report.from_json(report.to_json()) == report
    assert memory_short(random_module(row), 0.5) == ""


def test_the_module_is_left_as_it_is() -> None:
    row = tiny_row("resnet-18")
    module = random_module(row)
    before = copy.deepcopy(module.state_dict())

    judged(row, module, layers=True)

    after = module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(value.dtype == before[name].dtype for name, value in after.items())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())


def test_the_float64_copy_keeps_ties_and_changes_no_integers() -> None:
    module = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.BatchNorm1d(2)})
    module["a"].tied = module["a"].weight

    exact = in_float64(module)

    assert exact["a"].tied is exact["a"].weight  # type: ignore[index]
    assert exact["a"].weight.dtype == torch.float64  # type: ignore[index]
    assert exact["b"].num_batches_tracked.dtype == torch.int64  # type: ignore[index]


def test_the_oracle_sees_each_sample_once_and_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    row = tiny_row(TEXT)
    module = random_module(row)
    seen: list[tuple[torch.dtype, int]] = []
    kind = type(module)
    forward = kind.forward

    def counted(self: Any, input_ids: torch.Tensor, *rest: Any) -> Any:
        out = forward(self, input_ids, *rest)
        seen.append((out.tokens.dtype, len(input_ids)))
        return out

    monkeypatch.setattr(kind, "forward", counted)
    report = judged(row, module)

    exact = [size for dtype, size in seen if dtype == torch.float64]
    assert exact == [1] * len(report.samples)


def test_a_sample_stands_at_several_places_beside_others_and_padded() -> None:
    row = tiny_row(TEXT)
    found = lattice(row, default_profile(row), preprocessor_for(row), thorough=False)

    places = {case.rows.index(0) for case in found.cases if 0 in case.rows}
    sizes = {len(case.rows) for case in found.cases}
    padded = [
        case.sizes["length"] - found.samples[index].sizes["length"]
        for case in found.cases
        for index in case.rows
    ]

    assert len(places) >= 3
    assert {1, 2, 3, 8} <= sizes
    assert 0 in padded
    assert max(padded) > 10
    assert {row for case in found.cases for row in case.rows} == set(range(len(found.samples)))


def test_the_lattice_holds_the_ends_of_every_axis_and_a_shape_that_is_neither() -> None:
    row = tiny_row(IMAGE)
    found = lattice(row, wide_profile(row), None, thorough=False)

    shapes = {tuple(sample.sizes.values()) for sample in found.samples}

    assert {(4, 4), (16, 16), (64, 64)} <= shapes
    assert any(height != width and height // 4 % 2 for height, width in shapes)


def test_extremes_are_black_white_and_saturated() -> None:
    row = tiny_row("dinov2-b14")
    found = lattice(row, default_profile(row), None, thorough=False)
    recipe = row.preprocess
    by_kind = {sample.name.split(",")[0]: sample.arrays["pixels"] for sample in found.samples}

    mean, std = recipe.mean[0], recipe.std[0]  # type: ignore[union-attr]
    assert np.allclose(by_kind["low"][0], -mean / std)
    assert np.allclose(by_kind["high"][0], (1 - mean) / std)
    assert len(np.unique(by_kind["extreme"][0])) == 2
    assert "astronaut" in by_kind


def test_a_padded_batch_has_the_pad_id_and_a_mask_that_ends() -> None:
    row = tiny_row("roberta-base")
    found = lattice(row, default_profile(row), preprocessor_for(row), thorough=False)
    short = next(sample for sample in found.samples if sample.sizes["length"] == 1)

    batch = collate(row, [short], {"length": 3})

    assert batch["input_ids"][0, 1:].tolist() == [1, 1]
    assert batch["attention_mask"].tolist() == [[1, 0, 0]]
    assert 1 not in short.arrays["input_ids"]


def test_a_case_above_the_budget_is_listed_as_not_run_unless_thorough() -> None:
    row = tiny_row(IMAGE)
    profile = Profile(
        ranges={
            "batch": Range(min=1, typical=1, max=600),
            "height": Range(min=16, typical=16, max=16, multiple=4),
            "width": Range(min=16, typical=16, max=16, multiple=4),
        }
    )
    module = random_module(row)

    quick = judged(row, module, profile=profile)
    thorough = judged(row, module, profile=profile, thorough=True)

    assert quick.not_run == ("batch 600, height 16 x width 16",)
    assert "1 cases not run" in quick.line()
    assert thorough.not_run == ()
    assert {quick.verdict, thorough.verdict} == {"passed"}


def test_a_profile_beyond_the_row_is_refused() -> None:
    row = tiny_row(TEXT)
    profile = Profile(ranges={"length": Range(min=1, typical=8, max=4096)})

    with pytest.raises(
        ValueError, match=r"takes a length of 1\.\.24; the profile asks for 1\.\.40"
    ):
        lattice(row, profile, None, thorough=False)


def test_a_report_survives_json_and_is_judged_again_by_other_limits() -> None:
    report = judge_against(reference(IMAGE), {"same": right(IMAGE)}, layers=True)
    copied = Report.from_json(report.to_json())
    strict = copied.rejudge(Thresholds(ratios=((10**18, 1e-3),), floor=0.0, peak_floor=0.0))

    assert copied == report
    assert report.passed
    assert strict.verdict == "refused"
    assert strict.rejudge() == report


def test_a_report_of_a_refusal_survives_json_too() -> None:
    class Nothing(Scaled):
        def run(self, batch: dict[str, Array]) -> dict[str, Array]:
            return {name: array * np.float32("nan") for name, array in super().run(batch).items()}

    report = judge_against(reference(TEXT), {"nan": Nothing(right(TEXT), 1.0)})

    assert report.verdict == "refused"
    assert Report.from_json(report.to_json()) == report


@pytest.mark.parametrize("text", ["{}", '{"format": "zoo-parity", "schema": 99}'])
def test_what_is_no_report_of_this_schema_is_not_read(text: str) -> None:
    with pytest.raises(ValueError, match="no parity report of schema 2"):
        Report.from_json(text)


def test_the_line_names_model_output_and_place() -> None:
    line = judge_against(reference(TEXT), {"onnx": Scaled(right(TEXT), 1.5)}).line()

    assert line.startswith(f"parity refused: {TEXT}: onnx ")
    assert " times the limit: " in line
    assert "\n" not in line


def test_junit_has_a_test_an_output_and_fails_where_the_report_does() -> None:
    base = reference(TEXT)
    candidates: dict[str, Candidate] = {"good": right(TEXT), "bad": Scaled(right(TEXT), 2.0)}

    suites = ElementTree.fromstring(junit([judge_against(base, candidates)]))

    counts = {suite.get("name"): suite.get("failures") for suite in suites}
    assert counts == {f"{TEXT}: good": "0", f"{TEXT}: bad": "2"}
    assert [case.get("name") for case in suites[0]] == ["structure", "pooled", "tokens"]
    assert len(suites[1].findall("testcase/failure")) == 2


def test_measures_are_what_their_names_say() -> None:
    oracle = np.array([[3.0, 4.0], [0.0, 5.0]])
    found = measure(oracle, oracle + np.array([[0.0, 0.0], [0.1, 0.0]]), scale=1.0)

    assert found.error == pytest.approx(0.05)
    assert found.peak == pytest.approx(0.1)
    assert found.vector == pytest.approx(0.1 / 2**0.5)
    assert found.max_abs == pytest.approx(0.1)
    assert found.cosine == pytest.approx(1 - 5 / 25.01**0.5)
    assert found.norm == pytest.approx((50.01 / 50) ** 0.5)
    assert found.sqnr == pytest.approx(26.0206, abs=1e-4)
    assert not measure(oracle, oracle + np.inf, scale=1.0).finite


def test_a_distance_of_nearly_equal_vectors_keeps_its_digits() -> None:
    angle = 1e-9
    one, other = np.array([[1.0, 0.0]]), np.array([[np.cos(angle), np.sin(angle)]])

    assert cosine_distances(one, other)[0] == pytest.approx(angle**2 / 2, rel=1e-6)
    assert cosine_distances(np.zeros((1, 2)), np.zeros((1, 2)))[0] == 0


def test_a_gallery_tells_the_same_neighbours_from_others() -> None:
    vectors, others = np.random.default_rng(0).standard_normal((2, 8, 4))

    assert gallery(vectors, 3 * vectors) == pytest.approx((1.0, 1.0))
    overlap, rank = gallery(vectors, others)
    assert overlap < 0.9
    assert rank < 0.9


def test_rounding_floor_lets_exact_outputs_be_rounded_once() -> None:
    class Rounded:
        def run(self, batch: Mapping[str, Array]) -> dict[str, Array]:
            found = right("hog").run(batch)
            return {name: np.nextafter(array, np.float32(1)) for name, array in found.items()}

    assert judge_against(reference("hog"), {"rounded": Rounded()}).passed


def test_half_precision_is_not_passed_off_as_float32() -> None:
    base = reference(IMAGE)
    half = TorchCandidate(
        base.spec, copy.deepcopy(base.module).half(), base.outputs, dtype=torch.float16
    )

    report = judge_against(base, {"half": half})

    finding = report.candidates[0].finding
    assert report.verdict == "refused"
    assert finding is not None
    assert "float16" in finding.cause


def test_thresholds_are_read_from_what_they_wrote() -> None:
    limits = replace(Thresholds(), row=1.5)

    assert Thresholds.from_dict(limits.to_dict()) == limits
