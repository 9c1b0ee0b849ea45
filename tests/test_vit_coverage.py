"""At full size: every tensor of a reference's file has its place, and all of ours are filled."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
import transformers
from transformers.core_model_loading import revert_weight_conversion

from tests.full_size import assert_covers, shapes
from tests.vit_reference import transformers_config
from zoo.spec import ModelSpec
from zoo_vision.families import deit, dino, dinov2, ijepa, mae, moco_v3, vit
from zoo_vision.vit_config import ViTConfig

ROWS = [row for part in (vit, deit, dino, dinov2, mae, moco_v3, ijepa) for row in part.ROWS]

# What timm calls the architectures of repositories that are not its own.
TIMM_NAMES = {
    "moco-v3-s16": "vit_small_patch16_224",
    "moco-v3-b16": "vit_base_patch16_224",
    "moco-v3-l16": "vit_large_patch16_224",
    "ijepa-h14": "vit_huge_patch14_gap_224",
    "ijepa-h14-22k": "vit_huge_patch14_gap_224",
    "ijepa-h16-448": "vit_huge_patch16_gap_448",
    "ijepa-g16-22k": "vit_giant_patch16_gap_224",
}
CLASSES: dict[str, Any] = {
    "vit": transformers.ViTForImageClassification,
    "deit": transformers.ViTForImageClassification,
    "dino": transformers.ViTModel,
    "dinov2": transformers.Dinov2Model,
    "mae": transformers.ViTMAEForPreTraining,
    "ijepa": transformers.IJepaModel,
}


def config_of(row: ModelSpec) -> ViTConfig:
    assert isinstance(row.config, ViTConfig)
    return row.config


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_timms_tensors_at_full_size_are_covered_both_ways(row: ModelSpec) -> None:
    name = TIMM_NAMES.get(row.name) or str(row.weights.repo).removeprefix("timm/")
    with torch.device("meta"):
        reference = timm.create_model(name, num_classes=10)

    state = dict(reference.state_dict())
    if row.family is ijepa.IJEPA or row.family is mae.MAE:
        # the pretrained files have the encoder's norm; timm moves it behind the mean, or drops it
        for part in ("weight", "bias"):
            state.pop(f"fc_norm.{part}", None)
            state[f"norm.{part}"] = torch.empty(config_of(row).width, device="meta")

    assert_covers(row, shapes(state), "timm")


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.family.name in CLASSES], ids=lambda row: row.name
)
def test_transformers_tensors_at_full_size_are_covered_both_ways(row: ModelSpec) -> None:
    row = row.with_config(class_position=True)  # as transformers keeps it
    config = config_of(row)
    kind = CLASSES[row.family.name]
    if config.registers:
        kind = transformers.Dinov2WithRegistersModel
    elif config.distillation_token:
        kind = transformers.DeiTForImageClassificationWithTeacher
    with torch.device("meta"):
        reference = kind(transformers_config(row, config.image_size))

    # the names in a file are not those of the module
    state = revert_weight_conversion(reference, dict(reference.state_dict()))

    assert_covers(row, shapes(state), "transformers")
