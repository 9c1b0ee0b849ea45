"""MMS: Pratap et al., 2023. No torch."""

from __future__ import annotations

from zoo.spec import Family
from zoo_audio.families.layouts import WAV2VEC2
from zoo_audio.families.rows import PICKLE, STABLE_LARGE, STABLE_XLARGE, waveform_model

FAMILY = Family(
    name="mms",
    title="Scaling Speech Technology to 1,000+ Languages",
    authors="Pratap, Vineel and others",
    arxiv="2305.13516",
    year=2023,
    objective="contrastive over quantised latents, 1,400 languages",
    license="cc-by-nc-4.0",
    modality="audio",
    languages=("multilingual",),
    keymaps=WAV2VEC2,
)

ROWS = (
    waveform_model(
        FAMILY,
        "mms-300m",
        repo="facebook/mms-300m",
        revision="4ee317ce793c53dbc041fc4376c7558292dd38dc",
        files=("pytorch_model.bin",),
        config=STABLE_LARGE,
        params=315_437_696,
        aliases=("mms",),
        weights_note=PICKLE,
    ),
    waveform_model(
        FAMILY,
        "mms-1b",
        repo="facebook/mms-1b",
        config=STABLE_XLARGE,
        params=962_496_128,
    ),
)
