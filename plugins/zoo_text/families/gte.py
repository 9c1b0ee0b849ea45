"""GTE, first version: Li et al., 2023. No torch."""

from __future__ import annotations

from dataclasses import replace

from zoo.spec import Family
from zoo_text.families.layouts import BERT
from zoo_text.families.rows import BASE, LARGE, MINI, text_model

FAMILY = Family(
    name="gte",
    title="Towards General Text Embeddings with Multi-stage Contrastive Learning",
    authors="Li, Zehan and others",
    arxiv="2308.03281",
    year=2023,
    objective="contrastive, in several stages",
    license="mit",
    modality="text",
    languages=("en",),
    keymaps=BERT,
)

HALF_PRECISION = "float16 on disk; computed in the dtype that is asked for"

MODELS = (
    text_model(
        FAMILY,
        "gte-small",
        repo="thenlper/gte-small",
        revision="17e1f347d17fe144873b1201da91788898c639cd",
        config=replace(MINI, normalize=True),
        params=33_212_160,
        weights_note=HALF_PRECISION,
    ),
    text_model(
        FAMILY,
        "gte-base",
        repo="thenlper/gte-base",
        revision="c078288308d8dee004ab72c6191778064285ec0c",
        config=replace(BASE, normalize=True),
        params=108_891_648,
        weights_note=HALF_PRECISION,
    ),
    text_model(
        FAMILY,
        "gte-large",
        repo="thenlper/gte-large",
        revision="4bef63f39fcc5e2d6b0aae83089f307af4970164",
        config=replace(LARGE, normalize=True),
        params=334_092_288,
        weights_note=HALF_PRECISION,
    ),
)
