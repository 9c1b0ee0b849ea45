"""Sentence-BERT: Reimers and Gurevych, 2019, and the library's own later models. No torch."""

from __future__ import annotations

from dataclasses import replace

from zoo.spec import Family, Paper
from zoo_text.families.layouts import BERT
from zoo_text.families.roberta import BYTE_PAIRS
from zoo_text.families.rows import BASE, LARGE, MINI, roberta, text_model
from zoo_text.families.xlm_roberta import SENTENCE_PIECE

FAMILY = Family(
    name="sentence-bert",
    title="Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks",
    authors="Reimers, Nils and Gurevych, Iryna",
    arxiv="1908.10084",
    year=2019,
    objective="contrastive, on a billion pairs",
    license="apache-2.0",
    modality="text",
    languages=("en",),
    keymaps=BERT,
)

MODELS = (
    text_model(
        FAMILY,
        "all-minilm-l6-v2",
        aliases=("all-minilm",),
        repo="sentence-transformers/all-MiniLM-L6-v2",
        revision="1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
        sha256={
            "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
        },
        config=replace(MINI, depth=6, normalize=True),
        params=22_565_376,
        max_length=256,
        year=2021,
        note="Its tokenizer.json cuts and pads to 128 tokens; the model's own length is 256.",
    ),
    text_model(
        FAMILY,
        "all-minilm-l12-v2",
        repo="sentence-transformers/all-MiniLM-L12-v2",
        revision="364dd28d28dcd3359b537f3cf1f5348ba679da62",
        config=replace(MINI, normalize=True),
        params=33_212_160,
        max_length=128,
        year=2021,
    ),
    text_model(
        FAMILY,
        "all-distilroberta-v1",
        repo="sentence-transformers/all-distilroberta-v1",
        config=replace(roberta(BASE), depth=6, normalize=True),
        params=81_527_808,
        tokenizer=BYTE_PAIRS,
        pad_id=1,
        year=2021,
    ),
    text_model(
        FAMILY,
        "all-roberta-large-v1",
        repo="sentence-transformers/all-roberta-large-v1",
        config=replace(roberta(LARGE), normalize=True),
        params=354_310_144,
        tokenizer=BYTE_PAIRS,
        max_length=256,
        pad_id=1,
        year=2021,
    ),
    text_model(
        FAMILY,
        "paraphrase-multilingual-minilm-l12-v2",
        repo="sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
        revision="e8f8c211226b894fcb81acc59f3b34ba3efd5f42",
        config=replace(MINI, vocab=250037),
        params=117_505_920,
        tokenizer=SENTENCE_PIECE,
        max_length=128,
        pad_id=1,
        objective="distillation to 50 languages, paraphrases",
        languages=("multilingual",),
        papers=(
            Paper(
                title="Making Monolingual Sentence Embeddings Multilingual using Knowledge "
                "Distillation",
                authors="Reimers, Nils and Gurevych, Iryna",
                arxiv="2004.09813",
                year=2020,
            ),
        ),
        year=2020,
        note="BERT's body with XLM-R's pieces; the vector is not scaled to unit norm.",
    ),
    text_model(
        FAMILY,
        "sbert-bert-base-nli-mean",
        repo="sentence-transformers/bert-base-nli-mean-tokens",
        config=BASE,
        params=108_891_648,
        max_length=128,
        objective="natural-language inference",
        note="The paper's own model; its authors have better ones today.",
    ),
)
