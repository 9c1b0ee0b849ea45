"""DINOv3 against timm and transformers: rotations, gates, registers, and whose pooling."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import transformers
from timm.models.eva import Eva, checkpoint_filter_fn
from torch import Tensor, nn
from transformers.core_model_loading import revert_weight_conversion
from transformers.models.dinov3_vit import modeling_dinov3_vit

import zoo
from tests.full_size import assert_covers, shapes
from tests.reference import FLOAT64, make_live, relative_error
from tests.swin_reference import save
from tests.vit_reference import assert_same, blocks_of, load, noise, record
from zoo.encoder import Encoder
from zoo.errors import KeyMapError, UnsupportedCheckpointError
from zoo.registry import default_registry
from zoo.spec import ImagePreprocess, ModelSpec
from zoo_vision.families.dinov3 import ROWS
from zoo_vision.vit_config import ViTConfig

# Grids of 8 x 8 and 4 x 16: the references' float32 coordinates are exact at powers of two.
NATIVE, OTHER = (32, 32), (16, 64)
both_precisions = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
both_sizes = pytest.mark.parametrize("size", [NATIVE, OTHER], ids=["native", "other"])
both_kinds = pytest.mark.parametrize("name", ["dinov3-s16", "dinov3-s16plus"])


def small_row(name: str, **fields: Any) -> ModelSpec:
    """Return a row with all its features and two blocks."""
    numbers = {"width": 32, "depth": 2, "heads": 4, "hidden": 64, "patch": 4, "image_size": NATIVE}
    return default_registry().row(name).with_config(**{**numbers, **fields})


def config_of(row: ModelSpec) -> ViTConfig:
    assert isinstance(row.config, ViTConfig)
    return row.config


def timm_model(config: ViTConfig, **options: Any) -> Eva:
    model = Eva(
        img_size=config.image_size,
        patch_size=config.patch,
        num_classes=0,
        global_pool="token",
        embed_dim=config.width,
        depth=config.depth,
        num_heads=config.heads,
        mlp_ratio=config.hidden / config.width,
        swiglu_mlp=config.swiglu,
        swiglu_align_to=8,  # gate and value apart, as in the checkpoints
        qkv_bias=config.qkv_bias,
        init_values=1e-5,
        rope_type="dinov3",
        rope_temperature=100,
        rope_rotate_half=True,
        use_rot_pos_emb=True,
        use_abs_pos_emb=False,
        num_reg_tokens=config.registers,
        use_fc_norm=False,
        dynamic_img_size=True,
        norm_layer=partial(nn.LayerNorm, eps=1e-5),
        **options,
    )
    make_live(model)
    for part in model.modules():  # make_live fills buffers too
        if hasattr(part, "init_non_persistent_buffers"):
            part.init_non_persistent_buffers()
    return model


def exact_periods(model: Eva, config: ViTConfig, dtype: torch.dtype) -> None:
    """Compute timm's periods anew in a dtype; it keeps them in float32."""
    exponents = 2 * torch.arange(config.width // config.heads // 4, dtype=dtype)
    model.rope.periods = 100.0 ** (exponents / (config.width // config.heads // 2))


def transformers_config(config: ViTConfig) -> Any:
    return transformers.DINOv3ViTConfig(
        hidden_size=config.width,
        num_hidden_layers=config.depth,
        num_attention_heads=config.heads,
        intermediate_size=config.hidden,
        patch_size=config.patch,
        image_size=config.image_size[0],
        num_register_tokens=config.registers,
        use_gated_mlp=config.swiglu,
        hidden_act="silu" if config.swiglu else "gelu",
    )


def transformers_model(config: ViTConfig, dtype: torch.dtype) -> Any:
    model: Any = transformers.DINOv3ViTModel(transformers_config(config))
    make_live(model).to(dtype)
    exponents = torch.arange(0, 1, 4 * config.heads / config.width, dtype=dtype)
    model.rope_embeddings.inv_freq = 1 / 100.0**exponents
    return model


@pytest.fixture
def exact_coordinates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let transformers compute its angles in float64; it does so in float32, whatever the model."""
    coordinates = modeling_dinov3_vit.get_patches_center_coordinates
    monkeypatch.setattr(
        modeling_dinov3_vit,
        "get_patches_center_coordinates",
        lambda height, width, dtype, device: coordinates(height, width, torch.float64, device),
    )


@both_precisions
@both_sizes
@both_kinds
@pytest.mark.parametrize("qkv_bias", [False, True], ids=["plain", "qkvb"])
@torch.no_grad()
def test_a_file_of_timm_gives_timms_numbers(
    name: str, size: tuple[int, int], qkv_bias: bool, dtype: torch.dtype, tmp_path: Path
) -> None:
    row = small_row(name, qkv_bias=qkv_bias)
    config = config_of(row)
    reference = timm_model(config).to(dtype).eval()
    exact_periods(reference, config, dtype)
    blocks = record(reference.blocks)
    pixels = noise(size, dtype)
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
@both_kinds
@torch.no_grad()
@pytest.mark.usefixtures("exact_coordinates")
def test_a_file_of_transformers_gives_its_numbers(
    name: str, size: tuple[int, int], dtype: torch.dtype, tmp_path: Path
) -> None:
    row = small_row(name, qkv_bias=True)
    reference = transformers_model(config_of(row), dtype)
    reference.save_pretrained(tmp_path)
    blocks = record(blocks_of(reference, 2))
    pixels = noise(size, dtype)
    out = reference(pixels)

    assert_same(
        load(row, tmp_path, dtype),
        pixels,
        sequence=out.last_hidden_state,
        pooled=out.pooler_output,
        blocks=blocks,
    )


def in_metas_names(state: dict[str, Tensor], config: ViTConfig) -> dict[str, Tensor]:
    """Return timm's tensors under the names of the authors' files, with what those hold beside."""
    renames = {"reg_token": "storage_tokens", ".gamma_1": ".ls1.gamma", ".gamma_2": ".ls2.gamma"}
    if config.swiglu:
        renames |= {"mlp.fc1_g": "mlp.w1", "mlp.fc1_x": "mlp.w2", "mlp.fc2": "mlp.w3"}
    renamed = {}
    for name, tensor in state.items():
        for old, new in renames.items():
            name = name.replace(old, new)
        renamed[name] = tensor
    width, like = config.width, state["cls_token"]
    for index in range(config.depth):
        renamed[f"blocks.{index}.attn.qkv.bias"] = like.new_zeros(3 * width)
        renamed[f"blocks.{index}.attn.qkv.bias_mask"] = like.new_ones(3 * width)
    renamed["mask_token"] = like.new_zeros(1, width)
    renamed["rope_embed.periods"] = like.new_ones(width // config.heads // 4)
    return renamed


@both_precisions
@both_kinds
@torch.no_grad()
def test_a_file_of_the_authors_gives_timms_numbers(
    name: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    row = small_row(name)
    config = config_of(row)
    reference = timm_model(config).to(dtype).eval()
    exact_periods(reference, config, dtype)
    state = in_metas_names(dict(reference.state_dict()), config)
    path = tmp_path / "dinov3_pretrain.pth"
    torch.save(state, path)
    blocks = record(reference.blocks)
    pixels = noise(OTHER, dtype)
    sequence = reference.forward_features(pixels)

    assert_same(
        load(row, path, dtype),
        pixels,
        sequence=sequence,
        pooled=reference.forward_head(sequence, pre_logits=True),
        blocks=blocks,
    )


@both_kinds
def test_a_file_of_the_authors_with_biases_is_not_loaded_without_them(
    name: str, tmp_path: Path
) -> None:
    row = small_row(name)
    state = in_metas_names(dict(timm_model(config_of(row)).state_dict()), config_of(row))
    state["blocks.1.attn.qkv.bias"][0] = 1e-4
    torch.save(state, tmp_path / "dinov3_finetuned.pth")

    with pytest.raises(KeyMapError, match=r"'blocks\.1\.attn\.qkv\.bias' .* not all zeros"):
        load(row, tmp_path / "dinov3_finetuned.pth", torch.float32)


@both_kinds
def test_timm_reads_these_names_of_the_authors(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_of(small_row(name))
    reference = timm_model(config)
    state = dict(reference.state_dict())

    read = checkpoint_filter_fn(in_metas_names(state, config), reference)

    assert read.keys() == state.keys()
    assert all(torch.equal(read[key], state[key]) for key in state)
    assert "q_bias" in capsys.readouterr().out  # timm says that it leaves the zero biases out


# What is easily lost


def vector_of(row: ModelSpec, pixels: Tensor, **fields: Any) -> Tensor:
    """Return the vector of seeded random weights, with some fields of the config changed."""
    encoder = zoo.load(row.with_config(**fields), weights="random", dtype="float64")
    assert isinstance(encoder, Encoder)
    with torch.no_grad():
        pooled = encoder({"pixels": pixels}).pooled
    assert pooled is not None
    return pooled


@pytest.mark.parametrize(
    "fields",
    [{"rotary_base": 10_000.0}, {"pooling": "mean"}, {"norm_eps": 1e-2}],
    ids=lambda fields: next(iter(fields)),
)
def test_each_of_its_numbers_matters(fields: dict[str, Any]) -> None:
    row, pixels = small_row("dinov3-s16plus"), noise(OTHER, torch.float64)

    changed = vector_of(row, pixels, **fields)

    assert relative_error(changed, vector_of(row, pixels)) > 1e-3


@torch.no_grad()
def test_prefix_tokens_do_not_turn_and_patches_do(monkeypatch: pytest.MonkeyPatch) -> None:
    from zoo_vision.nets.rotary import axial_rope

    like = torch.zeros(1, dtype=torch.float64)
    cos, sin = axial_rope((4, 2), prefix=5, head=8, base=100.0, like=like)

    assert cos.shape == sin.shape == (13, 8)
    assert torch.equal(cos[:5], torch.ones(5, 8, dtype=torch.float64))
    assert torch.equal(sin[:5], torch.zeros(5, 8, dtype=torch.float64))
    # rows turn the first quarter of a head, columns the second; both halves alike
    assert torch.equal(sin[5:, :4], sin[5:, 4:])
    assert torch.equal(sin[5, :2], sin[6, :2])
    assert torch.equal(sin[5, 2:4], sin[7, 2:4])
    assert not torch.equal(sin[5, :2], sin[7, :2])


def test_angles_of_half_precision_are_computed_in_float32() -> None:
    from zoo_vision.nets.rotary import axial_rope

    low, full = (
        axial_rope((16, 16), prefix=0, head=64, base=100.0, like=torch.zeros(1, dtype=dtype))[1]
        for dtype in (torch.bfloat16, torch.float32)
    )

    assert low.dtype == torch.bfloat16
    assert torch.equal(low, full.to(torch.bfloat16))


@torch.no_grad()
def test_a_gate_in_the_place_of_the_value_would_be_seen(tmp_path: Path) -> None:
    row = small_row("dinov3-s16plus")
    reference = timm_model(config_of(row)).double().eval()
    state = reference.state_dict()
    swapped = {}
    for name, tensor in state.items():
        other = name.replace("fc1_g", "fc1_?").replace("fc1_x", "fc1_g").replace("fc1_?", "fc1_x")
        swapped[other] = tensor
    pixels = noise(NATIVE, torch.float64)

    ours = load(row, save(swapped, tmp_path), torch.float64)({"pixels": pixels}).pooled

    assert relative_error(ours, reference(pixels)) > 1e-3


@torch.no_grad()
def test_the_vector_alone_is_the_vector_of_all() -> None:
    row = small_row("dinov3-s16plus", qkv_bias=True)
    encoder = zoo.load(row, weights="random", dtype="float64")
    assert isinstance(encoder, Encoder)
    pixels = {"pixels": noise(OTHER, torch.float64)}
    everything = encoder(pixels).pooled

    encoder.module.pooled_only = True  # type: ignore[assignment]  # a plain attribute

    assert relative_error(encoder(pixels).pooled, everything) <= FLOAT64


def test_rows_pool_the_class_token_and_prepare_256_pixels() -> None:
    for row in ROWS:
        config = config_of(row)
        assert (config.pooling, config.registers, config.norm_eps) == ("cls", 4, 1e-5)
        assert config.swiglu == row.name.endswith("plus")
        assert row.license == "dinov3-license"
        assert isinstance(row.preprocess, ImagePreprocess)
        assert (row.preprocess.size, row.preprocess.resize) == ((256, 256), 256)


def test_heads_that_cannot_turn_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 4"):
        replace(config_of(small_row("dinov3-s16")), width=24, heads=4)


# Full size


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_timms_tensors_at_full_size_are_covered_both_ways(row: ModelSpec) -> None:
    with torch.device("meta"):
        reference = timm.create_model(str(row.weights.repo).removeprefix("timm/"), num_classes=10)

    assert_covers(row, shapes(dict(reference.state_dict())), "timm")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_transformers_tensors_at_full_size_are_covered_both_ways(row: ModelSpec) -> None:
    row = row.with_config(qkv_bias=True)  # as transformers keeps them
    with torch.device("meta"):
        reference = transformers.DINOv3ViTModel(transformers_config(config_of(row)))
    state = revert_weight_conversion(reference, dict(reference.state_dict()))

    assert_covers(row, shapes(state), "transformers")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_authors_tensors_at_full_size_are_covered_both_ways(row: ModelSpec) -> None:
    with torch.device("meta"):
        reference = timm.create_model(str(row.weights.repo).removeprefix("timm/"), num_classes=0)
    state = in_metas_names(dict(reference.state_dict()), config_of(row))

    assert_covers(row, shapes(state), "authors")


# Files of other libraries

PROCESSOR = {"image_processor_type": "DINOv3ViTImageProcessorFast", "size": {"height": 32,
             "width": 32}}  # fmt: skip


@both_kinds
@torch.no_grad()
@pytest.mark.usefixtures("exact_coordinates")
def test_a_folder_of_transformers_loads_by_its_configuration(name: str, tmp_path: Path) -> None:
    row = small_row(name, qkv_bias=True)
    reference = transformers_model(config_of(row), torch.float64)
    reference.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    pixels = noise(NATIVE, torch.float64)

    encoder = zoo.load(str(tmp_path), dtype="float64")

    assert isinstance(encoder, Encoder)
    ours = encoder({"pixels": pixels}).pooled
    assert relative_error(ours, reference(pixels).pooler_output) <= FLOAT64
    assert encoder.spec.params == sum(p.numel() for p in encoder.module.parameters())
    recipe = encoder.spec.preprocess
    assert isinstance(recipe, ImagePreprocess)
    assert (recipe.size, recipe.resize, recipe.resample) == ((32, 32), None, "bilinear")


@torch.no_grad()
def test_a_folder_of_timm_pools_as_timm_does(tmp_path: Path) -> None:
    config = {"architecture": "vit_small_patch16_dinov3", "global_pool": "avg",
              "pretrained_cfg": {"input_size": [3, 256, 256], "crop_pct": 1.0}}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))

    (row,) = zoo.resolve(str(tmp_path))

    found = config_of(row)
    assert (found.pooling, found.final_norm, found.pool_norm) == ("mean", True, False)
    small = small_row("dinov3-s16", pooling="mean")
    reference = timm_model(config_of(small)).eval()
    pixels = noise(NATIVE, torch.float32)
    reference.global_pool = "avg"
    ours = load(small, save(reference.state_dict(), tmp_path), torch.float32)
    assert relative_error(ours({"pixels": pixels}).pooled, reference(pixels)) <= 2e-6


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"key_bias": True}, "key_bias"),
        ({"use_gated_mlp": True}, "gates with GELU"),
        ({"hidden_act": "relu"}, "hidden_act"),
        ({"hidden_size": 24, "num_attention_heads": 4}, "multiple of 4"),
    ],
)
def test_what_is_not_supported_is_refused_with_the_reason(
    change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    config = {"model_type": "dinov3_vit", "hidden_size": 32, "num_attention_heads": 4}
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))

    with pytest.raises(UnsupportedCheckpointError, match=words):
        zoo.load(str(tmp_path))
