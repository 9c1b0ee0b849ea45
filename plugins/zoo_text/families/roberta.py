"""RoBERTa: Liu et al., 2019, and its distilled half. No torch."""

from __future__ import annotations

from dataclasses import replace

from zoo.spec import Family
from zoo_text.families import distilbert
from zoo_text.families.layouts import BERT
from zoo_text.families.rows import BASE, LARGE, MEAN_BY_CHOICE, roberta, text_model

FAMILY = Family(
    name="roberta",
    title="RoBERTa: A Robustly Optimized BERT Pretraining Approach",
    authors="Liu, Yinhan and others",
    arxiv="1907.11692",
    year=2019,
    objective="masked tokens, masked anew each time; BookCorpus, English Wikipedia, news and web "
    "pages",
    license="mit",
    modality="text",
    languages=("en",),
    keymaps=BERT,
)

# Byte-level pairs; every repository has the two older files, not every one has tokenizer.json.
BYTE_PAIRS = ("tokenizer.json", "vocab.json")

MODELS = (
    text_model(
        FAMILY,
        "roberta-base",
        repo="FacebookAI/roberta-base",
        config=roberta(BASE),
        params=124_055_040,
        tokenizer=BYTE_PAIRS,
        pad_id=1,
        note=MEAN_BY_CHOICE,
    ),
    text_model(
        FAMILY,
        "roberta-large",
        repo="FacebookAI/roberta-large",
        config=roberta(LARGE),
        params=354_310_144,
        tokenizer=BYTE_PAIRS,
        pad_id=1,
        note=MEAN_BY_CHOICE,
    ),
    text_model(
        FAMILY,
        "distilroberta-base",
        repo="distilbert/distilroberta-base",
        config=replace(roberta(BASE), depth=6),
        params=81_527_808,
        tokenizer=BYTE_PAIRS,
        pad_id=1,
        license="apache-2.0",
        objective="distillation from roberta-base, masked tokens, OpenWebText",
        papers=(distilbert.FAMILY.paper,),
        note=MEAN_BY_CHOICE,
    ),
)
