"""DistilBERT: Sanh et al., 2019. No torch."""

from __future__ import annotations

from dataclasses import replace

from zoo.spec import Family
from zoo_text.families.layouts import DISTILBERT
from zoo_text.families.rows import BASE, MEAN_BY_CHOICE, text_model

FAMILY = Family(
    name="distilbert",
    title="DistilBERT, a distilled version of BERT: smaller, faster, cheaper and lighter",
    authors="Sanh, Victor and Debut, Lysandre and Chaumond, Julien and Wolf, Thomas",
    arxiv="1910.01108",
    year=2019,
    objective="distillation, masked tokens, cosine to the teacher; BookCorpus and English "
    "Wikipedia",
    license="apache-2.0",
    modality="text",
    languages=("en",),
    keymaps=DISTILBERT,
)

# Half of BERT's blocks and no token types.
HALF = replace(BASE, depth=6, type_vocab=0)

MODELS = (
    text_model(
        FAMILY,
        "distilbert-base-uncased",
        aliases=("distilbert-base",),
        repo="distilbert/distilbert-base-uncased",
        config=HALF,
        params=66_362_880,
        note=MEAN_BY_CHOICE,
    ),
    text_model(
        FAMILY,
        "distilbert-base-cased",
        repo="distilbert/distilbert-base-cased",
        config=replace(HALF, vocab=28996),
        params=65_190_912,
        lower=False,
        note=MEAN_BY_CHOICE,
    ),
    text_model(
        FAMILY,
        "distilbert-base-multilingual-cased",
        repo="distilbert/distilbert-base-multilingual-cased",
        config=replace(HALF, vocab=119547),
        params=134_734_080,
        lower=False,
        objective="distillation, masked tokens, cosine to the teacher; Wikipedia in 104 languages",
        languages=("multilingual",),
        note=MEAN_BY_CHOICE,
    ),
)
