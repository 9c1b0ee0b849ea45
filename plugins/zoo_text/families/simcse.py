"""SimCSE: Gao et al., 2021. No torch."""

from __future__ import annotations

from dataclasses import replace

from zoo.spec import Family
from zoo_text.configs import Pooling
from zoo_text.families.layouts import BERT
from zoo_text.families.roberta import BYTE_PAIRS
from zoo_text.families.rows import BASE, LARGE, roberta, text_model

FAMILY = Family(
    name="simcse",
    title="SimCSE: Simple Contrastive Learning of Sentence Embeddings",
    authors="Gao, Tianyu and Yao, Xingcheng and Chen, Danqi",
    arxiv="2104.08821",
    year=2021,
    objective="contrastive, on natural-language inference",
    license="mit",
    modality="text",
    languages=("en",),
    keymaps=BERT,
)

# The authors keep the dense layer and tanh that the supervised models were trained with, and leave
# them out of the unsupervised one.
SUPERVISED: Pooling = "pooler"
UNSUPERVISED: Pooling = "cls"

LICENSE = "The repository states no licence; the authors' code is under MIT."

MODELS = (
    text_model(
        FAMILY,
        "simcse-sup-bert-base",
        repo="princeton-nlp/sup-simcse-bert-base-uncased",
        config=replace(BASE, pooling=SUPERVISED),
        params=109_482_240,
        note=LICENSE,
    ),
    text_model(
        FAMILY,
        "simcse-unsup-bert-base",
        repo="princeton-nlp/unsup-simcse-bert-base-uncased",
        config=replace(BASE, pooling=UNSUPERVISED),
        params=108_891_648,
        objective="contrastive, two dropout masks of one sentence of English Wikipedia",
        note=LICENSE,
    ),
    text_model(
        FAMILY,
        "simcse-sup-bert-large",
        repo="princeton-nlp/sup-simcse-bert-large-uncased",
        config=replace(LARGE, pooling=SUPERVISED),
        params=335_141_888,
        note=LICENSE,
    ),
    text_model(
        FAMILY,
        "simcse-sup-roberta-base",
        repo="princeton-nlp/sup-simcse-roberta-base",
        config=replace(roberta(BASE), pooling=SUPERVISED),
        params=124_645_632,
        tokenizer=BYTE_PAIRS,
        pad_id=1,
        note=LICENSE,
    ),
    text_model(
        FAMILY,
        "simcse-sup-roberta-large",
        repo="princeton-nlp/sup-simcse-roberta-large",
        config=replace(roberta(LARGE), pooling=SUPERVISED),
        params=355_359_744,
        tokenizer=BYTE_PAIRS,
        pad_id=1,
        note=LICENSE,
    ),
)
