"""What must hold for every row of every first-party family."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
import torch

import zoo
from zoo.registry import default_registry
from zoo.spec import Dim, ImagePreprocess, ModelSpec, OutputName, TextPreprocess

ROOT = Path(__file__).parent.parent
ROWS = [row for row in default_registry() if row.name]
LICENSES = {
    "cc-by-sa-3.0",
    "apache-2.0",
    "mit",
    "dinov3-license",
    "bsd-3-clause",
    "cc-by-nc-4.0",
    "none",
    "unknown",
}

every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


@cache
def sources() -> str:
    return "\n".join(path.read_text() for path in (ROOT / "plugins").rglob("families/*.py"))


def test_there_are_rows_of_images_and_texts() -> None:
    assert {row.modality for row in ROWS} >= {"image", "text"}


@every_row
def test_a_row_builds_without_memory_and_has_the_stated_parameters(row: ModelSpec) -> None:
    with torch.device("meta"):
        module = row.config.build()

    assert sum(p.numel() for p in module.parameters()) == row.params
    assert hasattr(module, "normalize")


@every_row
def test_its_tiny_version_is_tiny_and_gives_the_stated_outputs(row: ModelSpec) -> None:
    tiny = row.config.tiny()
    module = tiny.build().eval()

    parameters = sum(p.numel() for p in module.parameters())
    assert parameters < 200_000
    assert tiny.pooling == row.pooling
    assert tiny.normalize == row.config.normalize


@every_row
def test_its_name_is_written_once(row: ModelSpec) -> None:
    for name in (row.name, *row.aliases):
        assert len(re.findall(f'"{re.escape(name)}"', sources())) >= 1, name
    assert re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", row.name)


@every_row
def test_its_weights_are_pinned_or_say_why_not(row: ModelSpec) -> None:
    weights = row.weights
    if weights.revision is not None:
        assert re.fullmatch(r"[0-9a-f]{40}", weights.revision)
    for name, digest in weights.sha256.items():
        assert re.fullmatch(r"[0-9a-f]{64}", digest), name
    if weights.source == "none":
        assert weights.reason
    elif weights.repo:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", weights.repo)
        assert weights.files
    assert row.license in LICENSES


@every_row
def test_its_facts_are_complete(row: ModelSpec) -> None:
    family = row.family
    assert family.title
    assert family.arxiv or family.url
    assert not family.arxiv or re.fullmatch(r"\d{4}\.\d{4,5}", family.arxiv)
    assert 1970 <= row.year <= 2026
    assert row.objective
    assert row.inputs
    assert set(row.outputs) <= set(get_args(OutputName))
    assert row.config.dim == row.dim > 0
    if row.weights.source != "none":
        assert row.source.startswith("https://"), "where were the numbers copied from?"


@every_row
def test_its_preprocessing_fits_its_inputs(row: ModelSpec) -> None:
    recipe, dims = row.preprocess, [d for i in row.inputs for d in i.shape if isinstance(d, Dim)]
    if isinstance(recipe, ImagePreprocess):
        sizes = [d for d in row.inputs[0].shape[-2:] if isinstance(d, Dim)]
        for dim, size in zip(sizes, recipe.size, strict=False):
            assert dim.min <= size <= dim.max
            assert size % dim.multiple == 0
        assert recipe.resize is None or recipe.resize >= max(recipe.size)
    elif isinstance(recipe, TextPreprocess):
        lengths = [d for d in dims if d.name != "batch"]
        assert all(recipe.max_length <= d.max for d in lengths)


def test_no_two_rows_share_a_name() -> None:
    names = Counter(name for row in ROWS for name in (row.name, *row.aliases))

    assert [name for name, count in names.items() if count > 1] == []


def test_towers_of_a_space_exist_and_point_back() -> None:
    rows = {row.name: row for row in ROWS}
    for row in ROWS:
        if row.space is not None:
            assert row.space.towers[row.modality] == row.name
            for modality, tower in row.space.towers.items():
                assert rows[tower].space == row.space
                assert rows[tower].modality == modality
                assert rows[tower].dim == row.dim


def test_listing_again_gives_the_same_rows() -> None:
    assert zoo.list() == ROWS
