"""Every kind of ViT against timm and transformers, from files as those libraries write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import save_file

from tests.reference import make_live
from tests.vit_reference import (
    AUTHORS,
    NATIVE,
    OTHER,
    antialiased,
    assert_same,
    blocks_of,
    load,
    noise,
    pooled_by,
    record,
    small_row,
    timm_model,
    transformers_config,
    with_positions,
)
from zoo.spec import ModelSpec
from zoo_vision.vit_config import ViTConfig

both_precisions = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
both_sizes = pytest.mark.parametrize("size", [NATIVE, OTHER], ids=["native", "other"])
every_system = pytest.mark.parametrize("name", AUTHORS)


def config_of(row: ModelSpec) -> ViTConfig:
    assert isinstance(row.config, ViTConfig)
    return row.config


@both_precisions
@both_sizes
@every_system
@torch.no_grad()
def test_a_file_of_timm_gives_timms_numbers_with_the_authors_positions(
    name: str, size: tuple[int, int], dtype: torch.dtype, tmp_path: Path
) -> None:
    row = small_row(name)
    config = config_of(row)
    saved = make_live(timm_model(config)).to(dtype)
    save_file(saved.state_dict(), tmp_path / "model.safetensors")
    reference = timm_model(config, size).to(dtype).eval()
    state = saved.state_dict()
    if size != NATIVE:
        state = with_positions(state, "pos_embed", config, size, AUTHORS[name])
    reference.load_state_dict(state)
    blocks = record(reference.blocks)

    pixels = noise(size, dtype)
    sequence = reference.forward_features(pixels)

    assert_same(
        load(row, tmp_path, dtype),
        pixels,
        sequence=sequence,
        pooled=reference.forward_head(sequence, pre_logits=True),
        blocks=blocks,
    )


SQUARE = (32, 32)  # transformers' DINOv2 takes the table for a square
MODELS = {
    "vit-b16": transformers.ViTModel,
    "deit-b16": transformers.ViTModel,
    "deit-b16-dist": transformers.DeiTModel,
    "dino-b16": transformers.ViTModel,
    "dinov2-b14": transformers.Dinov2Model,
    "dinov2-b14-reg": transformers.Dinov2WithRegistersModel,
    "dinov2-g14": transformers.Dinov2Model,
    "dinov2-g14-reg": transformers.Dinov2WithRegistersModel,
    "mae-b16": transformers.ViTMAEModel,
    "ijepa-h14": transformers.IJepaModel,
}


@both_precisions
@pytest.mark.parametrize("size", [NATIVE, SQUARE], ids=["native", "other"])
@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_a_file_of_transformers_gives_its_numbers_with_the_authors_positions(
    name: str, size: tuple[int, int], dtype: torch.dtype, tmp_path: Path
) -> None:
    # transformers keeps the class token's position where timm folds it into the token
    row = small_row(name, class_position=True)
    config = config_of(row)
    kind: Any = MODELS[name]
    saved = make_live(kind(transformers_config(row))).to(dtype)
    saved.save_pretrained(tmp_path)
    reference = kind(transformers_config(row, size)).to(dtype).eval()
    state = saved.state_dict()
    if size != NATIVE:
        key = "embeddings.position_embeddings"
        state = with_positions(state, key, config, size, AUTHORS[name])
    reference.load_state_dict(state)
    blocks = record(blocks_of(reference, config.depth))

    pixels = noise(size, dtype)
    options = {}
    if row.family.name == "mae":  # it shuffles patches even where it masks none
        order = torch.arange(size[0] * size[1] // config.patch**2, dtype=dtype)
        options = {"noise": order.expand(len(pixels), -1)}
    sequence = reference(pixels, **options).last_hidden_state

    assert_same(
        load(row, tmp_path, dtype),
        pixels,
        sequence=sequence,
        pooled=pooled_by(config, sequence),
        blocks=blocks,
    )


HEADED = {
    "vit-b16": transformers.ViTForImageClassification,
    "deit-b16-dist": transformers.DeiTForImageClassificationWithTeacher,
    "dinov2-b14": transformers.Dinov2ForImageClassification,
    "dinov2-b14-reg": transformers.Dinov2WithRegistersForImageClassification,
    "mae-b16": transformers.ViTMAEForPreTraining,
    "ijepa-h14": transformers.IJepaForImageClassification,
}


@pytest.mark.parametrize("name", HEADED)
@torch.no_grad()
def test_classifiers_and_decoders_of_transformers_are_left_out(name: str, tmp_path: Path) -> None:
    row = small_row(name, class_position=True)
    kind: Any = HEADED[name]
    headed = make_live(kind(transformers_config(row))).double()
    headed.save_pretrained(tmp_path / "headed")
    headed.base_model.save_pretrained(tmp_path / "bare")
    pixels = {"pixels": noise(NATIVE, torch.float64)}

    one = load(row, tmp_path / "headed", torch.float64)(pixels)
    other = load(row, tmp_path / "bare", torch.float64)(pixels)

    assert torch.equal(one.pooled, other.pooled)  # type: ignore[arg-type]  # neither is None


@torch.no_grad()
def test_timms_own_resampling_is_a_choice_of_fields(tmp_path: Path) -> None:
    row = small_row("vit-b16", position_mode="bicubic", position_antialias=True)
    config = config_of(row)
    saved = make_live(timm_model(config)).double()
    save_file(saved.state_dict(), tmp_path / "model.safetensors")
    reference = timm_model(config, OTHER).double().eval()
    state = with_positions(saved.state_dict(), "pos_embed", config, OTHER, antialiased)
    reference.load_state_dict(state)
    blocks = record(reference.blocks)

    pixels = noise(OTHER, torch.float64)
    sequence = reference.forward_features(pixels)

    assert_same(
        load(row, tmp_path, torch.float64),
        pixels,
        sequence=sequence,
        pooled=sequence[:, 0],
        blocks=blocks,
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"pre_norm": True, "patch_bias": False},
        {"final_norm": False, "pool_norm": True, "pooling": "mean"},
        {"registers": 3, "class_position": False},
        {"swiglu": True, "layer_scale": True},
        {"class_token": False, "pooling": "mean"},
    ],
    ids=lambda fields: "+".join(fields),
)
@torch.no_grad()
def test_each_field_alone_equals_timm(fields: dict[str, Any], tmp_path: Path) -> None:
    row = small_row("deit-b16", **fields)
    reference = make_live(timm_model(config_of(row))).double()
    save_file(reference.state_dict(), tmp_path / "model.safetensors")
    blocks = record(reference.blocks)

    pixels = noise(NATIVE, torch.float64)
    sequence = reference.forward_features(pixels)

    assert_same(
        load(row, tmp_path, torch.float64),
        pixels,
        sequence=sequence,
        pooled=reference.forward_head(sequence, pre_logits=True),
        blocks=blocks,
    )
