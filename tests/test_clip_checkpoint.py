"""A CLIP loads by its configuration files alone, or is refused with a reason."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from torch.nn import functional as F
from transformers import CLIPImageProcessor

import zoo
from tests.clip_reference import (
    END,
    open_clip_reference,
    save_open_clip,
    save_tokenizer,
    text_ids,
    tiny_pair,
    transformers_config,
    transformers_reference,
)
from tests.reference import FLOAT64, images, relative_error
from zoo.errors import FormatError, UnsupportedCheckpointError
from zoo.joint import JointEncoder
from zoo.weights import pull
from zoo_multimodal.families.towers import TOKENIZER

VOCAB = 120


def open_clip_config(**changes: Any) -> dict[str, Any]:
    """Return the file that open_clip's `push_to_hf_hub` writes for the tiny pair."""
    pair = tiny_pair(quick_gelu=True)
    image, text = pair.image, pair.text
    config: dict[str, Any] = {
        "model_cfg": {
            "embed_dim": text.projection,
            "quick_gelu": True,
            "vision_cfg": {
                "image_size": 16,
                "layers": image.depth,
                "width": image.width,
                "head_width": image.width // image.heads,
                "mlp_ratio": image.hidden / image.width,
                "patch_size": image.patch,
            },
            "text_cfg": {
                "context_length": 77,
                "vocab_size": text.vocab,
                "width": text.width,
                "heads": text.heads,
                "layers": text.depth,
                "mlp_ratio": text.hidden / text.width,
            },
        },
        "preprocess_cfg": {
            "mean": [0.4, 0.5, 0.6],
            "std": [0.2, 0.3, 0.4],
            "interpolation": "bicubic",
            "resize_mode": "shortest",
        },
    }
    for path, value in changes.items():
        *parents, key = path.split("__")
        target = config
        for parent in parents:
            target = target[parent]
        target[key] = value
    return config


@pytest.fixture(scope="module")
def open_clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("open_clip")
    save_open_clip(open_clip_reference(tiny_pair(quick_gelu=True)), folder)
    save_tokenizer(folder)
    (folder / "open_clip_config.json").write_text(json.dumps(open_clip_config()))
    return folder


@torch.no_grad()
def test_a_folder_of_open_clip_loads_as_a_joint_encoder(open_clip_folder: Path) -> None:
    reference = open_clip_reference(tiny_pair(quick_gelu=True)).double()
    texts = ["a photo of a cat", "don\u2019t &amp; won\u2019t", "dog " * 100]
    pixels = images(2, 16, 16)

    joint = zoo.load(str(open_clip_folder), dtype="float64")

    assert isinstance(joint, JointEncoder)
    ids = open_clip.tokenize(texts)
    ours = joint.text.encode(texts, convert_to_tensor=True)
    assert relative_error(ours, reference.encode_text(ids)) <= FLOAT64
    assert (
        relative_error(joint.image({"pixels": pixels}).pooled, reference.encode_image(pixels))
        <= FLOAT64
    )
    assert joint.scale == pytest.approx(float(reference.logit_scale.exp()), rel=1e-6)
    recipe = joint.image.spec.preprocess
    assert (recipe.mean, recipe.std) == ((0.4, 0.5, 0.6), (0.2, 0.3, 0.4))
    assert (recipe.size, recipe.resize) == ((16, 16), 16)
    for tower in joint:
        assert tower.spec.params == sum(p.numel() for p in tower.module.parameters())


@torch.no_grad()
def test_a_folder_of_transformers_loads_as_a_joint_encoder(tmp_path: Path) -> None:
    pair = tiny_pair(quick_gelu=False)
    reference = transformers_reference(pair)
    reference.save_pretrained(tmp_path)
    save_tokenizer(tmp_path)
    processor = CLIPImageProcessor(
        size={"shortest_edge": 20}, crop_size={"height": 16, "width": 16}, image_mean=[0.5] * 3
    )
    processor.save_pretrained(tmp_path)
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3)).astype(np.uint8))

    joint = zoo.load(str(tmp_path), dtype="float64")

    assert isinstance(joint, JointEncoder)
    ids, pixels = text_ids(VOCAB), images(2, 16, 16)
    ids[ids == VOCAB - 1] = END
    expected = reference.double()(input_ids=ids, pixel_values=pixels)
    image = F.normalize(joint.image({"pixels": pixels}).pooled, dim=-1)
    text = F.normalize(joint.text({"input_ids": ids}).pooled, dim=-1)
    assert relative_error(image, expected.image_embeds) <= FLOAT64
    assert relative_error(text, expected.text_embeds) <= FLOAT64
    logits = joint.logits(image.numpy(), text.numpy())
    assert relative_error(logits, expected.logits_per_image) <= 1e-6
    ours = joint.image.preprocess([photo])["pixels"]
    theirs = processor(photo, return_tensors="np")["pixel_values"]
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 1 / 255 / 0.26  # one level of a pixel


def test_a_repository_of_the_hub_pins_both_towers_to_one_commit(
    hub: Any, open_clip_folder: Path
) -> None:
    files = {path.name: path.read_bytes() for path in open_clip_folder.iterdir()}
    commit = hub.add_repo("someone/tiny-clip", files)

    joint = zoo.load("hf:someone/tiny-clip")

    assert isinstance(joint, JointEncoder)
    assert [tower.revision for tower in joint] == [commit, commit]
    assert joint.scale == pytest.approx(math.exp(2.75))
    assert hub.count("GET", "open_clip_model.safetensors") == 1


def test_a_repository_without_a_tokenizer_gets_openais_and_needs_no_network_again(
    hub: Any, open_clip_folder: Path
) -> None:
    files = {path.name: path.read_bytes() for path in open_clip_folder.iterdir()}
    tokenizer = files.pop("tokenizer.json")
    hub.add_repo("someone/bare-clip", files)
    hub.add_repo(TOKENIZER.repo, {"tokenizer.json": tokenizer}, commit=TOKENIZER.revision)
    image, text = zoo.resolve("hf:someone/bare-clip")

    first = zoo.load(text).encode("a cat")
    pulled = pull(text)
    hub.requests.clear()
    again = zoo.load(text).encode("a cat")

    np.testing.assert_array_equal(first, again)
    assert hub.requests == []
    assert pulled.files["tokenizer.json"].read_bytes() == tokenizer
    assert image.weights == text.weights


REFUSED = {
    "ModifiedResNet": {"model_cfg__vision_cfg__layers": [3, 4, 6, 3]},
    "timm_model_name": {"model_cfg__vision_cfg__timm_model_name": "vit_base_patch16_siglip_224"},
    "attentional_pool": {"model_cfg__vision_cfg__attentional_pool": True},
    "multimodal_cfg": {"model_cfg__multimodal_cfg": {"width": 512}},
    "hf_model_name": {"model_cfg__text_cfg__hf_model_name": "roberta-base"},
    "init_logit_bias": {"model_cfg__init_logit_bias": -10},
    "pool_type": {"model_cfg__text_cfg__pool_type": "last"},
    "no_causal_mask": {"model_cfg__text_cfg__no_causal_mask": True},
    "embed_cls": {"model_cfg__text_cfg__embed_cls": True},
    "resize_mode": {"preprocess_cfg__resize_mode": "squash"},
    "interpolation": {"preprocess_cfg__interpolation": "random"},
    "no multiple of heads": {"model_cfg__text_cfg__heads": 3},
    "no multiple of patch": {"model_cfg__vision_cfg__image_size": 18},
}


@pytest.mark.parametrize("reason", REFUSED)
def test_an_unsupported_open_clip_is_refused_with_the_reason(reason: str, tmp_path: Path) -> None:
    (tmp_path / "open_clip_model.safetensors").touch()
    config = open_clip_config(**REFUSED[reason])
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))

    with pytest.raises(UnsupportedCheckpointError, match=reason):
        zoo.resolve(str(tmp_path))


@pytest.mark.parametrize(
    "changes",
    [
        {"model_cfg__embed_dim": "wide"},
        {"model_cfg__embed_dim": 10**12},
        {"model_cfg__vision_cfg__layers": 10**9},
        {"model_cfg__vision_cfg": [1, 2]},
        {"model_cfg__text_cfg__mlp_ratio": float("nan")},
        {"preprocess_cfg__mean": [0.5]},
        {"preprocess_cfg__size": -3},
    ],
    ids=str,
)
def test_a_senseless_number_is_an_error_that_names_it(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "open_clip_model.safetensors").touch()
    (tmp_path / "open_clip_config.json").write_text(json.dumps(open_clip_config(**changes)))

    with pytest.raises(FormatError, match=next(iter(changes)).split("__")[-1]):
        zoo.resolve(str(tmp_path))


@pytest.mark.parametrize(
    ("part", "key", "value", "reason"),
    [
        ("vision_config", "hidden_act", "swiglu", "hidden_act"),
        ("vision_config", "num_channels", 1, "num_channels"),
        ("text_config", "num_attention_heads", 3, "no multiple of heads"),
    ],
)
def test_an_unsupported_transformers_clip_is_refused_with_the_reason(
    part: str, key: str, value: object, reason: str, tmp_path: Path
) -> None:
    transformers_config(tiny_pair(quick_gelu=True)).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    config[part][key] = value
    path.write_text(json.dumps(config))

    with pytest.raises(UnsupportedCheckpointError, match=reason):
        zoo.resolve(str(tmp_path))


def test_old_files_that_name_no_end_take_the_highest_id(tmp_path: Path) -> None:
    config = {"model_type": "clip", "text_config": {"eos_token_id": 2}, "vision_config": {}}
    (tmp_path / "config.json").write_text(json.dumps(config))

    image, text = zoo.resolve(str(tmp_path))

    assert text.config == zoo.info("clip-b32-text").config
    assert image.config.hidden == 3072
    assert (image.config.patch, image.config.activation) == (32, "quick_gelu")


def test_a_folder_without_a_tokenizer_takes_openais(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "clip"}))

    _, text = zoo.resolve(str(tmp_path))

    home = text.preprocess.tokenizer_home
    assert home == TOKENIZER
    assert (home.source, home.revision) == (
        zoo.info("clip-b32-text").weights.source,
        zoo.info("clip-b32-text").weights.revision,
    )
