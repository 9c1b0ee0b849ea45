"""Tiny live references of transformers for encoders of sound, saved in the Hub's file layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import (
    Data2VecAudioConfig,
    Data2VecAudioForCTC,
    Data2VecAudioModel,
    HubertConfig,
    HubertForCTC,
    HubertModel,
    Wav2Vec2Config as TheirWav2Vec2Config,
    Wav2Vec2ForPreTraining,
    Wav2Vec2Model,
    WhisperConfig as TheirWhisperConfig,
    WhisperForConditionalGeneration,
    WhisperModel,
)

from tests.reference import make_live
from zoo.loading import load_module
from zoo.spec import ModelSpec
from zoo.weights import open_checkpoint
from zoo_audio.configs import Wav2Vec2Config, WhisperConfig

# Configuration, network alone, network with heads; none of the reference's classes is typed.
KINDS: dict[str, tuple[Any, Any, Any]] = {
    "data2vec-audio": (Data2VecAudioConfig, Data2VecAudioModel, Data2VecAudioForCTC),
    "hubert": (HubertConfig, HubertModel, HubertForCTC),
    "whisper": (TheirWhisperConfig, WhisperModel, WhisperForConditionalGeneration),
}
OTHERS: tuple[Any, Any, Any] = (TheirWav2Vec2Config, Wav2Vec2Model, Wav2Vec2ForPreTraining)


def their_config(row: ModelSpec) -> Any:
    """Return the reference's configuration of a row."""
    config = row.config
    if isinstance(config, WhisperConfig):
        return TheirWhisperConfig(
            d_model=config.width,
            encoder_layers=config.depth,
            encoder_attention_heads=config.heads,
            encoder_ffn_dim=config.hidden,
            num_mel_bins=config.mels,
            max_source_positions=config.positions,
            decoder_layers=1,
            decoder_attention_heads=2,
            decoder_ffn_dim=8,
            max_target_positions=8,
            vocab_size=50,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            decoder_start_token_id=1,
        )
    assert isinstance(config, Wav2Vec2Config)
    return KINDS.get(row.family.name, OTHERS)[0](
        hidden_size=config.width,
        num_hidden_layers=config.depth,
        num_attention_heads=config.heads,
        intermediate_size=config.hidden,
        conv_dim=[config.channels] * len(config.kernels),
        conv_kernel=list(config.kernels),
        conv_stride=list(config.strides),
        conv_bias=config.stem_bias,
        feat_extract_norm=config.stem_norm,
        do_stable_layer_norm=config.pre_norm,
        num_conv_pos_embeddings=config.position_depth or config.position_kernel,
        conv_pos_kernel_size=config.position_kernel,
        num_conv_pos_embedding_groups=config.position_groups,
        num_codevectors_per_group=4,
        codevector_dim=8,
        proj_codevector_dim=8,
    )


def reference(
    row: ModelSpec, *, headed: bool = False, dtype: torch.dtype = torch.float64
) -> nn.Module:
    """Return the reference of a row with live weights, in evaluation mode."""
    _, bare, full = KINDS.get(row.family.name, OTHERS)
    return make_live((full if headed else bare)(their_config(row)).to(dtype))


def encoder_of(model: Any) -> nn.Module:
    """Return the part of a reference that gives tokens."""
    for name in ("wav2vec2", "hubert", "data2vec_audio", "model"):
        model = getattr(model, name, model)
    found: nn.Module = model.encoder if hasattr(model, "decoder") else model
    return found


def load_saved(
    row: ModelSpec, model: Any, folder: Path, *, old: bool = False, dtype: torch.dtype
) -> nn.Module:
    """Save a reference in the Hub's layout and return ours, filled from the file.

    Args:
        row: Tiny.
        model: The reference.
        folder: To save in.
        old: Whether weight norm is spelt as transformers 4 did.
        dtype: Of ours.
    """
    model.save_pretrained(folder)
    path = folder / "model.safetensors"
    if old:
        names = {"parametrizations.weight.original0": "weight_g",
                 "parametrizations.weight.original1": "weight_v"}  # fmt: skip
        tensors = load_file(path)
        for new, was in names.items():
            tensors = {key.replace(new, was): value for key, value in tensors.items()}
        assert any(key.endswith("conv.weight_g") for key in tensors)
        save_file(tensors, path)
    return load_module(row, open_checkpoint([path]), dtype=dtype, device=torch.device("cpu"))
