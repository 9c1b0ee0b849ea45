"""Whisper: Radford et al., 2022. No torch."""

from __future__ import annotations

from zoo.spec import Family
from zoo_audio.configs import WhisperConfig
from zoo_audio.families.layouts import WHISPER
from zoo_audio.families.rows import whisper_model

FAMILY = Family(
    name="whisper",
    title="Robust Speech Recognition via Large-Scale Weak Supervision",
    authors="Radford, Alec and others",
    arxiv="2212.04356",
    year=2022,
    objective="transcription and translation of 680,000 hours of labelled speech",
    license="apache-2.0",
    modality="audio",
    languages=("multilingual",),
    keymaps=WHISPER,
)


def _config(width: int, depth: int, heads: int, mels: int = 80) -> WhisperConfig:
    return WhisperConfig(width=width, depth=depth, heads=heads, hidden=4 * width, mels=mels)


ROWS = (
    whisper_model(
        FAMILY,
        "whisper-tiny",
        repo="openai/whisper-tiny",
        revision="169d4a4341b33bc18d8881c4b69c2e104e1cc0af",
        config=_config(384, 4, 6),
        params=8_208_384,
    ),
    whisper_model(
        FAMILY,
        "whisper-base",
        repo="openai/whisper-base",
        revision="e37978b90ca9030d5170a5c07aadb050351a65bb",
        config=_config(512, 6, 8),
        params=20_590_592,
        aliases=("whisper",),
    ),
    whisper_model(
        FAMILY,
        "whisper-small",
        repo="openai/whisper-small",
        revision="973afd24965f72e36ca33b3055d56a652f456b4d",
        config=_config(768, 12, 12),
        params=88_154_112,
    ),
    whisper_model(
        FAMILY,
        "whisper-medium",
        repo="openai/whisper-medium",
        revision="abdf7c39ab9d0397620ccaea8974cc764cd0953e",
        config=_config(1024, 24, 16),
        params=307_216_384,
    ),
    whisper_model(
        FAMILY,
        "whisper-large-v3",
        repo="openai/whisper-large-v3",
        revision="06f233fe06e710322aca913c1bc4249a0d71fce1",
        config=_config(1280, 32, 20, mels=128),
        params=636_968_960,
        objective="transcription and translation of a million hours of labelled speech, and of "
        "four million that whisper-large-v2 labelled",
    ),
)
