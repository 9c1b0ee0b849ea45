"""How the facts of an encoder of sound become a row. No torch."""

from __future__ import annotations

from zoo.spec import (
    BATCH,
    AudioPreprocess,
    Dim,
    Family,
    ModelSpec,
    Paper,
    TensorSpec,
    WeightsSpec,
)
from zoo_audio.configs import Wav2Vec2Config, WhisperConfig

RATE = 16_000  # Hz, of all of them
LONGEST = 300 * RATE  # samples; the stem takes 20 MB a second
HALF_MINUTE = 30 * RATE  # samples

BASE = Wav2Vec2Config(width=768, depth=12, heads=12, hidden=3072)
LARGE = Wav2Vec2Config(width=1024, depth=24, heads=16, hidden=4096)
STABLE_LARGE = Wav2Vec2Config(
    width=1024, depth=24, heads=16, hidden=4096, stem_norm="layer", stem_bias=True, pre_norm=True
)
STABLE_XLARGE = Wav2Vec2Config(
    width=1280, depth=48, heads=16, hidden=5120, stem_norm="layer", stem_bias=True, pre_norm=True
)

MEAN = (
    "The vector is the mean of the last block's frames, over those that hear the sound and no "
    "padding; the authors define none."
)
ALONE = (
    " The stem's norm runs over time, so only sounds of equal length share a batch. Samples are "
    "brought to mean 0 and variance 1, as the Hub's configuration says; torchaudio leaves them as "
    "they are."
)
PICKLE = "At this commit there is a pickle alone."


def waveform_model(
    family: Family,
    name: str,
    *,
    repo: str,
    config: Wav2Vec2Config,
    params: int,
    revision: str | None = None,
    files: tuple[str, ...] = ("model.safetensors", "pytorch_model.bin"),
    aliases: tuple[str, ...] = (),
    license: str | None = None,
    objective: str | None = None,
    languages: tuple[str, ...] | None = None,
    papers: tuple[Paper, ...] = (),
    note: str = "",
    weights_note: str = "",
) -> ModelSpec:
    """Make the row of a repository whose network reads samples."""
    alone = config.stem_norm == "group"
    return family.model(
        name,
        config=config,
        weights=WeightsSpec(
            source=f"hf:{repo}",
            files=files,
            revision=revision,
            layout="transformers",
            note=weights_note,
        ),
        preprocess=AudioPreprocess(
            rate=RATE, shortest=config.shortest, longest=LONGEST, normalize=True
        ),
        inputs=waveform_inputs(config),
        params=params,
        aliases=aliases,
        license=license,
        objective=objective,
        languages=languages,
        papers=papers,
        note=" ".join(filter(None, (MEAN + (ALONE if alone else ""), note))),
        source=f"https://huggingface.co/{repo}/blob/{revision or 'main'}/config.json",
    )


def whisper_model(
    family: Family,
    name: str,
    *,
    repo: str,
    config: WhisperConfig,
    params: int,
    revision: str,
    objective: str | None = None,
    aliases: tuple[str, ...] = (),
) -> ModelSpec:
    """Make the row of a Whisper encoder."""
    return family.model(
        name,
        config=config,
        weights=WeightsSpec(source=f"hf:{repo}", revision=revision, layout="transformers"),
        preprocess=AudioPreprocess(
            rate=RATE, features="log_mel", length=HALF_MINUTE, mels=config.mels
        ),
        inputs=mel_inputs(config),
        params=params,
        objective=objective,
        aliases=aliases,
        note="The encoder alone. Every sound is cut to 30 seconds or filled up with silence, which "
        "is attended to, as in training. The vector is the mean of the frames that the sound "
        "reaches; the authors define none.",
        source=f"https://huggingface.co/{repo}/blob/{revision}/config.json",
    )


def waveform_inputs(config: Wav2Vec2Config) -> tuple[TensorSpec, ...]:
    """Return the inputs of a network that reads samples; without a mask where padding would harm.

    Where the stem's norm runs over time, padding would change every frame.
    """
    shortest = config.shortest
    samples = Dim(
        name="samples",
        min=shortest,
        typical=max(shortest, 5 * RATE),
        max=max(shortest, LONGEST),
    )
    alone = config.stem_norm == "group"
    waveform = TensorSpec(
        name="waveform",
        dtype="float32",
        shape=(BATCH, samples),
        padding="forbidden" if alone else "masked",
    )
    if alone:
        return (waveform,)
    mask = TensorSpec(
        name="waveform_mask",
        dtype="int64",
        shape=(BATCH, samples),
        padding="masked",
        skippable=True,
    )
    return (waveform, mask)


def mel_inputs(config: WhisperConfig) -> tuple[TensorSpec, ...]:
    """Return the inputs of a network that reads spectrograms of one length."""
    spectra = config.positions * config.stride
    return (
        TensorSpec(
            name="mel", dtype="float32", shape=(BATCH, config.mels, spectra), padding="fixed"
        ),
        TensorSpec(
            name="frame_mask",
            dtype="int64",
            shape=(BATCH, config.positions),
            padding="fixed",
            skippable=True,
        ),
    )
