"""Image preprocessing read from other libraries' files, against those libraries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
from PIL import Image
from transformers import CLIPImageProcessor, ViTImageProcessor

from zoo.errors import FormatError, UnsupportedCheckpointError
from zoo.fields import Fields
from zoo.preprocess.image import ImagePreprocessor
from zoo.spec import ImagePreprocess
from zoo.weights.jsonfile import read_json
from zoo_vision.processing import from_timm, from_transformers

HALF = (0.5, 0.5, 0.5)
TWO_LEVELS = 2.01 / 255  # transformers 5 resizes with torchvision, which rounds otherwise


def photo(height: int = 211, width: int = 304) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3))
    return Image.fromarray(noise.astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)


def pixels(recipe: ImagePreprocess) -> Any:
    return ImagePreprocessor(recipe, name="pixels").prepare([photo()])[0].arrays["pixels"]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (CLIPImageProcessor, {}),
        (CLIPImageProcessor, {"size": 96, "crop_size": 64}),
        (CLIPImageProcessor, {"size": {"shortest_edge": 97}, "crop_size": 64, "resample": 2}),
        (CLIPImageProcessor, {"size": {"height": 64, "width": 80}, "do_center_crop": False}),
        (CLIPImageProcessor, {"size": 64, "crop_size": 64, "do_normalize": False}),
        (ViTImageProcessor, {}),
        (ViTImageProcessor, {"size": 96, "image_mean": HALF, "image_std": [0.2, 0.3, 0.4]}),
    ],
    ids=str,
)
def test_a_processors_file_gives_its_pixels(
    kind: Any, options: dict[str, Any], tmp_path: Path
) -> None:
    processor = kind(**options)
    processor.save_pretrained(tmp_path)
    file = "preprocessor_config.json"

    recipe = from_transformers(
        Fields(read_json(tmp_path / file, file), file),
        mean=HALF,
        std=HALF,
        resample=0,
        size=8,
        crop=False,
    )

    theirs = processor(photo(), return_tensors="np")["pixel_values"][0]
    ours = pixels(recipe)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= TWO_LEVELS / min(recipe.std)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        # as files looked before 2023: plain numbers, and no type of the processor
        (CLIPImageProcessor, {"size": 80, "crop_size": 64, "do_center_crop": True}),
        (ViTImageProcessor, {"size": 64}),
    ],
    ids=str,
)
def test_an_old_file_gives_the_pixels_of_its_processor(kind: Any, fields: dict[str, Any]) -> None:
    fields = {**fields, "image_mean": list(HALF), "image_std": list(HALF), "resample": 3}

    recipe = from_transformers(
        Fields(fields, "file"), mean=HALF, std=HALF, resample=2, size=224, crop=False
    )

    theirs = kind(**fields)(photo(), return_tensors="np")["pixel_values"][0]
    ours = pixels(recipe)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= TWO_LEVELS / 0.5


@pytest.mark.parametrize(
    "fields",
    [
        {"input_size": [3, 224, 224]},
        {"input_size": [3, 96, 96], "crop_pct": 0.9, "interpolation": "bilinear"},
        {"input_size": [3, 64, 64], "crop_pct": 1.0, "mean": list(HALF), "std": list(HALF)},
        {"input_size": [3, 64, 64], "crop_pct": 1.0, "crop_mode": "squash"},
        {"input_size": [3, 96, 64], "crop_pct": 0.9, "crop_mode": "squash"},
        {"input_size": [3, 97, 97], "crop_pct": 1.15},  # a border, of odd width
    ],
    ids=str,
)
def test_timms_file_gives_its_pixels(fields: dict[str, Any]) -> None:
    config = timm.data.resolve_data_config(pretrained_cfg=fields)
    transform = timm.data.create_transform(**config, is_training=False)

    ours = pixels(from_timm(Fields(fields, "file")))

    np.testing.assert_array_equal(ours, transform(photo()).numpy())


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"input_size": [1, 28, 28]}, "channels"),
        ({"crop_mode": "border"}, "crop_mode"),
        ({"interpolation": "random"}, "interpolation"),
        ({"input_size": [3, 64, 80]}, "64 x 80"),
        ({"crop_pct": 1e-9}, "crop_pct"),
    ],
    ids=str,
)
def test_what_timm_does_and_we_do_not_is_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnsupportedCheckpointError, match=reason):
        from_timm(Fields(fields, "file"))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"size": {"shortest_edge": 64}}, "does not crop"),
        ({"size": 64, "crop_size": 80, "do_center_crop": True}, "would pad"),
        ({"size": {"height": 64, "width": 64}, "crop_size": 72, "do_center_crop": True}, "pad"),
    ],
    ids=str,
)
def test_a_geometry_that_is_not_supported_is_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnsupportedCheckpointError, match=reason):
        from_transformers(
            Fields(fields, "file"), mean=HALF, std=HALF, resample=3, size=224, crop=False
        )


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (lambda fields: fields.integer("x"), True),
        (lambda fields: fields.integer("x"), 0),
        (lambda fields: fields.integer("x"), 4.0),
        (lambda fields: fields.integer("x", most=10), 11),
        (lambda fields: fields.number("x"), float("inf")),
        (lambda fields: fields.number("x"), "1"),
        (lambda fields: fields.flag("x", True), 1),
        (lambda fields: fields.text("x"), 3),
        (lambda fields: fields.numbers("x", HALF), [1, 2]),
        (lambda fields: fields.numbers("x", HALF), [1, 2, None]),
        (lambda fields: fields.integers("x", (1, 2)), [1, -2]),
        (lambda fields: fields.inner("x"), [1]),
        (lambda fields: fields.integer("x"), None),
    ],
)
def test_a_field_of_the_wrong_kind_is_an_error_that_names_it(read: Any, value: object) -> None:
    with pytest.raises(FormatError, match="x"):
        read(Fields({"x": value}, "file"))


def test_a_missing_field_takes_its_default() -> None:
    fields = Fields({"x": None}, "file")

    assert "x" not in fields
    assert fields.integer("x", 3) == 3
    assert fields.number("x", 0.5) == 0.5
    assert fields.flag("x", False) is False
    assert fields.numbers("x", HALF) == HALF
    assert "y" not in fields.inner("x")


def test_a_field_may_be_required_to_have_one_of_some_values() -> None:
    fields = Fields({"x": 1, "y": False}, "file")

    fields.require("x", 1, 2)
    fields.require("missing", 3)
    with pytest.raises(UnsupportedCheckpointError, match=r"x = '1'; supported is True"):
        fields.require("x", True)
    with pytest.raises(UnsupportedCheckpointError, match="no value"):
        fields.require("y")
