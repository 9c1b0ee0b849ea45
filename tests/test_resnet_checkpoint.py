"""A ResNet loads by its configuration files alone, or is refused with a reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import transformers
from PIL import Image
from safetensors.torch import save_file

import zoo
from tests.reference import FLOAT64, images, make_live, relative_error
from zoo.errors import FormatError, UnsupportedCheckpointError
from zoo_vision.families.resnet import ROWS

PROCESSOR = {
    "crop_pct": 0.875,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "ConvNextFeatureExtractor",
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "resample": 3,
    "size": 224,
}  # the file of microsoft/resnet-50


def photo(height: int = 300, width: int = 400) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3))
    return Image.fromarray(noise.astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)


def transformers_folder(folder: Path, **changes: Any) -> transformers.ResNetConfig:
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[16, 24, 32, 40], depths=[1, 2, 1, 1], **changes
    )
    config.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    return config


@torch.no_grad()
def test_a_folder_of_transformers_loads(tmp_path: Path) -> None:
    config = transformers_folder(tmp_path)
    reference = make_live(transformers.ResNetModel(config))
    reference.save_pretrained(tmp_path)
    pixels = images(2, 64, 96)

    encoder = zoo.load(str(tmp_path), dtype="float64")

    expected = reference.double()(pixels).pooler_output.flatten(1)
    assert relative_error(encoder({"pixels": pixels}).pooled, expected) <= FLOAT64
    assert encoder.spec.params == sum(p.numel() for p in encoder.module.parameters())
    processor = transformers.ConvNextImageProcessor(
        size={"shortest_edge": 224}, crop_pct=0.875, resample=3,
        image_mean=PROCESSOR["image_mean"], image_std=PROCESSOR["image_std"],
    )  # fmt: skip
    ours = encoder.preprocess([photo()])["pixels"]
    theirs = processor(photo(), return_tensors="np")["pixel_values"]
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 1.01 / 255 / 0.224  # one level of a pixel


@torch.no_grad()
def test_a_folder_of_timm_loads(tmp_path: Path) -> None:
    reference = make_live(timm.create_model("resnet34"))
    save_file(reference.state_dict(), tmp_path / "model.safetensors")
    config = {
        "architecture": "resnet34",
        "num_classes": 1000,
        "pretrained_cfg": {
            "input_size": [3, 160, 160],
            "interpolation": "bilinear",
            "crop_pct": 0.95,
            "crop_mode": "center",
            "mean": [0.5, 0.4, 0.3],
            "std": [0.2, 0.3, 0.4],
        },
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    pixels = images(1, 64, 64)

    encoder = zoo.load(str(tmp_path), dtype="float64")

    expected = reference.double().forward_head(reference.forward_features(pixels), pre_logits=True)
    assert relative_error(encoder({"pixels": pixels}).pooled, expected) <= FLOAT64
    transform = timm.data.create_transform(
        **timm.data.resolve_data_config(config["pretrained_cfg"]), is_training=False
    )
    np.testing.assert_array_equal(
        encoder.preprocess([photo()])["pixels"][0], transform(photo()).numpy()
    )


def test_timms_names_are_our_rows(tmp_path: Path) -> None:
    for row in ROWS:
        config = {"architecture": row.name.replace("-", ""), "pretrained_cfg": {}}
        (tmp_path / "config.json").write_text(json.dumps(config))

        [found] = zoo.resolve(str(tmp_path))

        assert found.config == row.config
        assert found.params == row.params


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"downsample_in_bottleneck": True}, UnsupportedCheckpointError, "downsample_in_bottlen"),
        ({"hidden_act": "gelu"}, UnsupportedCheckpointError, "hidden_act"),
        ({"num_channels": 1}, UnsupportedCheckpointError, "num_channels"),
        ({"layer_type": "inverted"}, UnsupportedCheckpointError, "layer_type"),
        ({"hidden_sizes": [16, 24, 30, 40]}, UnsupportedCheckpointError, "hidden_sizes"),
        ({"hidden_sizes": [16, 24, 32]}, FormatError, "hidden_sizes"),
        ({"depths": [1, 2, 1, 10**9]}, FormatError, "depths"),
        ({"embedding_size": "8"}, FormatError, "embedding_size"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_unsupported_resnet_is_refused_with_the_reason(
    changes: dict[str, Any], error: type[Exception], reason: str, tmp_path: Path
) -> None:
    transformers_folder(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    with pytest.raises(error, match=reason):
        zoo.resolve(str(tmp_path))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"do_resize": False}, "do_resize"),
        ({"rescale_factor": 1.0}, "rescale_factor"),
        ({"resample": 5}, "resample"),
        ({"crop_pct": 0.0}, "crop_pct"),
        ({"image_std": [0.2, 0.0, 0.2]}, "image_std"),
        ({"size": {"height": 200, "width": 200}}, "crop_pct"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_unsupported_preprocessing_is_refused_with_the_reason(
    changes: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    transformers_folder(tmp_path)
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps({**PROCESSOR, **changes}))

    with pytest.raises(UnsupportedCheckpointError, match=reason):
        zoo.resolve(str(tmp_path))


def test_a_folder_that_says_nothing_of_preprocessing_is_refused(tmp_path: Path) -> None:
    transformers_folder(tmp_path)
    (tmp_path / "preprocessor_config.json").unlink()

    with pytest.raises(UnsupportedCheckpointError, match=r"preprocessor_config\.json"):
        zoo.resolve(str(tmp_path))
