"""A folder of wav2vec 2.0, HuBERT, data2vec or Whisper is loaded by its files, or refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import Wav2Vec2FeatureExtractor, WhisperFeatureExtractor

import zoo
from tests.audio_reference import encoder_of, reference
from tests.reference import FLOAT64, relative_error
from tests.tiny_rows import tiny_row
from zoo.encoder import Encoder
from zoo.errors import FormatError, UnsupportedCheckpointError, WeightsError
from zoo.registry import default_registry
from zoo.spec import AudioPreprocess

RATE = 16_000
SOUND = (0.1 * np.random.default_rng(0).standard_normal(6_000)).astype(np.float32)


def saved(name: str, folder: Path, *, headed: bool = True, **processor: Any) -> Any:
    """Save a tiny reference with its feature extractor; return it."""
    model: Any = reference(tiny_row(name), headed=headed)
    model.save_pretrained(folder)
    made: Any = WhisperFeatureExtractor if name.startswith("whisper") else Wav2Vec2FeatureExtractor
    made(**processor).save_pretrained(folder)
    return model


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize(
    "name", ["wav2vec2-base", "hubert-base", "hubert-large", "data2vec-audio-base"]
)
def test_a_folder_of_waveforms_equals_the_reference(
    name: str, normalize: bool, tmp_path: Path
) -> None:
    model = saved(name, tmp_path, do_normalize=normalize)
    theirs: Any = Wav2Vec2FeatureExtractor.from_pretrained(tmp_path)

    encoder = zoo.load(str(tmp_path), dtype="float64")

    assert isinstance(encoder, Encoder)
    assert encoder.spec.inputs == tuple(
        replace(tensor, shape=other.shape)
        for tensor, other in zip(tiny_row(name).inputs, encoder.spec.inputs, strict=True)
    )
    values = theirs(SOUND, sampling_rate=RATE, return_tensors="pt").input_values
    with torch.no_grad():
        expected = encoder_of(model)(values.double()).last_hidden_state[0]
    assert relative_error(encoder.encode((SOUND, RATE), output="tokens"), expected) <= FLOAT64


def test_a_folder_of_whisper_equals_the_reference(tmp_path: Path) -> None:
    model = saved("whisper-base", tmp_path, feature_size=8)

    encoder = zoo.load(str(tmp_path), dtype="float64")

    assert isinstance(encoder, Encoder)
    recipe = encoder.spec.preprocess
    assert isinstance(recipe, AudioPreprocess)
    assert recipe.length == 20 * 2 * 160  # of the network's positions, not of thirty seconds
    mel = encoder.preprocess((SOUND, RATE))["mel"]
    with torch.no_grad():
        expected = encoder_of(model)(torch.from_numpy(mel).double()).last_hidden_state[0]
    frames = -(-len(SOUND) // 320)
    found = encoder.encode((SOUND, RATE), output="tokens")
    assert relative_error(found, expected[:frames]) <= FLOAT64


@pytest.mark.parametrize(
    "row", [r for r in default_registry() if r.modality == "audio"], ids=lambda row: row.name
)
def test_a_config_counts_its_parameters(row: Any) -> None:
    assert row.config.params == row.params
    assert row.config.tiny().params == sum(
        p.numel() for p in row.config.tiny().build().parameters()
    )


REFUSED = {
    "an adapter": ("hubert-large", {"adapter_attn_dim": 16}, "adapter_attn_dim = '16'"),
    "a batch norm": ("hubert-base", {"conv_pos_batch_norm": True}, "conv_pos_batch_norm = 'True'"),
    "another activation": ("wav2vec2-base", {"hidden_act": "relu"}, "hidden_act = 'relu'"),
    "uneven channels": ("wav2vec2-base", {"conv_dim": [8, 8, 8, 8, 8, 8, 16]}, "channels"),
    "odd heads": ("wav2vec2-base", {"num_attention_heads": 5}, "5 does not divide"),
    "another stem": ("wav2vec2-base", {"conv_kernel": [10, 3]}, "conv_kernel"),
    "no number": ("hubert-base", {"hidden_size": "wide"}, "hidden_size"),
}


@pytest.mark.parametrize(("name", "change", "match"), REFUSED.values(), ids=REFUSED)
def test_what_the_networks_do_not_compute_is_refused(
    name: str, change: dict[str, Any], match: str, tmp_path: Path
) -> None:
    saved(name, tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))

    with pytest.raises((UnsupportedCheckpointError, FormatError), match=match):
        zoo.resolve(str(tmp_path))


def test_other_spectrograms_than_whispers_are_refused(tmp_path: Path) -> None:
    saved("whisper-base", tmp_path, feature_size=8, hop_length=200)

    with pytest.raises(UnsupportedCheckpointError, match="hop_length = '200'"):
        zoo.resolve(str(tmp_path))


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    saved("hubert-base", tmp_path)
    (tmp_path / "model.safetensors").unlink()

    with pytest.raises(WeightsError, match="neither safetensors nor PyTorch weights"):
        zoo.resolve(str(tmp_path))
