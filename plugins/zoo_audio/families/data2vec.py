"""data2vec for speech: Baevski et al., 2022. No torch."""

from __future__ import annotations

from zoo.spec import Family
from zoo_audio.configs import Wav2Vec2Config
from zoo_audio.families.layouts import WAV2VEC2
from zoo_audio.families.rows import waveform_model

FAMILY = Family(
    name="data2vec-audio",
    title="data2vec: A General Framework for Self-supervised Learning in Speech, Vision and "
    "Language",
    authors="Baevski, Alexei and others",
    arxiv="2202.03555",
    year=2022,
    objective="masked prediction of a teacher's features, LibriSpeech",
    license="apache-2.0",
    modality="audio",
    languages=("en",),
    keymaps=WAV2VEC2,
)

ROWS = (
    waveform_model(
        FAMILY,
        "data2vec-audio-base",
        repo="facebook/data2vec-audio-base",
        config=Wav2Vec2Config(
            width=768,
            depth=12,
            heads=12,
            hidden=3072,
            stem_norm="layer",
            position_depth=5,
            position_kernel=19,
        ),
        params=93_163_520,
        aliases=("data2vec-audio",),
        note="What fills up a sound in a batch is kept silent through all convolutions of "
        "positions, so that a vector does not depend on its batch; transformers silences it before "
        "the first alone, and gives shorter sounds of a batch other vectors.",
        weights_note="The repository had a pickle alone, no safetensors, when its pages were read.",
    ),
)
