"""Checkpoints as the papers' authors publish them, heads, wrappers, decoders and all."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.reference import FLOAT64, make_live, relative_error
from tests.vit_reference import (
    NATIVE,
    load,
    noise,
    pooled_by,
    small_row,
    timm_model,
    transformers_config,
)
from zoo.errors import FormatError, KeyMapError
from zoo.spec import ModelSpec
from zoo_vision.vit_config import ViTConfig


def config_of(row: ModelSpec) -> ViTConfig:
    assert isinstance(row.config, ViTConfig)
    return row.config


def junk(*shape: int) -> Tensor:
    return torch.full(shape, 7.0, dtype=torch.float64)


def encoder_and_answer(row: ModelSpec) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Return a live encoder under timm's names, which the authors built on, and what it gives."""
    reference = make_live(timm_model(config_of(row))).double()
    pixels = noise(NATIVE, torch.float64)
    with torch.no_grad():
        sequence = reference.forward_features(pixels)
    return dict(reference.state_dict()), pixels, pooled_by(config_of(row), sequence)


def assert_gives(row: ModelSpec, path: Path, pixels: Tensor, expected: Tensor) -> None:
    with torch.no_grad():
        ours = load(row, path, torch.float64)({"pixels": pixels}).pooled
    assert relative_error(ours, expected) <= FLOAT64


def test_deits_file_with_two_classifiers(tmp_path: Path) -> None:
    row = small_row("deit-b16-dist")
    state, pixels, expected = encoder_and_answer(row)
    heads = {f"{head}.{part}": junk(5) for head in ("head", "head_dist")
             for part in ("weight", "bias")}  # fmt: skip
    path = tmp_path / "deit_base_distilled_patch16_224.pth"
    torch.save({"model": {**state, **heads}}, path)

    assert_gives(row, path, pixels, expected)


def test_dinos_teacher_with_its_projection_head(tmp_path: Path) -> None:
    row = small_row("dino-b16")
    state, pixels, expected = encoder_and_answer(row)
    teacher = {f"module.backbone.{name}": tensor for name, tensor in state.items()}
    teacher |= {"module.head.mlp.0.weight": junk(2, 2), "module.head.last_layer.weight_g": junk(2)}
    path = tmp_path / "teacher.safetensors"
    save_file(teacher, path)

    assert_gives(row, path, pixels, expected)


@pytest.mark.parametrize("name", ["dinov2-b14", "dinov2-b14-reg", "dinov2-g14", "dinov2-g14-reg"])
@torch.no_grad()
def test_dinov2s_own_names(name: str, tmp_path: Path) -> None:
    import transformers

    row = small_row(name, class_position=True)
    config = config_of(row)
    kind = transformers.Dinov2WithRegistersModel if config.registers else transformers.Dinov2Model
    reference = make_live(kind(transformers_config(row))).double()
    pixels = noise(NATIVE, torch.float64)
    expected = reference(pixels).last_hidden_state[:, 0]
    path = tmp_path / "dinov2_pretrain.pth"
    torch.save(original_dinov2(reference, gated=config.swiglu), path)

    assert_gives(row, path, pixels, expected)


def original_dinov2(reference: torch.nn.Module, *, gated: bool) -> dict[str, Tensor]:
    """Return Meta's names of transformers' tensors: fused projections, and w12 if gated."""
    from transformers.core_model_loading import revert_weight_conversion

    theirs = revert_weight_conversion(reference, dict(reference.state_dict()))  # type: ignore[arg-type]
    for part in ("weight", "bias"):
        for index in range(2):
            block = f"encoder.layer.{index}.attention.attention"
            theirs[f"encoder.layer.{index}.attn.qkv.{part}"] = torch.cat(
                [theirs.pop(f"{block}.{which}.{part}") for which in ("query", "key", "value")]
            )
    renames = [
        ("embeddings.patch_embeddings.projection", "patch_embed.proj"),
        ("embeddings.position_embeddings", "pos_embed"),
        ("embeddings.", ""),
        ("encoder.layer.", "blocks."),
        ("attention.output.dense", "attn.proj"),
        ("layer_scale1.lambda1", "ls1.gamma"),
        ("layer_scale2.lambda1", "ls2.gamma"),
        ("mlp.weights_in", "mlp.w12"),
        ("mlp.weights_out", "mlp.w3"),
        ("layernorm.", "norm."),
    ]
    renamed = {}
    for name, tensor in theirs.items():
        for old, new in renames:
            name = name.replace(old, new)
        renamed[name] = tensor
    assert "mask_token" in renamed
    assert any(re.search(r"mlp\.w12", name) for name in renamed) == gated
    return renamed


def test_maes_file_with_its_decoder(tmp_path: Path) -> None:
    row = small_row("mae-b16")
    state, pixels, expected = encoder_and_answer(row)
    decoder = {
        "mask_token": junk(1, 1, 8),
        "decoder_pos_embed": junk(1, 37, 8),
        "decoder_embed.weight": junk(8, 32),
        "decoder_blocks.0.attn.qkv.weight": junk(24, 8),
        "decoder_pred.bias": junk(48),
    }
    path = tmp_path / "mae_pretrain_vit_base_full.pth"
    torch.save({"model": {**state, **decoder}, "epoch": 799}, path)

    assert_gives(row, path, pixels, expected)


def test_moco_v3s_file_with_its_momentum_encoder(tmp_path: Path) -> None:
    row = small_row("moco-v3-s16")
    state, pixels, expected = encoder_and_answer(row)
    wrapped = {f"module.base_encoder.{name}": tensor for name, tensor in state.items()}
    wrapped |= {f"module.momentum_encoder.{name}": tensor + 1 for name, tensor in state.items()}
    wrapped |= {
        "module.base_encoder.head.0.weight": junk(4, 32),
        "module.base_encoder.head.1.running_mean": junk(4),
        "module.predictor.0.weight": junk(4, 4),
    }
    path = tmp_path / "vit-s-300ep.pth.tar"
    torch.save({"epoch": 300, "arch": "vit_small", "state_dict": wrapped}, path)

    assert_gives(row, path, pixels, expected)


def test_ijepas_file_has_several_networks_and_one_must_be_named(tmp_path: Path) -> None:
    row = small_row("ijepa-h14")
    state, pixels, expected = encoder_and_answer(row)
    path = tmp_path / "IN1K-vit.h.14-300e.pth.tar"
    target = {f"module.{name}": tensor for name, tensor in state.items()}
    torch.save(
        {
            "encoder": {name: tensor + 1 for name, tensor in target.items()},
            "predictor": {"module.predictor_embed.bias": junk(3)},
            "target_encoder": target,
            "epoch": 300,
        },
        path,
    )

    with pytest.raises(FormatError, match="target_encoder"):
        load(row, path, torch.float64)
    named = replace(row, weights=replace(row.weights, entry="target_encoder"))
    assert_gives(named, path, pixels, expected)


def test_a_file_of_another_size_is_refused_by_name(tmp_path: Path) -> None:
    row = small_row("vit-b16")
    wider = row.with_config(width=48)
    save_file(timm_model(config_of(wider)).state_dict(), tmp_path / "model.safetensors")

    with pytest.raises(KeyMapError, match=r"attention.proj.bias \(file \[48\], network \[32\]\)"):
        load(row, tmp_path, torch.float32)
