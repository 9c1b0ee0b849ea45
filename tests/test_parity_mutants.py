"""The tester tested: every bug on purpose is refused, no right computation is."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch

from tests.mutations.bench import reference
from tests.mutations.catalog import MUTATIONS
from tests.mutations.kinds import Mutation
from tests.mutations.rewrites import REWRITES
from zoo_export.parity import TorchCandidate, judge_against

PAIRS = [(mutation, row) for mutation in MUTATIONS for row in mutation.rows]
SITED = [(mutation, row) for mutation, row in PAIRS if mutation.site]
CLEAN = (
    "vit-b16", "dinov2-b14-reg", "dinov2-g14", "clip-b16-image", "clip-b16-text",
    "all-minilm-l6-v2", "roberta-base", "resnet-50",
)  # fmt: skip
SEEDS = range(20)


def _id(value: object) -> str:
    return value.kind.replace(" ", "-") if isinstance(value, Mutation) else str(value)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny layers are faster on one thread."""
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(2)


def test_there_are_many_kinds_of_bugs_on_two_models_each() -> None:
    kinds = {mutation.kind: mutation for mutation in MUTATIONS}

    assert len(kinds) == len(MUTATIONS) >= 90
    assert [kind for kind, mutation in kinds.items() if len(set(mutation.rows)) < 2] == []


@pytest.mark.parametrize(("mutation", "name"), PAIRS, ids=_id)
def test_a_bug_is_refused_and_no_wrong_cause_is_stated(mutation: Mutation, name: str) -> None:
    base = reference(name)
    candidate = mutation.candidate(base.spec, base.module, base.outputs)

    report = judge_against(base, {"mutant": candidate})

    assert report.verdict == "refused", report.line()
    # a mutant that cannot run proves nothing: the bug has to be seen in numbers
    assert not any(fault.startswith("fails in") for fault in report.candidates[0].faults)
    finding = report.candidates[0].finding
    if finding is not None and finding.cause != "unknown":
        assert any(cause in finding.cause for cause in mutation.causes), finding.cause


@pytest.mark.parametrize(("mutation", "name"), SITED, ids=_id)
def test_the_module_that_is_wrong_is_named(mutation: Mutation, name: str) -> None:
    base = reference(name)
    candidate = mutation.candidate(base.spec, base.module, base.outputs)

    finding = judge_against(base, {"mutant": candidate}).candidates[0].finding

    assert finding is not None
    assert finding.module in (mutation.site, mutation.site.rpartition(".")[0]), finding.text


@pytest.mark.parametrize("name", CLEAN)
def test_no_right_computation_is_refused(name: str) -> None:
    for seed in SEEDS:
        base = reference(name, seed)
        for rewrite in REWRITES:
            net = copy.deepcopy(base.module)
            rewrite(net)

            report = judge_against(base, {"clean": TorchCandidate(base.spec, net, base.outputs)})

            assert report.passed, f"{rewrite.__name__}, seed {seed}: {report.line()}"
