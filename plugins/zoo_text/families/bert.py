"""BERT: Devlin et al., 2018; English and multilingual. No torch."""

from __future__ import annotations

from dataclasses import replace

from zoo.spec import Family
from zoo_text.families.layouts import BERT
from zoo_text.families.rows import BASE, LARGE, MEAN_BY_CHOICE, text_model

FAMILY = Family(
    name="bert",
    title="BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding",
    authors="Devlin, Jacob and Chang, Ming-Wei and Lee, Kenton and Toutanova, Kristina",
    arxiv="1810.04805",
    year=2018,
    objective="masked tokens and next sentence, BookCorpus and English Wikipedia",
    license="apache-2.0",
    modality="text",
    languages=("en",),
    keymaps=BERT,
)

MODELS = (
    text_model(
        FAMILY,
        "bert-base-uncased",
        aliases=("bert-base",),
        repo="google-bert/bert-base-uncased",
        config=BASE,
        params=108_891_648,
        note=MEAN_BY_CHOICE,
    ),
    text_model(
        FAMILY,
        "bert-base-cased",
        repo="google-bert/bert-base-cased",
        config=replace(BASE, vocab=28996),
        params=107_719_680,
        lower=False,
        note=MEAN_BY_CHOICE,
    ),
    text_model(
        FAMILY,
        "bert-large-uncased",
        aliases=("bert-large",),
        repo="google-bert/bert-large-uncased",
        config=LARGE,
        params=334_092_288,
        note=MEAN_BY_CHOICE,
    ),
    text_model(
        FAMILY,
        "mbert-base-cased",
        aliases=("bert-base-multilingual-cased",),
        repo="google-bert/bert-base-multilingual-cased",
        config=replace(BASE, vocab=119547),
        params=177_262_848,
        lower=False,
        objective="masked tokens and next sentence, Wikipedia in 104 languages",
        languages=("multilingual",),
        note=MEAN_BY_CHOICE,
    ),
)
