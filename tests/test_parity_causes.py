"""Causes: found in exported graphs too, and stated only where they leave nothing to explain."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.mutations.bench import float_outputs, reference
from tests.mutations.catalog import MUTATIONS
from tests.tiny_rows import tiny_row
from zoo.loading import random_module
from zoo.preprocess import preprocessor_for
from zoo_export.binding import bind
from zoo_export.onnx import export_graph
from zoo_export.parity import (
    OnnxCandidate,
    TorchCandidate,
    default_profile,
    judge,
    judge_against,
    prepare,
)
from zoo_export.parity.causes import Wrong
from zoo_export.parity.double import in_float64
from zoo_export.parity.faults import changed
from zoo_export.parity.modules import cut_module
from zoo_export.parity.taps import Boundary, Call, passing

GRAPHS = {
    "rotary angles the other way": ("nomic-embed-text-v1.5", "the rotations turn the other way"),
    "windows not shifted": ("swin-s", "shifted is False, not True"),
    "L2 norm lost": ("all-minilm-l6-v2", "normalize is False, not True"),
}


def mutant(kind: str, name: str) -> nn.Module:
    """Return a tiny network with one of the bugs."""
    row = tiny_row(name)
    (mutation,) = (mutation for mutation in MUTATIONS if mutation.kind == kind)
    module = random_module(row)
    found: nn.Module = mutation.candidate(row, module, float_outputs(row, module)).module
    return found


@pytest.mark.parametrize("kind", GRAPHS)
def test_a_graph_of_a_wrong_network_has_the_networks_cause(kind: str, tmp_path: Path) -> None:
    name, cause = GRAPHS[kind]
    profile = default_profile(tiny_row(name))
    row = bind(tiny_row(name), profile)
    path, outputs = tmp_path / "model.onnx", ("pooled", "tokens")
    exported = export_graph(row, mutant(kind, name), path, outputs=outputs, facts={})

    report = judge(
        row,
        random_module(row),
        {"onnx": OnnxCandidate(path, scopes=exported.scopes)},
        profile=profile,
        outputs=outputs,
        preprocessor=preprocessor_for(row),
    )

    finding = report.candidates[0].finding
    assert report.verdict == "refused"
    assert finding is not None
    assert finding.cause == cause, finding.text


def test_a_fault_that_leaves_a_part_of_the_error_is_no_cause() -> None:
    oracle, direction = np.ones(1000), np.linspace(-1, 1, 1000)
    wrong = Wrong(oracle + 1.5e-6 * direction, oracle, allowed=5e-7)

    assert wrong.explained(oracle + 1.5e-6 * direction)
    assert not wrong.explained(oracle + 0.9e-6 * direction)  # below the limit, and yet too much
    assert not wrong.explained(oracle)


def test_two_faults_that_cannot_be_told_apart_are_no_cause() -> None:
    row = tiny_row("all-minilm-l6-v2")
    right, wrong = random_module(row), random_module(row)
    for net, eps in ((right, 1e-3), (wrong, 1e-12)):  # or 0: no number shows which
        norm: Any = net.get_submodule("blocks.1.mlp_norm")
        norm.eps = eps
    outputs = ("pooled", "tokens")
    candidate = TorchCandidate(row, wrong, outputs)

    report = judge(row, right, {"net": candidate}, profile=default_profile(row), outputs=outputs)

    finding = report.candidates[0].finding
    assert finding is not None
    assert finding.module == "blocks.1.mlp_norm"
    assert finding.cause == "unknown"


def test_a_changed_module_shares_all_but_what_was_changed() -> None:
    net = random_module(tiny_row("vit-b16"))
    weight = net.get_submodule("blocks.1.mlp.fc1").get_parameter("weight")

    other = changed(net, "blocks.1.mlp.fc1.weight", torch.zeros_like(weight))

    assert bool(weight.any())
    lost: Any = other.get_submodule("blocks.1.mlp.fc1").weight
    assert not lost.any()
    assert other.get_submodule("blocks.0") is net.get_submodule("blocks.0")
    assert other.get_submodule("blocks.1.norm1") is net.get_submodule("blocks.1.norm1")


def test_looking_for_a_cause_leaves_the_oracle_as_it_is() -> None:
    base = reference("resnet-18")
    before = copy.deepcopy(base.exact.state_dict())
    (mutation,) = (m for m in MUTATIONS if m.kind == "batch norm in training mode")
    candidate = mutation.candidate(base.spec, base.module, base.outputs)

    finding = judge_against(base, {"net": candidate}).candidates[0].finding

    assert finding is not None
    assert finding.cause == "training is True, not False"
    assert all(torch.equal(value, before[name]) for name, value in base.exact.state_dict().items())


def test_what_follows_a_boundary_does_not_run() -> None:
    ran: list[str] = []
    second = nn.Linear(2, 2)
    second.register_forward_pre_hook(lambda *_: ran.append("second"))
    net = nn.Sequential(nn.Linear(2, 2), second)

    value = passing(net, Call((torch.ones(1, 2),), {}), Boundary("0", "out"))

    assert value.shape == (1, 2)
    assert ran == []
    assert net(torch.ones(1, 2)).shape == (1, 2)
    assert ran == ["second"]


def test_a_module_is_cut_out_where_the_oracle_is_made_block_by_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, name = "tanh for exact gelu", "all-minilm-l6-v2"
    monkeypatch.setattr("zoo_export.parity.reference.in_float64", partial(in_float64, whole=0))
    profile = default_profile(tiny_row(name))
    row = bind(tiny_row(name), profile)
    base = prepare(row, random_module(row), profile=profile, outputs=("pooled",))
    path = tmp_path / "model.onnx"
    exported = export_graph(row, mutant(kind, name), path, outputs=("pooled",), facts={})
    candidate = OnnxCandidate(path, scopes=exported.scopes)

    piece = cut_module(base, candidate, base.lattice.cases[-1], "blocks.1.mlp")

    assert piece is not None
    assert len(piece.model.graph.node) <= 8
