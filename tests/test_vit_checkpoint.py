"""A folder that transformers or timm wrote loads with no row, and gives that library's numbers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import transformers
from PIL import Image

import zoo
from tests.reference import FLOAT64, make_live, relative_error
from tests.vit_reference import noise, pooled_by, small_row, transformers_config
from zoo.encoder import Encoder
from zoo.errors import FormatError, UnsupportedCheckpointError
from zoo.registry import default_registry
from zoo.spec import ImagePreprocess
from zoo_vision.timm_vits import TIMM_VITS
from zoo_vision.vit_config import ViTConfig

KINDS: dict[str, Any] = {
    "vit-b16": transformers.ViTForImageClassification,
    "deit-b16-dist": transformers.DeiTForImageClassificationWithTeacher,
    "dinov2-b14": transformers.Dinov2Model,
    "dinov2-b14-reg": transformers.Dinov2WithRegistersModel,
    "dinov2-g14": transformers.Dinov2Model,
    "mae-b16": transformers.ViTMAEForPreTraining,
    "ijepa-h14": transformers.IJepaModel,
}
PROCESSOR = {
    "image_processor_type": "ViTImageProcessor",
    "size": {"height": 24, "width": 24},
    "resample": 3,
}


def load(folder: Path) -> Encoder:
    encoder = zoo.load(str(folder), dtype="float64")
    assert isinstance(encoder, Encoder)
    return encoder


def write(folder: Path, config: dict[str, Any], processor: dict[str, Any] | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    if processor is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


@pytest.mark.parametrize("name", KINDS)
@torch.no_grad()
def test_a_folder_of_transformers_gives_its_numbers(name: str, tmp_path: Path) -> None:
    row = small_row(name, class_position=True)
    reference = make_live(KINDS[name](transformers_config(row))).double()
    reference.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    pixels = noise((24, 24), torch.float64)
    options = {"noise": torch.arange(36.0).expand(3, -1)} if "mae" in name else {}
    sequence = reference.base_model(pixels, **options).last_hidden_state

    encoder = load(tmp_path)

    config = encoder.spec.config
    assert isinstance(config, ViTConfig)
    assert config.pooling == row.pooling
    assert relative_error(encoder({"pixels": pixels}).pooled, pooled_by(config, sequence)) <= (
        FLOAT64
    )
    assert encoder.spec.params == sum(p.numel() for p in encoder.module.parameters())
    assert encoder.spec.grid(24, 24) == (6, 6)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vit_tiny_patch16_224", {}),
        ("vit_tiny_patch16_224", {"global_pool": "avg"}),
        ("vit_tiny_patch16_224", {"img_size": 96}),
        ("deit_tiny_distilled_patch16_224", {}),
    ],
)
@torch.no_grad()
def test_a_folder_of_timm_gives_its_numbers(
    name: str, options: dict[str, Any], tmp_path: Path
) -> None:
    reference = make_live(timm.create_model(name, num_classes=5, **options)).double()
    timm.models.save_for_hf(reference, tmp_path, safe_serialization=True)
    side = options.get("img_size", 224)
    pixels = noise((side, side), torch.float64)[:1]
    expected = reference.forward_head(reference.forward_features(pixels), pre_logits=True)

    encoder = load(tmp_path)

    assert relative_error(encoder({"pixels": pixels}).pooled, expected) <= FLOAT64
    assert isinstance(encoder.spec.preprocess, ImagePreprocess)
    assert encoder.spec.preprocess.size == (side, side)


def test_every_name_of_timm_has_timms_tensors() -> None:
    for name, (family, config) in TIMM_VITS.items():
        with torch.device("meta"):
            reference = timm.create_model(name, num_classes=0)
            ours = config.build()
        theirs = sum(tensor.numel() for tensor in reference.parameters())
        assert theirs == sum(p.numel() for p in ours.parameters()) == config.params, name
        heads = {block.attn.num_heads for block in reference.blocks}
        assert heads == {config.heads}, name
        assert reference.patch_embed.img_size == config.image_size, name
        assert family.keymaps


def test_the_formula_of_parameters_holds_for_every_row() -> None:
    for row in default_registry():
        if isinstance(row.config, ViTConfig):
            assert row.config.params == row.params or row.config.projection, row.name
    config = small_row("dinov2-g14-reg", projection=12, pre_norm=True, patch_bias=False).config
    odd = replace(config, pool_norm=True, qkv_bias=False)  # type: ignore[type-var]
    assert odd.params == sum(p.numel() for p in odd.build().parameters())  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("processor", "kind"),
    [
        ({"feature_extractor_type": "ViTFeatureExtractor", "size": 48, "resample": 2}, "ViT"),
        ({"image_processor_type": "ViTImageProcessor", "size": {"height": 48, "width": 48}}, "ViT"),
        ({"feature_extractor_type": "DeiTFeatureExtractor", "size": 64, "crop_size": 48}, "DeiT"),
        (
            {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 56},
             "crop_size": {"height": 48, "width": 48}},
            "Bit",
        ),
    ],
)  # fmt: skip
def test_pixels_are_those_of_the_processor(
    processor: dict[str, Any], kind: str, tmp_path: Path
) -> None:
    from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
    from transformers.models.deit.image_processing_pil_deit import DeiTImageProcessorPil
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    classes = {
        "ViT": ViTImageProcessorPil,
        "DeiT": DeiTImageProcessorPil,
        "Bit": BitImageProcessorPil,
    }
    row = small_row("vit-b16")
    make_live(transformers.ViTModel(transformers_config(row))).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    random = np.random.default_rng(0)
    image = Image.fromarray(random.integers(0, 256, (70, 91, 3), dtype=np.uint8))

    ours = load(tmp_path).preprocess(image)["pixels"][0]
    theirs = classes[kind].from_pretrained(tmp_path)(image, return_tensors="np")["pixel_values"][0]

    assert ours.shape == (3, 48, 48)
    assert np.abs(ours - theirs).max() <= 1e-5  # transformers multiplies by 1/255 in float64


VIT = {"model_type": "vit", "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 8,
       "num_hidden_layers": 1, "patch_size": 8, "image_size": 24}  # fmt: skip
TIMM = {"architecture": "vit_tiny_patch16_224", "pretrained_cfg": {"input_size": [3, 224, 224]}}


@pytest.mark.parametrize(
    ("config", "processor", "words"),
    [
        (VIT | {"hidden_act": "relu"}, PROCESSOR, "hidden_act"),
        (VIT | {"num_channels": 1}, PROCESSOR, "num_channels"),
        (VIT | {"num_attention_heads": 3}, PROCESSOR, "no multiple of 3 heads"),
        (VIT | {"patch_size": [8, 4]}, PROCESSOR, "not square"),
        (VIT | {"image_size": 25}, PROCESSOR, "do not fill"),
        (VIT, PROCESSOR | {"size": 25}, "do not fill"),
        (VIT, None, "preprocessor_config"),
        (VIT, PROCESSOR | {"image_processor_type": "SamImageProcessor"}, "unknown processor"),
        (TIMM | {"global_pool": "map"}, None, "global_pool"),
        (TIMM | {"model_args": {"qk_norm": True}}, None, "qk_norm"),
    ],
)
def test_what_is_not_supported_is_refused_with_the_reason(
    config: dict[str, Any], processor: dict[str, Any] | None, words: str, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedCheckpointError, match=words):
        zoo.load(str(write(tmp_path / "x", config, processor)))


@pytest.mark.parametrize(
    "config",
    [
        VIT | {"hidden_size": "16"},
        VIT | {"num_hidden_layers": 10**9},
        VIT | {"patch_size": 0},
        VIT | {"image_size": [24]},
        VIT | {"layer_norm_eps": None, "hidden_size": -1},
    ],
)
def test_numbers_that_make_no_sense_are_refused(config: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="must be"):
        zoo.load(str(write(tmp_path / "x", config, PROCESSOR)))


def test_another_architecture_is_left_to_others(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedCheckpointError, match="no architecture"):
        zoo.load(str(write(tmp_path / "x", {"model_type": "sam"}, PROCESSOR)))
