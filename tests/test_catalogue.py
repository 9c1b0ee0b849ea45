"""What must hold for every row of every first-party family."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

import zoo
from zoo.keys import OWN_LAYOUT, WRAPPERS, make_plan
from zoo.nn.meta import on_meta
from zoo.registry import default_registry
from zoo.spec import Dim, ImagePreprocess, ModelSpec, TextPreprocess
from zoo.testing import check_row, tiny

ROOT = Path(__file__).parent.parent
ROWS = list(default_registry())
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

LOADED = [row for row in ROWS if row.params and row.family.keymaps and not row.opaque]
every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


@cache
def sources() -> str:
    return "\n".join(path.read_text() for path in (ROOT / "plugins").rglob("families/*.py"))


def test_there_are_rows_of_images_and_texts() -> None:
    assert {row.modality for row in ROWS} >= {"image", "text"}


@every_row
def test_it_passes_the_checks_that_plugins_have(row: ModelSpec) -> None:
    check_row(row)


@every_row
def test_its_names_are_written_literally(row: ModelSpec) -> None:
    for name in (row.name, *row.aliases):
        assert f'"{name}"' in sources(), name


@every_row
def test_its_licence_and_repository_are_known(row: ModelSpec) -> None:
    assert row.license in LICENSES
    if row.weights.repo is not None:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", row.weights.repo)
        assert row.weights.files


@every_row
def test_its_preprocessing_fits_its_inputs(row: ModelSpec) -> None:
    recipe, dims = row.preprocess, [d for i in row.inputs for d in i.shape if isinstance(d, Dim)]
    if isinstance(recipe, ImagePreprocess):
        sizes = [d for d in row.inputs[0].shape[-2:] if isinstance(d, Dim)]
        for dim, size in zip(sizes, recipe.size, strict=False):
            assert dim.min <= size <= dim.max
            assert size % dim.multiple == 0
        squash = recipe.resize if isinstance(recipe.resize, tuple) else (recipe.resize,)
        assert all(side is None or side >= max(recipe.size) for side in squash)
    elif isinstance(recipe, TextPreprocess):
        lengths = [d for d in dims if d.name != "batch"]
        assert all(recipe.max_length <= d.max for d in lengths)


@pytest.mark.parametrize("row", {row.family.name: row for row in LOADED}.values(),
                         ids=lambda row: row.family.name)  # fmt: skip
def test_what_was_trained_is_taken_for_no_other_layout(row: ModelSpec) -> None:
    with on_meta():
        state = tiny(row).config.build().state_dict()
    own = {name: tuple(tensor.shape) for name, tensor in state.items()}

    for prefix in ("", *WRAPPERS):
        header = {prefix + name: shape for name, shape in own.items()}
        plan = make_plan(row.family.keymaps, header, own)
        assert {step.targets for step in plan.assignments} == {(name,) for name in own}
        assert all(step.sources == (prefix + step.targets[0],) for step in plan.assignments)
        assert plan.keymap.name == OWN_LAYOUT


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
