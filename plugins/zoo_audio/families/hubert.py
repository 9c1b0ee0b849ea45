"""HuBERT: Hsu et al., 2021. No torch."""

from __future__ import annotations

from zoo.spec import Family
from zoo_audio.families.layouts import WAV2VEC2
from zoo_audio.families.rows import BASE, PICKLE, STABLE_LARGE, STABLE_XLARGE, waveform_model

FAMILY = Family(
    name="hubert",
    title="HuBERT: Self-Supervised Speech Representation Learning by Masked Prediction of Hidden "
    "Units",
    authors="Hsu, Wei-Ning and others",
    arxiv="2106.07447",
    year=2021,
    objective="masked prediction of k-means units, Libri-Light",
    license="apache-2.0",
    modality="audio",
    languages=("en",),
    keymaps=WAV2VEC2,
)

ROWS = (
    waveform_model(
        FAMILY,
        "hubert-base",
        repo="facebook/hubert-base-ls960",
        revision="dba3bb02fda4248b6e082697eee756de8fe8aa8a",
        files=("pytorch_model.bin",),
        config=BASE,
        params=94_370_944,
        objective="masked prediction of k-means units, LibriSpeech",
        aliases=("hubert",),
        weights_note=PICKLE,
    ),
    waveform_model(
        FAMILY,
        "hubert-large",
        repo="facebook/hubert-large-ll60k",
        config=STABLE_LARGE,
        params=315_437_696,
    ),
    waveform_model(
        FAMILY,
        "hubert-xlarge",
        repo="facebook/hubert-xlarge-ll60k",
        config=STABLE_XLARGE,
        params=962_496_128,
    ),
)
