"""Rows of vision transformers that timm's repositories hold."""

from __future__ import annotations

from zoo.spec import Family, ImagePreprocess, ModelSpec, Paper, WeightsSpec
from zoo_vision.families.vit_layouts import TIMM_SOURCE, pixels
from zoo_vision.vit_config import ViTConfig


def timm_row(
    family: Family,
    name: str,
    repo: str,
    config: ViTConfig,
    params: int,
    *,
    preprocess: ImagePreprocess,
    objective: str | None = None,
    papers: tuple[Paper, ...] = (),
    aliases: tuple[str, ...] = (),
    note: str = "",
) -> ModelSpec:
    """Return the row of a checkpoint in timm's layout; what is not given is the family's."""
    return family.model(
        name,
        config=config,
        weights=WeightsSpec(source=repo, layout="timm"),
        preprocess=preprocess,
        inputs=pixels(config.patch),
        params=params,
        objective=objective,
        papers=papers,
        aliases=aliases,
        note=note,
        source=TIMM_SOURCE,
    )
