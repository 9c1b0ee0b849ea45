"""BEiT, BEiT v2 and data2vec against timm and transformers."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import transformers
from PIL import Image
from timm.models.beit import Beit
from torch import nn
from torchvision import transforms
from transformers.core_model_loading import revert_weight_conversion
from transformers.models.beit.image_processing_pil_beit import BeitImageProcessorPil

import zoo
from tests.full_size import assert_covers, shapes
from tests.reference import FLOAT64, make_live, relative_error
from tests.swin_reference import save
from tests.vit_reference import assert_same, blocks_of, load, noise, record
from zoo.encoder import Encoder
from zoo.errors import UnsupportedCheckpointError
from zoo.preprocess.image import ImagePreprocessor
from zoo.registry import default_registry
from zoo.spec import ImagePreprocess, ModelSpec
from zoo_vision.families.beit import ROWS
from zoo_vision.nets.relative import RelativePositions
from zoo_vision.vit_config import ViTConfig

NATIVE, OTHER = (24, 24), (32, 32)
both_precisions = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
both_sizes = pytest.mark.parametrize("size", [NATIVE, OTHER], ids=["native", "other"])
FINE_TUNED, PRETRAINED = ("beit-b16", "beitv2-b16"), ("beit-b16-pt", "data2vec-b16")
every_system = pytest.mark.parametrize("name", [*FINE_TUNED, *PRETRAINED])


def small_row(name: str, **fields: Any) -> ModelSpec:
    """Return a row with all its features and two blocks."""
    numbers = {"width": 32, "depth": 2, "heads": 4, "hidden": 64, "patch": 4, "image_size": NATIVE}
    return default_registry().row(name).with_config(**{**numbers, **fields})


def config_of(row: ModelSpec) -> ViTConfig:
    assert isinstance(row.config, ViTConfig)
    return row.config


def timm_model(config: ViTConfig, *, shared: bool = False) -> Beit:
    model = Beit(
        img_size=config.image_size,
        patch_size=config.patch,
        num_classes=0,
        embed_dim=config.width,
        depth=config.depth,
        num_heads=config.heads,
        mlp_ratio=config.hidden / config.width,
        init_values=0.1,
        use_abs_pos_emb=False,
        use_rel_pos_bias=not shared,
        use_shared_rel_pos_bias=shared,
        use_fc_norm=config.pool_norm,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
    )
    make_live(model)
    for part in model.modules():  # make_live fills buffers too
        if hasattr(part, "init_non_persistent_buffers"):
            part.init_non_persistent_buffers()
    return model


def transformers_config(row: ModelSpec) -> Any:
    config = config_of(row)
    numbers: dict[str, Any] = {
        "hidden_size": config.width,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.heads,
        "intermediate_size": config.hidden,
        "patch_size": config.patch,
        "image_size": config.image_size[0],
        "layer_norm_eps": config.norm_eps,
        "use_relative_position_bias": config.positions == "relative",
        "use_shared_relative_position_bias": config.positions == "relative_shared",
        "use_mask_token": True,
    }
    if row.family.name == "data2vec-vision":
        return transformers.Data2VecVisionConfig(**numbers, use_mean_pooling=config.pool_norm)
    return transformers.BeitConfig(**numbers)


def transformers_model(row: ModelSpec) -> Any:
    """Return the class that the system's files were written by."""
    config = transformers_config(row)
    if row.family.name == "data2vec-vision":
        return transformers.Data2VecVisionModel(config)
    if config_of(row).positions == "relative_shared":
        return transformers.BeitForMaskedImageModeling(config)
    return transformers.BeitForImageClassification(config)


@both_precisions
@pytest.mark.parametrize("shared", [False, True], ids=["a table a block", "one table"])
@torch.no_grad()
def test_a_file_of_timm_gives_timms_numbers(
    shared: bool, dtype: torch.dtype, tmp_path: Path
) -> None:
    row = small_row("beit-b16-pt" if shared else "beit-b16")
    reference = timm_model(config_of(row), shared=shared).to(dtype).eval()
    blocks = record(reference.blocks)
    pixels = noise(NATIVE, dtype)
    sequence = reference.forward_features(pixels)

    assert_same(
        load(row, save(reference.state_dict(), tmp_path), dtype),
        pixels,
        sequence=sequence,
        pooled=reference.forward_head(sequence, pre_logits=True),
        blocks=blocks,
    )


@both_precisions
@both_sizes
@every_system
@torch.no_grad()
def test_a_file_of_transformers_gives_its_numbers(
    name: str, size: tuple[int, int], dtype: torch.dtype, tmp_path: Path
) -> None:
    row = small_row(name)
    reference = make_live(transformers_model(row)).to(dtype)
    reference.save_pretrained(tmp_path)
    body: Any = reference.base_model
    blocks = record(blocks_of(reference, 2))
    pixels = noise(size, dtype)
    sequence = body(pixels).last_hidden_state
    if name == "beit-b16-pt":  # the norm stands in the head
        sequence = reference.layernorm(sequence)
    patches = sequence[:, 1:].mean(dim=1)

    assert_same(
        load(row, tmp_path, dtype),
        pixels,
        sequence=sequence,
        pooled=body.pooler.layernorm(patches) if config_of(row).pool_norm else patches,
        blocks=blocks,
    )


@torch.no_grad()
def test_what_pretraining_leaves_in_the_authors_files_is_left_out(tmp_path: Path) -> None:
    row = small_row("beit-b16-pt")
    reference = timm_model(config_of(row), shared=True).double().eval()
    others = {
        "mask_token": torch.zeros(1, 1, 32),
        "lm_head.weight": torch.zeros(7, 32),
        "lm_head.bias": torch.zeros(7),
        "rel_pos_bias.relative_position_index": torch.zeros(37, 37),
        "cls_pt_layers.0.norm1.weight": torch.zeros(32),
    }
    state = {f"module.{name}": tensor for name, tensor in (reference.state_dict() | others).items()}
    torch.save(state, tmp_path / "pytorch_model.bin")
    pixels = noise(NATIVE, torch.float64)

    ours = load(row, tmp_path, torch.float64)({"pixels": pixels}).pooled

    assert relative_error(ours, reference(pixels)) <= FLOAT64


# What is easily lost


@torch.no_grad()
def test_the_three_rows_of_the_class_token_are_told_apart(tmp_path: Path) -> None:
    row = small_row("beit-b16")
    reference = timm_model(config_of(row)).double().eval()
    state = reference.state_dict()
    key = "blocks.0.attn.relative_position_bias_table"
    state[key] = torch.cat((state[key][:-3], state[key][[-2, -3, -1]]))
    pixels = noise(NATIVE, torch.float64)

    ours = load(row, save(state, tmp_path), torch.float64)({"pixels": pixels}).pooled

    assert relative_error(ours, reference(pixels)) > 1e-3


def test_a_pair_has_the_row_of_its_difference() -> None:
    index = RelativePositions((2, 3), heads=1).index

    # 3 x 5 differences, then class to patch, patch to class, class to class
    assert index.shape == (7, 7)
    assert index[0].tolist() == [17, 15, 15, 15, 15, 15, 15]
    assert index[1:, 0].tolist() == [16] * 6
    assert index[1, 1] == index[6, 6] == 7
    assert index[1, 6] == 0
    assert index[6, 1] == 14


def test_keys_have_no_bias() -> None:
    for row in ROWS:
        with torch.device("meta"):
            state = row.config.build().state_dict()
        assert "blocks.0.attention.q_bias" in state
        assert "blocks.0.attention.qkv.bias" not in state


def test_one_table_or_one_a_block() -> None:
    for row in ROWS:
        with torch.device("meta"):
            tables = [name for name in row.config.build().state_dict() if name.endswith("table")]
        alone = row.name.endswith("-pt") or row.family.name == "data2vec-vision"
        assert len(tables) == (1 if alone else config_of(row).depth), row.name


def test_only_beit_v2_is_normalised_by_imagenet() -> None:
    for row in ROWS:
        recipe = row.preprocess
        assert isinstance(recipe, ImagePreprocess)
        assert (recipe.mean == (0.5, 0.5, 0.5)) == (row.family.name != "beitv2"), row.name


def test_fine_tuned_models_normalise_the_mean_and_the_others_the_tokens() -> None:
    for row in ROWS:
        config = config_of(row)
        fine_tuned = row.weights.layout == "timm"
        assert (config.pool_norm, config.final_norm) == (fine_tuned, not fine_tuned), row.name
        assert config.pooling == "mean"


def test_every_norm_has_the_authors_epsilon() -> None:
    assert {config_of(row).norm_eps for row in ROWS} == {1e-6}


@torch.no_grad()
def test_a_vector_of_the_class_token_alone_reads_its_relative_positions() -> None:
    row = small_row("beit-b16", pooling="cls")
    encoder = zoo.load(row, weights="random", dtype="float64")
    assert isinstance(encoder, Encoder)
    pixels = {"pixels": noise(OTHER, torch.float64)}
    everything = encoder(pixels).pooled

    encoder.module.pooled_only = True  # type: ignore[assignment]  # a plain attribute

    assert relative_error(encoder(pixels).pooled, everything) <= FLOAT64


# Full size


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.weights.layout == "timm"], ids=lambda row: row.name
)
def test_timms_tensors_at_full_size_are_covered_both_ways(row: ModelSpec) -> None:
    with torch.device("meta"):
        reference = timm.create_model(str(row.weights.repo).removeprefix("timm/"), num_classes=10)

    assert_covers(row, shapes(dict(reference.state_dict())), "timm")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_transformers_tensors_at_full_size_are_covered_both_ways(row: ModelSpec) -> None:
    with torch.device("meta"):
        reference = transformers_model(row)
    state = revert_weight_conversion(reference, dict(reference.state_dict()))

    assert_covers(row, shapes(state), "transformers")


# Files of other libraries


@every_system
@torch.no_grad()
def test_a_folder_of_transformers_loads_by_its_configuration(name: str, tmp_path: Path) -> None:
    row = small_row(name)
    reference: Any = make_live(transformers_model(row)).double()
    reference.save_pretrained(tmp_path)
    processor = {"image_processor_type": "BeitImageProcessor", "size": {"height": 24, "width": 24}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    pixels = noise(NATIVE, torch.float64)
    expected = reference.base_model(pixels)

    encoder = zoo.load(str(tmp_path), dtype="float64")

    assert isinstance(encoder, Encoder)
    wanted = {
        "beit-b16-pt": lambda: reference.layernorm(expected.last_hidden_state)[:, 1:].mean(dim=1),
        # its file says that the class token is pooled, which the row does not
        "data2vec-b16": lambda: expected.last_hidden_state[:, 0],
    }.get(name, lambda: expected.pooler_output)
    assert relative_error(encoder({"pixels": pixels}).pooled, wanted()) <= FLOAT64
    assert encoder.spec.params == sum(p.numel() for p in encoder.module.parameters())


BEIT = {"model_type": "beit", "hidden_size": 32, "num_attention_heads": 4, "image_size": 24,
        "patch_size": 4, "use_relative_position_bias": True}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"use_absolute_position_embeddings": True}, "absolute"),
        ({"use_relative_position_bias": False}, "either in each block or shared"),
        ({"use_shared_relative_position_bias": True}, "either in each block or shared"),
        ({"layer_scale_init_value": 0.0}, "scales no layers"),
    ],
)
def test_what_is_not_supported_is_refused_with_the_reason(
    change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(BEIT | change))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"size": 24}))

    with pytest.raises(UnsupportedCheckpointError, match=words):
        zoo.load(str(tmp_path))


# Pixels

PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (301, 280, 3), dtype=np.uint8))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_pixels_are_those_of_the_library_that_the_row_names(row: ModelSpec) -> None:
    recipe = row.preprocess
    assert isinstance(recipe, ImagePreprocess)

    (sample,) = ImagePreprocessor(recipe, name="pixels").prepare([PHOTO])

    ours = sample.arrays["pixels"]
    if row.weights.layout == "timm":
        with torch.device("meta"):
            model = timm.create_model(str(row.weights.repo).removeprefix("timm/"))
        facts = timm.data.resolve_model_data_config(model)
        theirs = timm.data.create_transform(**facts, is_training=False)
        assert isinstance(theirs, transforms.Compose)
        np.testing.assert_array_equal(ours, theirs(PHOTO).numpy())
    else:
        expected = BeitImageProcessorPil()(PHOTO, return_tensors="np")["pixel_values"][0]
        assert np.abs(ours - expected).max() <= 1e-5  # transformers multiplies by 1/255 in float64
