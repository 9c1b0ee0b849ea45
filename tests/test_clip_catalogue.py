"""Every row of CLIP at full size, against open_clip's own configurations and transformers'."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import transformers
from open_clip.pretrained import get_pretrained_cfg
from open_clip.transform import image_transform_v2, merge_preprocess_dict
from PIL import Image

import zoo
from tests.clip_reference import tiny_pair, transformers_config
from tests.full_size import Shapes, shapes
from zoo.keys import KeyMap, make_plan
from zoo.preprocess.image import ImagePreprocessor
from zoo.spec import ModelSpec
from zoo.weights import open_checkpoint
from zoo_multimodal.families import clip, openclip
from zoo_multimodal.families.clip_keys import IMAGE_KEYMAPS, TEXT_KEYMAPS
from zoo_multimodal.families.towers import Pair
from zoo_vision.processing import CLIP_MEAN, CLIP_STD

# Our space to open_clip's architecture and tag.
MODELS = {
    "clip-b32": ("ViT-B-32-quickgelu", "openai"),
    "clip-b16": ("ViT-B-16-quickgelu", "openai"),
    "clip-l14": ("ViT-L-14-quickgelu", "openai"),
    "clip-l14-336": ("ViT-L-14-336-quickgelu", "openai"),
    "openclip-b32": ("ViT-B-32", "laion2b_s34b_b79k"),
    "openclip-b16": ("ViT-B-16", "laion2b_s34b_b88k"),
    "openclip-b16-datacomp": ("ViT-B-16", "datacomp_xl_s13b_b90k"),
    "openclip-l14": ("ViT-L-14", "laion2b_s32b_b82k"),
    "openclip-l14-datacomp": ("ViT-L-14", "datacomp_xl_s13b_b90k"),
    "openclip-h14": ("ViT-H-14", "laion2b_s32b_b79k"),
    "openclip-bigg14": ("ViT-bigG-14", "laion2b_s39b_b160k"),
}
# One architecture each; the others differ in weights or activation alone.
SHAPES = ("clip-b32", "clip-b16", "clip-l14", "clip-l14-336", "openclip-h14", "openclip-bigg14")
every_model = pytest.mark.parametrize("name", MODELS)


def towers(name: str) -> tuple[ModelSpec, ModelSpec]:
    image, text = zoo.resolve(name)
    return image, text


def assert_covered(name: str, header: Shapes, layout: str) -> None:
    """Check that each key of a file reaches one tower, or is dropped by both for a reason."""
    used: list[str] = []
    for row, keymaps in zip(towers(name), (IMAGE_KEYMAPS, TEXT_KEYMAPS), strict=True):
        with torch.device("meta"):
            wanted = shapes(row.config.build().state_dict())
        plan = make_plan(keymaps, header, wanted)
        assert plan.keymap.name == layout
        used += [key for assignment in plan.assignments for key in assignment.sources]
        for key, reason in plan.dropped:
            assert reason, key
    assert len(used) == len(set(used))
    assert set(header) - set(used) == {"logit_scale"}


@pytest.mark.parametrize("name", MODELS)
def test_full_size_keys_and_shapes_of_open_clip_are_covered(name: str) -> None:
    config = open_clip.get_model_config(MODELS[name][0])
    with torch.device("meta"):
        model = open_clip.model.CLIP(**config)

    assert_covered(name, shapes(model.state_dict()), "open_clip")


@pytest.mark.parametrize("name", SHAPES)
def test_full_size_keys_and_shapes_of_transformers_are_covered(name: str) -> None:
    image, text = towers(name)
    config = transformers_config(Pair(image=image.config, text=text.config))
    with torch.device("meta"):
        model = transformers.CLIPModel(config)

    assert_covered(name, shapes(model.state_dict()), "transformers")


def test_transformers_names_in_memory_are_those_of_its_files(tmp_path: Path) -> None:
    model = transformers.CLIPModel(transformers_config(tiny_pair(quick_gelu=True, vocab=99)))
    model.save_pretrained(tmp_path)

    written = open_checkpoint([tmp_path / "model.safetensors"]).header

    assert dict(written) == shapes(model.state_dict())


@every_model
def test_numbers_of_a_row_are_open_clips(name: str) -> None:
    image, text = towers(name)
    arch, tag = MODELS[name]
    theirs = open_clip.get_model_config(arch)
    published = get_pretrained_cfg(arch, tag)

    quick = theirs.get("quick_gelu", False)
    assert image.config.activation == text.config.activation == ("quick_gelu" if quick else "gelu")
    assert bool(published.get("quick_gelu", False)) == quick
    assert image.dim == text.dim == theirs["embed_dim"]
    assert image.config.image_size == (theirs["vision_cfg"]["image_size"],) * 2
    assert text.config.heads == theirs["text_cfg"]["heads"]
    vision = theirs["vision_cfg"]
    assert image.config.heads == vision["width"] // vision.get("head_width", 64)
    if name.startswith("open"):
        assert image.weights.repo == published["hf_hub"].strip("/")
    assert image.weights == text.weights
    assert image.space == text.space


@every_model
def test_parameters_of_both_towers_and_the_scale_are_all_there_are(name: str) -> None:
    image, text = towers(name)
    with torch.device("meta"):
        model = open_clip.model.CLIP(**open_clip.get_model_config(MODELS[name][0]))

    total = sum(parameter.numel() for parameter in model.parameters())

    assert image.params + text.params + 1 == total
    assert image.params == sum(parameter.numel() for parameter in model.visual.parameters())


def picture(height: int, width: int) -> Image.Image:
    noise = np.random.default_rng(height).integers(0, 256, (height // 8, width // 8, 3))
    return Image.fromarray(noise.astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)


@every_model
@pytest.mark.parametrize("size", [(480, 640), (333, 250), (640, 97)], ids=str)
def test_pixels_are_bit_equal_to_open_clips_transform(name: str, size: tuple[int, int]) -> None:
    image, _ = towers(name)
    arch, tag = MODELS[name]
    published = {
        key: value
        for key, value in get_pretrained_cfg(arch, tag).items()
        if key in ("mean", "std", "interpolation", "resize_mode")
    }
    cfg = open_clip.transform.PreprocessCfg(
        **merge_preprocess_dict(open_clip.transform.PreprocessCfg(), {
            **published, "size": image.config.image_size[0]
        })
    )  # fmt: skip
    photo = picture(*size)

    samples = ImagePreprocessor(image.preprocess, name="pixels").prepare([photo])

    expected = image_transform_v2(cfg, is_train=False)(photo).numpy()
    np.testing.assert_array_equal(samples[0].arrays["pixels"], expected)


def test_only_openclip_l14_scales_pixels_to_plus_and_minus_one() -> None:
    odd = [
        row.name
        for row in (*clip.ROWS, *openclip.ROWS)
        if row.modality == "image"
        and (row.preprocess.mean, row.preprocess.std) != (CLIP_MEAN, CLIP_STD)
    ]

    assert odd == ["openclip-l14-image"]
    recipe = zoo.info("openclip-l14-image").preprocess
    assert (recipe.mean, recipe.std) == ((0.5,) * 3, (0.5,) * 3)


def test_openai_needs_quick_gelu_and_openclip_does_not() -> None:
    assert {row.config.activation for row in clip.ROWS} == {"quick_gelu"}
    assert {row.config.activation for row in openclip.ROWS} == {"gelu"}


def test_dropped_keys_say_whose_they_are() -> None:
    for keymaps, other in ((IMAGE_KEYMAPS, "text"), (TEXT_KEYMAPS, "image")):
        for keymap in keymaps:
            assert isinstance(keymap, KeyMap)
            reasons = {rule.why for rule in keymap.rules if not rule.targets}
            assert f"the {other} tower's" in reasons
            assert "constant of the joint space" in reasons


def test_a_tower_that_other_repositories_hold_too_is_found_by_repository() -> None:
    image, text = zoo.resolve("openai/clip-vit-base-patch16")

    assert (image.name, text.name) == ("clip-b16-image", "clip-b16-text")
