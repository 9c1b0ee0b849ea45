"""wav2vec 2.0: Baevski et al., 2020; XLSR-53 and XLS-R after it. No torch."""

from __future__ import annotations

from zoo.spec import Family, Paper
from zoo_audio.families.layouts import WAV2VEC2
from zoo_audio.families.rows import BASE, LARGE, PICKLE, STABLE_LARGE, waveform_model

FAMILY = Family(
    name="wav2vec2",
    title="wav2vec 2.0: A Framework for Self-Supervised Learning of Speech Representations",
    authors="Baevski, Alexei and Zhou, Henry and Mohamed, Abdelrahman and Auli, Michael",
    arxiv="2006.11477",
    year=2020,
    objective="contrastive over quantised latents of masked frames, LibriSpeech",
    license="apache-2.0",
    modality="audio",
    languages=("en",),
    keymaps=WAV2VEC2,
)

XLSR = Paper(
    title="Unsupervised Cross-lingual Representation Learning for Speech Recognition",
    authors="Conneau, Alexis and others",
    arxiv="2006.13979",
    year=2020,
)
XLS_R = Paper(
    title="XLS-R: Self-supervised Cross-lingual Speech Representation Learning at Scale",
    authors="Babu, Arun and others",
    arxiv="2111.09296",
    year=2021,
)

ROWS = (
    waveform_model(
        FAMILY,
        "wav2vec2-base",
        repo="facebook/wav2vec2-base",
        revision="0b5b8e868dd84f03fd87d01f9c4ff0f080fecfe8",
        files=("pytorch_model.bin",),
        config=BASE,
        params=94_370_944,
        aliases=("wav2vec2",),
        weights_note=PICKLE,
    ),
    waveform_model(
        FAMILY,
        "wav2vec2-base-960h",
        repo="facebook/wav2vec2-base-960h",
        revision="22aad52d435eb6dbaf354bdad9b0da84ce7d6156",
        config=BASE,
        params=94_370_944,
        objective="contrastive over quantised latents, then letters of LibriSpeech (CTC)",
    ),
    waveform_model(
        FAMILY,
        "wav2vec2-large",
        repo="facebook/wav2vec2-large",
        revision="312b2410566b698c7a649068d413b2067848bd75",
        config=LARGE,
        params=315_427_968,
    ),
    waveform_model(
        FAMILY,
        "wav2vec2-large-lv60",
        repo="facebook/wav2vec2-large-lv60",
        config=STABLE_LARGE,
        params=315_437_696,
        objective="contrastive over quantised latents of masked frames, Libri-Light",
    ),
    waveform_model(
        FAMILY,
        "wav2vec2-large-xlsr-53",
        repo="facebook/wav2vec2-large-xlsr-53",
        revision="c3f9d884181a224a6ac87bf8885c84d1cff3384f",
        config=STABLE_LARGE,
        params=315_437_696,
        objective="contrastive over quantised latents, 53 languages",
        languages=("multilingual",),
        papers=(XLSR,),
    ),
    waveform_model(
        FAMILY,
        "wav2vec2-xls-r-300m",
        repo="facebook/wav2vec2-xls-r-300m",
        revision="1a640f32ac3e39899438a2931f9924c02f080a54",
        config=STABLE_LARGE,
        params=315_437_696,
        objective="contrastive over quantised latents, 128 languages",
        languages=("multilingual",),
        papers=(XLS_R,),
    ),
)
