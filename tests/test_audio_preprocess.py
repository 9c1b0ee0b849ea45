"""Sounds become what transformers makes of them, and batches that no neighbour changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from transformers import Wav2Vec2FeatureExtractor, WhisperFeatureExtractor

from tests.tiny_rows import tiny_row
from zoo import samples
from zoo.cli import main
from zoo.encoder import Encoder
from zoo.errors import InputError, OptionError
from zoo.loading import load_row
from zoo.preprocess import Ask, preprocessor_for
from zoo.preprocess.audio import AudioPreprocessor, log_mel, mel_filters
from zoo.preprocess.sound import open_sound
from zoo.records import from_plain, to_plain
from zoo.registry import default_registry
from zoo.spec import AudioPreprocess, ModelSpec
from zoo_export.binding import bind, profile_for

RATE = 16_000
# typed loosely: the reference is not
Whisper: Any = WhisperFeatureExtractor
Wav2Vec2: Any = Wav2Vec2FeatureExtractor
# transformers keeps the spectrum in complex64, ours is float64 up to the end; values are about 1
THEIR_FLOAT32 = 3e-7
# and in torch it computes everything in float32, which shows where a band is near the lower limit
THEIR_TORCH = 1e-4


def noise(samples: int, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal(samples)).astype(np.float32)


def vowels() -> NDArray[np.float32]:
    return open_sound(samples.sounds()[1], RATE, longest=10 * RATE)


SOUNDS = {
    "noise": noise(50_001),
    "vowels": vowels(),
    "silence": np.zeros(8_000, np.float32),
    "one sample": np.ones(1, np.float32),
    "longer than half a minute": noise(500_000),
    "silence, then a click": np.append(np.zeros(9_000), 0.9).astype(np.float32),
}


def made(row: ModelSpec) -> AudioPreprocessor:
    made = preprocessor_for(row)
    assert isinstance(made, AudioPreprocessor)
    return made


@pytest.fixture(scope="module")
def tiny_encoders() -> dict[str, Encoder]:
    return {name: load_row(tiny_row(name), weights="random", dtype="float64")
            for name in ("wav2vec2-base", "hubert-large", "whisper-base")}  # fmt: skip


@pytest.mark.parametrize("sound", SOUNDS.values(), ids=SOUNDS)
@pytest.mark.parametrize("name", ["whisper-base", "whisper-large-v3"])
def test_spectrograms_equal_whispers_feature_extractor(name: str, sound: Any) -> None:
    row = default_registry().row(name)
    recipe = row.preprocess
    assert isinstance(recipe, AudioPreprocess)
    theirs = Whisper(feature_size=recipe.mels)

    ours, _ = made(row).features((sound, RATE))

    assert ours.shape == (recipe.mels, 3000)
    in_torch = theirs(sound, sampling_rate=RATE, return_tensors="np").input_features[0]
    np.testing.assert_allclose(ours, in_torch, atol=THEIR_TORCH)
    padded = np.pad(sound[:480_000], (0, max(0, 480_000 - len(sound))))
    in_numpy = theirs._np_extract_fbank_features([padded], "cpu")[0]
    np.testing.assert_allclose(ours, in_numpy, atol=THEIR_FLOAT32)


@pytest.mark.parametrize("mels", [80, 128])
def test_mel_filters_equal_the_reference(mels: int) -> None:
    theirs = Whisper(feature_size=mels).mel_filters.T

    np.testing.assert_allclose(mel_filters(RATE, 400, mels), theirs, atol=1e-15)


def test_a_mel_scale_without_slaneys_line_would_differ() -> None:
    from transformers.audio_utils import mel_filter_bank

    htk = mel_filter_bank(201, 80, 0.0, 8000.0, RATE, norm="slaney", mel_scale="htk").T

    assert np.abs(mel_filters(RATE, 400, 80) - htk).max() > 1e-3


@pytest.mark.parametrize("sound", [SOUNDS["noise"], SOUNDS["vowels"], SOUNDS["silence"]])
def test_waveforms_have_the_bits_of_wav2vec2s_feature_extractor(sound: Any) -> None:
    theirs = Wav2Vec2(do_normalize=True)

    ours, real = made(default_registry().row("wav2vec2-base")).features((sound, RATE))

    assert real == len(sound)
    expected = theirs(sound, sampling_rate=RATE, return_tensors="np").input_values[0]
    np.testing.assert_array_equal(ours, expected)


def test_samples_left_as_they_are_would_be_another_input() -> None:
    """The Hub's configuration normalises for the base models too; torchaudio does not."""
    ours, _ = made(default_registry().row("hubert-base")).features((vowels(), RATE))

    assert ours.std() == pytest.approx(1.0, abs=1e-3)
    assert vowels().std() < 0.2


def test_padded_batches_equal_wav2vec2s_feature_extractor() -> None:
    sounds = [noise(5_000), noise(3_001, 1), noise(400, 2)]
    preprocessor = made(default_registry().row("hubert-large"))

    batch = preprocessor.collate([s for s in preprocessor.prepare([(x, RATE) for x in sounds])
                                  if not isinstance(s, InputError)])  # fmt: skip

    theirs = Wav2Vec2(return_attention_mask=True)(
        sounds, sampling_rate=RATE, padding=True, return_tensors="np"
    )
    np.testing.assert_array_equal(batch["waveform"], theirs.input_values)
    np.testing.assert_array_equal(batch["waveform_mask"], theirs.attention_mask)


@pytest.mark.parametrize(("samples", "frames"), [(1, 1), (320, 1), (321, 2), (480_000, 1500)])
def test_whispers_frames_are_counted_as_transformers_counts_them(samples: int, frames: int) -> None:
    preprocessor = made(default_registry().row("whisper-base"))

    (sample,) = preprocessor.prepare([(noise(samples), RATE)])

    assert not isinstance(sample, InputError)
    assert sample.arrays["frame_mask"].tolist() == [1] * frames + [0] * (1500 - frames)
    theirs = Whisper()(
        noise(samples), sampling_rate=RATE, return_tensors="np", return_attention_mask=True
    )
    assert (int(theirs.attention_mask.sum()) - 1) // 2 + 1 == frames


def test_a_vector_does_not_depend_on_what_else_is_in_the_batch(
    tiny_encoders: dict[str, Encoder],
) -> None:
    """For norms over time this holds only because lengths never mix, whatever is asked for."""
    lengths = (3_000, 700, 3_000, 5_001, 700, 400)
    sounds = [(noise(length, seed), RATE) for seed, length in enumerate(lengths)]
    for name, encoder in tiny_encoders.items():
        together = encoder.encode(sounds, batch_size=4)
        alone = np.stack([encoder.encode(sound) for sound in sounds])

        np.testing.assert_allclose(together, alone, rtol=1e-9, atol=1e-12, err_msg=name)


def test_frames_of_each_sound_come_without_padding(tiny_encoders: dict[str, Encoder]) -> None:
    sounds = [(noise(3_000), RATE), (noise(700), RATE)]

    shapes = {name: [t.shape[0] for t in encoder.encode(sounds, output="tokens")]
              for name, encoder in tiny_encoders.items()}  # fmt: skip

    assert shapes == {"wav2vec2-base": [9, 1], "hubert-large": [9, 1], "whisper-base": [10, 3]}


def test_lengths_that_must_not_mix_are_refused_in_one_batch(
    tiny_encoders: dict[str, Encoder],
) -> None:
    encoder = tiny_encoders["wav2vec2-base"]

    with pytest.raises(InputError, match="cannot share a batch"):
        encoder.preprocess([(noise(3_000), RATE), (noise(700), RATE)])
    assert encoder.preprocess([(noise(700), RATE)] * 2)["waveform"].shape == (2, 700)


def test_one_sound_gives_one_vector(tiny_encoders: dict[str, Encoder]) -> None:
    encoder = tiny_encoders["hubert-large"]
    path = samples.sounds()[1]

    expected = encoder.encode([path])[0]

    for item in (path, str(path), path.read_bytes(), (vowels(), RATE),
                 {"array": vowels(), "sampling_rate": RATE}):  # fmt: skip
        np.testing.assert_array_equal(encoder.encode(item), expected)


def test_silence_gives_numbers(tiny_encoders: dict[str, Encoder]) -> None:
    for encoder in tiny_encoders.values():
        assert np.isfinite(encoder.encode((np.zeros(4_000, np.float32), RATE))).all()


def test_a_sound_without_one_frame_is_refused(tiny_encoders: dict[str, Encoder]) -> None:
    sounds = [(noise(4_000), RATE), (noise(399), RATE)]

    with pytest.raises(InputError, match=r"Item 1: 24\.9 milliseconds are too short; .* needs 25"):
        tiny_encoders["wav2vec2-base"].encode(sounds)
    assert tiny_encoders["wav2vec2-base"].encode((noise(400), RATE)).shape == (32,)


def test_sounds_have_no_roles(tiny_encoders: dict[str, Encoder]) -> None:
    with pytest.raises(OptionError, match="no roles and no prompts"):
        tiny_encoders["whisper-base"].preprocessor.prepare([], Ask(role="query"))


def test_every_recipe_survives_json() -> None:
    for name in ("whisper-large-v3", "mms-300m"):
        recipe = default_registry().row(name).preprocess

        assert from_plain(AudioPreprocess, json.loads(json.dumps(to_plain(recipe))), "") == recipe


def test_the_spectrum_is_cut_off_eight_decades_below_the_loudest_band() -> None:
    recipe = AudioPreprocess(features="log_mel", length=RATE)

    found = log_mel(np.pad(vowels()[:8_000], (0, 8_000)), recipe)

    assert found.max() - found.min() == pytest.approx(2.0, abs=1e-6)


def test_sounds_are_embedded_from_a_folder(tmp_path: Path) -> None:
    out = tmp_path / "sounds.npy"
    folder = str(samples.sounds()[0].parent)

    code = main(["embed", "whisper-tiny", folder, "-o", str(out), "--weights", "random"])

    assert code == 0
    vectors = np.load(out)
    assert vectors.shape == (2, 384)
    encoder = load_row(default_registry().row("whisper-tiny"), weights="random")
    np.testing.assert_allclose(vectors, encoder.encode(samples.sounds()), atol=1e-6)


def test_an_export_says_how_long_a_sound_may_be() -> None:
    row = tiny_row("hubert-large")

    bound = bind(row, profile_for(row, length=(400, 800, 1_600)))

    recipe = bound.preprocess
    assert isinstance(recipe, AudioPreprocess)
    assert (recipe.shortest, recipe.longest) == (400, 1_600)
    assert [getattr(tensor.shape[1], "max", None) for tensor in bound.inputs] == [1_600, 1_600]
    with pytest.raises(InputError, match=r"0\.2 seconds are more than 0\.1"):
        made(bound).features((noise(3_200), RATE))
