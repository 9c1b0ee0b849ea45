"""Lookup by name, alias, repository and filter."""

from __future__ import annotations

import pytest

from tests.toys import ToyConfig, toy
from zoo.errors import AmbiguousNameError, OptionError, UnknownModelError
from zoo.registry import Registry
from zoo.spec import ModelSpec, Space, WeightsSpec

SPACE = Space(name="pair", towers={"image": "pair-image", "text": "pair-text"}, aliases=("couple",))


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    registry.add(toy("dinov2-b14", aliases=("dinov2",), year=2023), distribution="first")
    registry.add(
        toy("dinov2-s14", license="mit", objective="self-distillation"), distribution="first"
    )
    registry.add(
        toy("bert-base-uncased", weights=WeightsSpec(source="hf:google-bert/bert-base-uncased")),
        distribution="first",
    )
    registry.add(toy("wide", config=ToyConfig(width=9)), distribution="first")
    registry.add(toy("pair-image", space=SPACE), distribution="first")
    registry.add(
        toy("pair-text", space=SPACE, weights=WeightsSpec(source="hf:org/pair")),
        distribution="first",
    )
    return registry


def names(rows: list[ModelSpec]) -> list[str]:
    return [row.name for row in rows]


def test_a_name_and_its_alias_lead_to_one_row(registry: Registry) -> None:
    assert registry.find("dinov2") is registry.find("dinov2-b14")


@pytest.mark.parametrize(
    ("typo", "meant"),
    [("dinov2-b16", "dinov2-b14"), ("DINOv2-S14", "dinov2-s14"), ("pare", "pair")],
)
def test_a_near_miss_is_offered_what_was_meant(registry: Registry, typo: str, meant: str) -> None:
    with pytest.raises(UnknownModelError, match=f"Did you mean .*'{meant}'"):
        registry.find(typo)


def test_a_far_miss_points_to_the_list(registry: Registry) -> None:
    with pytest.raises(UnknownModelError, match="See `zoo list`"):
        registry.find("zzzzzzzz")


def test_a_bare_repository_is_the_row_whose_weights_it_holds(registry: Registry) -> None:
    assert registry.row("google-bert/bert-base-uncased").name == "bert-base-uncased"


def test_a_repository_of_several_towers_is_the_space(registry: Registry) -> None:
    assert registry.find("org/pair") == SPACE


def test_an_unknown_repository_is_offered_with_its_prefix(registry: Registry) -> None:
    with pytest.raises(UnknownModelError, match="'hf:org/other'"):
        registry.find("org/other")


def test_two_distributions_cannot_claim_one_name_unasked(registry: Registry) -> None:
    registry.add(toy("dinov2-b14", year=1999), distribution="second")

    with pytest.raises(AmbiguousNameError, match="dinov2-b14@first or dinov2-b14@second"):
        registry.find("dinov2-b14")
    assert registry.row("dinov2-b14@second").year == 1999
    assert registry.row("dinov2-b14@first").year == 2023


def test_one_distribution_cannot_claim_a_name_twice(registry: Registry) -> None:
    with pytest.raises(AmbiguousNameError, match="twice"):
        registry.add(toy("dinov2"), distribution="first")


def test_a_space_is_found_by_name_and_alias(registry: Registry) -> None:
    assert registry.find("pair") is registry.find("couple") is SPACE


def test_a_space_is_no_row(registry: Registry) -> None:
    with pytest.raises(OptionError, match="pair-image, pair-text"):
        registry.row("pair")


def test_rows_come_sorted_by_name(registry: Registry) -> None:
    found = names(list(registry))

    assert found == sorted(found)
    assert len(found) == 6


@pytest.mark.parametrize(
    ("pattern", "filters", "expected"),
    [
        ("dino*", {}, ["dinov2-b14", "dinov2-s14"]),
        ("b14", {}, ["dinov2-b14"]),
        ("dinov2", {}, ["dinov2-b14", "dinov2-s14"]),
        ("*", {"license": "MIT"}, ["dinov2-s14"]),
        ("*", {"license": "apache*", "year": 2023}, ["dinov2-b14"]),
        ("*", {"objective": "distill"}, ["dinov2-s14"]),
        ("*", {"dim": 9}, ["wide"]),
        ("couple", {}, ["pair-image", "pair-text"]),
        ("*", {"modality": "audio"}, []),
        ("*", {"family": "nothing"}, []),
        ("dino*", {"family": "to?", "modality": "text", "dim": 4, "year": 2020}, ["dinov2-s14"]),
    ],
)
def test_filters_narrow_the_list(
    registry: Registry, pattern: str, filters: dict[str, object], expected: list[str]
) -> None:
    assert names(registry.search(pattern, **filters)) == expected  # type: ignore[arg-type]


def test_a_modality_that_is_none_is_refused(registry: Registry) -> None:
    with pytest.raises(OptionError, match=r"no modality 'images'\. There are image, text"):
        registry.search(modality="images")
