"""Bugs between the raw item and the network."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any

from tests.mutations.kinds import Mutation, prepared

IMAGES = ("dinov2-b14", "clip-b16-image")


def _turned(values: tuple[float, ...]) -> tuple[float, ...]:
    return values[::-1]


def _promptless(recipe: Any) -> Any:
    roles = {name: replace(role, prompt="") for name, role in recipe.roles.items()}
    return replace(recipe, roles=MappingProxyType(roles))


MUTATIONS = (
    Mutation(
        kind="another mean",
        rows=IMAGES,
        apply=prepared(lambda r: replace(r, mean=(0.5, 0.5, 0.5))),
        causes=("mean is (0.5, 0.5, 0.5)",),
    ),
    Mutation(
        kind="another deviation",
        rows=IMAGES,
        apply=prepared(lambda r: replace(r, std=(0.5, 0.5, 0.5))),
        causes=("std is (0.5, 0.5, 0.5)",),
    ),
    Mutation(
        kind="mean and deviation in the order of BGR",
        rows=IMAGES,
        apply=prepared(lambda r: replace(r, mean=_turned(r.mean), std=_turned(r.std))),
        causes=("; std is",),
    ),
    Mutation(
        kind="another resampling filter",
        rows=IMAGES,
        apply=prepared(
            lambda r: replace(r, resample="bicubic" if r.resample == "bilinear" else "bilinear")
        ),
        causes=("resample is 'bilinear', not 'bicubic'",),
    ),
    Mutation(
        kind="crop for squash",
        rows=IMAGES,
        apply=prepared(lambda r: replace(r, resize=max(r.size) + 2)),
        causes=("resize is 18, not None",),
    ),
    Mutation(
        kind="another truncation",
        rows=("all-minilm-l6-v2", "roberta-base"),
        apply=prepared(lambda r: replace(r, max_length=r.max_length - 1)),
        causes=("max_length is",),
    ),
    Mutation(
        kind="a prompt lost",
        rows=("e5-small-v2", "bge-small-en-v1.5"),
        apply=prepared(_promptless),
        causes=("roles.query.prompt is ''",),
    ),
    Mutation(
        kind="another cleaning of text",
        rows=("clip-b16-text", "openclip-b16-text"),
        apply=prepared(lambda r: replace(r, clean="none")),
        causes=("clean is 'none', not 'clip'",),
    ),
)
