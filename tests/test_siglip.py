"""SigLIP's towers, files, tokens and scores against transformers, timm and open_clip."""

from __future__ import annotations

import json
import string
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import timm
import torch
import transformers
from open_clip.transform import image_transform_v2
from PIL import Image
from safetensors.torch import save_file
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

import zoo
from tests.full_size import shapes
from tests.reference import FLOAT64, images, make_live, relative_error, tolerance
from tests.siglip_reference import (
    CONTEXT,
    TEXTS,
    VOCAB,
    OpenClip,
    load,
    save_spiece,
    text_ids,
    tiny_pair,
    transformers_config,
    transformers_model,
)
from zoo.encoder import Encoder
from zoo.errors import UnsupportedCheckpointError
from zoo.joint import JointEncoder
from zoo.keys import make_plan
from zoo.preprocess.image import ImagePreprocessor
from zoo.preprocess.standin import standin_tokenizer
from zoo.preprocess.text import TextPreprocessor
from zoo.spec import ImagePreprocess, ModelSpec, TextPreprocess
from zoo_export.binding import bind, profile_for
from zoo_multimodal.clip_text_config import ClipTextConfig
from zoo_multimodal.families.siglip import ROWS, text_preprocess
from zoo_multimodal.families.siglip_keys import IMAGE_KEYMAPS, TEXT_KEYMAPS
from zoo_multimodal.families.towers import Pair
from zoo_multimodal.siglip_checkpoint import TIMM
from zoo_vision.vit_config import ViTConfig

PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (301, 280, 3), dtype=np.uint8))
SIDE_18 = {"height": 18, "width": 18}
SPACES = sorted({row.space.name for row in ROWS if row.space is not None})
every_model = pytest.mark.parametrize("name", SPACES)
both_precisions = pytest.mark.parametrize("dtype", ["float64", "float32"])
both_gelus = pytest.mark.parametrize("activation", ["gelu_tanh", "gelu"])

OPEN_CLIP = {
    "siglip-b16": "ViT-B-16-SigLIP",
    "siglip-l16-256": "ViT-L-16-SigLIP-256",
    "siglip-so400m-14": "ViT-SO400M-14-SigLIP",
    "siglip-so400m-14-384": "ViT-SO400M-14-SigLIP-384",
    "siglip2-b16": "ViT-B-16-SigLIP2",
    "siglip2-l16-256": "ViT-L-16-SigLIP2-256",
    "siglip2-so400m-16-256": "ViT-SO400M-16-SigLIP2-256",
    "siglip2-g16-256": "ViT-gopt-16-SigLIP2-256",
}


def pair_of(name: str) -> Pair:
    image, text = (row.config for row in zoo.resolve(name))
    assert isinstance(image, ViTConfig)
    assert isinstance(text, ClipTextConfig)
    return Pair(image=image, text=text)


# Values


@both_gelus
@both_precisions
@torch.no_grad()
def test_towers_equal_transformers(activation: str, dtype: str, tmp_path: Path) -> None:
    pair = tiny_pair(activation=activation)
    reference = transformers_model(pair)
    reference.save_pretrained(tmp_path)
    kind = getattr(torch, dtype)
    pixels, ids = images(3, 16, 16, dtype=kind), text_ids()

    image, text = load(pair, tmp_path, dtype)
    ours, theirs = image({"pixels": pixels}), text({"input_ids": ids})

    expected = reference.to(kind)(input_ids=ids, pixel_values=pixels)
    bound = tolerance(kind)
    seen, read = expected.vision_model_output, expected.text_model_output
    assert relative_error(ours.pooled, seen.pooler_output) <= bound
    assert relative_error(ours.tokens, seen.last_hidden_state) <= bound
    assert relative_error(theirs.pooled, read.pooler_output) <= bound
    assert relative_error(theirs.tokens, read.last_hidden_state) <= bound
    assert ours.prefix is theirs.mask is None


@both_gelus
@both_precisions
@torch.no_grad()
def test_towers_equal_open_clip(activation: str, dtype: str, tmp_path: Path) -> None:
    pair = tiny_pair(activation=activation)
    reference = OpenClip(pair).eval()
    save_file(reference.state_dict(), tmp_path / "open_clip_model.safetensors")
    kind = getattr(torch, dtype)
    pixels, ids = images(3, 16, 16, dtype=kind), text_ids()

    image, text = load(pair, tmp_path, dtype)

    reference.to(kind)
    bound = tolerance(kind)
    ours = image({"pixels": pixels})
    trunk: Any = reference.visual.trunk
    assert relative_error(ours.pooled, trunk(pixels)) <= bound
    assert relative_error(ours.tokens, trunk.forward_features(pixels)) <= bound
    assert relative_error(text({"input_ids": ids}).pooled, reference.text(ids)) <= bound


@torch.no_grad()
def test_a_file_of_timms_image_tower_gives_its_numbers(tmp_path: Path) -> None:
    pair = tiny_pair()
    trunk: Any = OpenClip(pair).visual.trunk.eval()
    save_file(trunk.state_dict(), tmp_path / "model.safetensors")
    pixels = images(2, 16, 16)

    image = zoo.load(zoo.info("siglip-b16-image").with_config(
        **{name: getattr(pair.image, name) for name in ("width", "depth", "heads", "hidden",
                                                        "image_size", "patch")}
    ), weights=tmp_path, dtype="float64")  # fmt: skip

    assert isinstance(image, Encoder)
    ours = image({"pixels": pixels}).pooled
    assert relative_error(ours, trunk.double()(pixels)) <= FLOAT64


# What is easily lost


@torch.no_grad()
def test_the_wrong_gelu_would_be_seen(tmp_path: Path) -> None:
    reference = transformers_model(tiny_pair())
    reference.save_pretrained(tmp_path)
    pixels, ids = images(2, 16, 16), text_ids()

    image, text = load(tiny_pair(activation="gelu"), tmp_path)

    reference.double()
    seen = reference.get_image_features(pixel_values=pixels).pooler_output
    read = reference.get_text_features(input_ids=ids).pooler_output
    assert relative_error(image({"pixels": pixels}).pooled, seen) > 1e-5
    assert relative_error(text({"input_ids": ids}).pooled, read) > 1e-5


def test_every_row_has_the_authors_gelu_and_epsilon() -> None:
    for row in ROWS:
        assert row.config.activation == "gelu_tanh"  # type: ignore[attr-defined]
        assert row.config.norm_eps == 1e-6  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "fields", [{"causal": True}, {"pooling": "end"}], ids=lambda fields: next(iter(fields))
)
@torch.no_grad()
def test_a_text_tower_sees_both_ways_and_pools_its_last_token(
    fields: dict[str, Any], tmp_path: Path
) -> None:
    pair = tiny_pair()
    reference = transformers_model(pair)
    reference.save_pretrained(tmp_path)
    ids = text_ids()

    _, text = load(Pair(image=pair.image, text=replace(pair.text, **fields)), tmp_path)

    expected = reference.double().get_text_features(input_ids=ids).pooler_output
    assert relative_error(text({"input_ids": ids}).pooled, expected) > 1e-2


@torch.no_grad()
def test_padding_is_part_of_a_text(tmp_path: Path) -> None:
    pair = tiny_pair()
    transformers_model(pair).save_pretrained(tmp_path)
    _, text = load(pair, tmp_path)
    ids = text_ids()

    short = text({"input_ids": ids[:1, :8]}).pooled

    assert relative_error(short, text({"input_ids": ids[:1]}).pooled) > 1e-2


def test_images_are_squashed_by_halves_and_lose_only_what_no_patch_reads() -> None:
    lost = {}
    for row in ROWS:
        if isinstance(row.preprocess, ImagePreprocess):
            recipe = row.preprocess
            assert recipe.resize is None
            lost[row.name] = recipe.unread
            assert recipe.mean == recipe.std == (0.5, 0.5, 0.5)
    assert lost.pop("siglip-so400m-14-384-image") == (6, 6)
    assert set(lost.values()) == {(0, 0)}


@torch.no_grad()
def test_pixels_that_no_patch_reads_change_nothing(tmp_path: Path) -> None:
    pair = tiny_pair()
    config = transformers_config(pair)
    config.vision_config.image_size = 18  # four patches of 4, and 2 pixels
    reference = make_live(transformers.SiglipModel(config))
    reference.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps({"image_processor_type": "SiglipImageProcessor", "size": SIDE_18, "resample": 3})
    )
    standin_tokenizer(VOCAB, pad_id=1, ending="</s>").save(str(tmp_path / "tokenizer.json"))
    their_pixels = SiglipImageProcessorPil(size=SIDE_18)(PHOTO, return_tensors="pt")["pixel_values"]

    joint = zoo.load(str(tmp_path), dtype="float64")

    assert isinstance(joint, JointEncoder)
    ours = joint.image.preprocess([PHOTO])
    assert np.abs(ours["pixels"] - their_pixels[:, :, :16, :16].numpy()).max() <= 1e-5
    expected = reference.double().get_image_features(pixel_values=their_pixels.double())
    found = joint.image({"pixels": their_pixels[:, :, :16, :16].double()}).pooled
    assert relative_error(found, expected.pooler_output) <= FLOAT64


def test_texts_are_padded_to_the_context_that_each_model_has() -> None:
    contexts = {}
    for row in ROWS:
        if isinstance(row.preprocess, TextPreprocess):
            assert isinstance(row.config, ClipTextConfig)
            assert row.preprocess.pad_to_max
            assert row.preprocess.max_length == row.config.context == row.inputs[0].shape[1]
            contexts[row.name] = row.config.context
            c4 = row.config.vocab == 32_000
            assert (row.preprocess.pad_id, row.preprocess.ending) == (
                (1, "</s>") if c4 else (0, "<eos>")
            )
    assert contexts.pop("siglip-so400m-14-text") == 16
    assert set(contexts.values()) == {64}


@torch.no_grad()
def test_an_image_of_another_size_has_positions_zoomed_with_the_corners_in_place(
    tmp_path: Path,
) -> None:
    from tests.vit_reference import zoomed

    pair = tiny_pair()
    saved = transformers_model(pair)
    saved.save_pretrained(tmp_path)
    larger = replace(pair.image, image_size=(24, 24))
    reference = transformers_model(Pair(image=larger, text=pair.text)).double()
    state = {name: tensor.double() for name, tensor in saved.state_dict().items()}
    key = "vision_model.embeddings.position_embedding.weight"
    grid = state[key].reshape(1, 4, 4, -1).permute(0, 3, 1, 2)
    state[key] = zoomed(grid, (6, 6)).permute(0, 2, 3, 1).flatten(0, 2)
    reference.load_state_dict(state)
    pixels = images(2, 24, 24)

    image, _ = load(pair, tmp_path)

    expected = reference.get_image_features(pixel_values=pixels).pooler_output
    assert relative_error(image({"pixels": pixels}).pooled, expected) <= FLOAT64


# Full size


def assert_covered(name: str, header: Any, layouts: tuple[str, str]) -> None:
    """Check that each key of a file reaches one tower, or is dropped by both for a reason."""
    used: list[str] = []
    for row, keymaps, layout in zip(
        zoo.resolve(name), (IMAGE_KEYMAPS, TEXT_KEYMAPS), layouts, strict=True
    ):
        with torch.device("meta"):
            wanted = shapes(row.config.build().state_dict())
        plan = make_plan(keymaps, header, wanted)
        assert plan.keymap.name == layout
        filled = {target for step in plan.assignments for target in step.targets}
        assert filled == set(wanted)
        used += [key for step in plan.assignments for key in step.sources]
    assert len(used) == len(set(used))
    assert set(header) - set(used) == {"logit_scale", "logit_bias"}


@every_model
def test_full_size_keys_and_shapes_of_transformers_are_covered(name: str) -> None:
    with torch.device("meta"):
        model = transformers.SiglipModel(transformers_config(pair_of(name)))

    assert_covered(name, shapes(model.state_dict()), ("transformers", "transformers"))
    total = sum(parameter.numel() for parameter in model.parameters())
    assert sum(row.params for row in zoo.resolve(name)) + 2 == total


@every_model
def test_full_size_keys_and_shapes_of_open_clip_are_covered(name: str) -> None:
    config = open_clip.get_model_config(OPEN_CLIP[name])
    config.pop("custom_text")
    with torch.device("meta"):
        model = open_clip.model.CustomTextCLIP(**config)

    assert_covered(name, shapes(model.state_dict()), ("timm", "open_clip"))
    text = pair_of(name).text
    assert text.heads == config["text_cfg"]["heads"]
    assert text.context == config["text_cfg"]["context_length"]
    assert model.visual.trunk.blocks[0].attn.num_heads == pair_of(name).image.heads


@pytest.mark.parametrize("name", TIMM)
def test_timms_names_have_timms_numbers(name: str) -> None:
    config = TIMM[name]
    with torch.device("meta"):
        reference = timm.create_model(name, num_classes=0)

    assert sum(tensor.numel() for tensor in reference.parameters()) == config.params
    assert reference.patch_embed.grid_size == config.grid
    assert reference.blocks[0].attn.num_heads == config.heads
    exact = isinstance(reference.blocks[0].mlp.act, torch.nn.GELU)
    assert (config.activation == "gelu") == (
        exact and reference.blocks[0].mlp.act.approximate == "none"
    )


# Files of other libraries


@pytest.fixture(scope="module")
def spiece(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_spiece(tmp_path_factory.mktemp("tokenizer"))


@torch.no_grad()
def test_a_folder_of_transformers_loads_as_a_joint_encoder(tmp_path: Path, spiece: Path) -> None:
    reference = transformers_model(tiny_pair())
    reference.save_pretrained(tmp_path)
    (tmp_path / "spiece.model").symlink_to(spiece)
    processor = {"image_processor_type": "SiglipImageProcessor", "size": {"height": 16,
                 "width": 16}, "resample": 3}  # fmt: skip
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8))
    tokenizer = transformers.SiglipTokenizer(str(spiece), model_max_length=CONTEXT)
    labels = ["a cat", "two dogs", "the sea"]

    joint = zoo.load(str(tmp_path), dtype="float64")

    assert isinstance(joint, JointEncoder)
    assert joint.space.activation == "sigmoid"
    assert (joint.scale, joint.bias) == pytest.approx((np.exp(1.5), -2.5))
    ranked = {label.name: label.score for label in joint.classify(photo, labels)}
    pixels = torch.from_numpy(joint.image.preprocess([photo])["pixels"]).double()
    ids = tokenizer([f"This is a photo of {label}." for label in labels], padding="max_length",
                    truncation=True, return_tensors="pt")["input_ids"]  # fmt: skip
    logits = reference.double()(input_ids=ids, pixel_values=pixels).logits_per_image[0]
    for label, probability in zip(labels, logits.sigmoid().tolist(), strict=True):
        assert ranked[label] == pytest.approx(probability, abs=1e-7)
    assert sum(ranked.values()) != pytest.approx(1.0, abs=1e-3)


@torch.no_grad()
def test_a_folder_of_open_clip_is_read_by_its_configuration(tmp_path: Path) -> None:
    config = open_clip.get_model_config("ViT-B-16-SigLIP")
    recipe = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic",
              "resize_mode": "squash"}  # fmt: skip
    (tmp_path / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": config, "preprocess_cfg": recipe})
    )
    (tmp_path / "open_clip_model.safetensors").touch()

    image, text = zoo.resolve(str(tmp_path))

    rows = zoo.resolve("siglip-b16")
    assert image.config == replace(  # type: ignore[type-var]
        rows[0].config,  # type: ignore[type-var]
        activation="gelu",
        position_mode="bicubic",
        position_antialias=True,
    )
    assert text.config == replace(rows[1].config, activation="gelu")  # type: ignore[type-var]
    assert (image.preprocess, text.preprocess) == (rows[0].preprocess, rows[1].preprocess)
    assert image.space == text.space


def test_a_folder_of_timms_image_tower_is_one_row(tmp_path: Path) -> None:
    config = {"architecture": "vit_so400m_patch16_siglip_256", "global_pool": "map",
              "pretrained_cfg": {"input_size": [3, 256, 256], "crop_pct": 0.9}}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))

    (row,) = zoo.resolve(str(tmp_path))

    assert row.params == zoo.info("siglip2-so400m-16-256-image").params
    assert row.space is None


@pytest.mark.parametrize("share", [0.9, 1.0])
def test_pixels_of_a_tower_of_timm_that_does_not_read_all_are_timms(
    share: float, tmp_path: Path
) -> None:
    half = [0.5] * 3
    published = {"input_size": [3, 384, 384], "crop_pct": share, "mean": half, "std": half}
    config = {"architecture": "vit_so400m_patch14_siglip_384", "global_pool": "map",
              "pretrained_cfg": published}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    transform: Any = timm.data.create_transform(
        (3, 384, 384), interpolation="bicubic", mean=half, std=half, crop_pct=share
    )

    (row,) = zoo.resolve(str(tmp_path))

    recipe = row.preprocess
    assert isinstance(recipe, ImagePreprocess)
    expected = transform(PHOTO).numpy()[:, :378, :378]
    np.testing.assert_array_equal(ImagePreprocessor(recipe).pixels(PHOTO), expected)


def test_at_a_size_of_its_own_a_graph_reads_all_pixels() -> None:
    row = zoo.info("siglip-so400m-14-384-image")
    assert isinstance(row, ModelSpec)

    bound = bind(row, profile_for(row, size=((392, 392),) * 3))

    assert isinstance(bound.preprocess, ImagePreprocess)
    assert (bound.preprocess.size, bound.preprocess.unread) == ((392, 392), (0, 0))


@pytest.mark.parametrize(
    ("part", "change", "words"),
    [
        ("vision_config", {"vision_use_head": False}, "vision_use_head"),
        ("vision_config", {"hidden_act": "swiglu"}, "hidden_act"),
        ("text_config", {"projection_size": 20}, "20 features"),
        ("text_config", {"num_attention_heads": 3}, "no multiple of heads"),
    ],
)
def test_what_is_not_supported_is_refused_with_the_reason(
    part: str, change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    transformers_config(tiny_pair()).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    config[part].update(change)
    path.write_text(json.dumps(config))

    with pytest.raises(UnsupportedCheckpointError, match=words):
        zoo.resolve(str(tmp_path))


# Pixels and tokens


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.modality == "image"], ids=lambda row: row.name
)
def test_pixels_are_open_clips_and_transformers(row: ModelSpec) -> None:
    recipe = row.preprocess
    assert isinstance(recipe, ImagePreprocess)
    read = recipe.size[0]
    side = read + recipe.unread[0]
    cfg = open_clip.transform.PreprocessCfg(
        size=side, mean=(0.5,) * 3, std=(0.5,) * 3, interpolation="bicubic", resize_mode="squash"
    )

    (sample,) = ImagePreprocessor(recipe, name="pixels").prepare([PHOTO])

    ours = sample.arrays["pixels"]
    transformed = image_transform_v2(cfg, is_train=False)(PHOTO).numpy()
    np.testing.assert_array_equal(ours, transformed[:, :read, :read])
    processor = SiglipImageProcessorPil(size={"height": side, "width": side})
    theirs = processor(PHOTO, return_tensors="np")["pixel_values"][0, :, :read, :read]
    assert np.abs(ours - theirs).max() <= 1e-5


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: repr(text[:20]))
def test_token_ids_equal_transformers(text: str, spiece: Path) -> None:
    reference = transformers.SiglipTokenizer(str(spiece), model_max_length=CONTEXT)
    ours = TextPreprocessor(text_preprocess(CONTEXT, "c4"), spiece, inputs=("input_ids",))

    (sample,) = ours.prepare([text])
    ids = ours.collate([sample])["input_ids"]

    expected = reference([text], padding="max_length", truncation=True, return_tensors="np")
    np.testing.assert_array_equal(ids, expected["input_ids"])
    assert ids[0, -1] == 1


def test_punctuation_is_left_out_of_the_first_siglips_texts_and_stays_in_the_seconds() -> None:
    assert text_preprocess(64, "c4").clean == "canonical"
    assert text_preprocess(64, "gemma").clean == "lower"
    from zoo.preprocess.text import _CLEANERS

    cleaned = _CLEANERS["canonical"](f" A  {string.punctuation} \t Cat's\n")
    assert cleaned == "a cats"
    assert _CLEANERS["lower"]("A Cat's!") == "a cat's!"
