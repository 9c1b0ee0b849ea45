"""XLM-RoBERTa: Conneau et al., 2019. No torch."""

from __future__ import annotations

from zoo.spec import Family
from zoo_text.families.layouts import BERT
from zoo_text.families.rows import BASE, LARGE, MEAN_BY_CHOICE, XLM_R_VOCAB, roberta, text_model

FAMILY = Family(
    name="xlm-roberta",
    title="Unsupervised Cross-lingual Representation Learning at Scale",
    authors="Conneau, Alexis and others",
    arxiv="1911.02116",
    year=2019,
    objective="masked tokens, CC-100 (100 languages)",
    license="mit",
    modality="text",
    languages=("multilingual",),
    keymaps=BERT,
)

# sentencepiece.bpe.model numbers its pieces one lower than the network does: tokenizer.json alone.
SENTENCE_PIECE = ("tokenizer.json",)

MODELS = (
    text_model(
        FAMILY,
        "xlm-roberta-base",
        repo="FacebookAI/xlm-roberta-base",
        revision="e73636d4f797dec63c3081bb6ed5c7b0bb3f2089",
        config=roberta(BASE, vocab=XLM_R_VOCAB),
        params=277_453_056,
        tokenizer=SENTENCE_PIECE,
        pad_id=1,
        note=MEAN_BY_CHOICE,
    ),
    text_model(
        FAMILY,
        "xlm-roberta-large",
        repo="FacebookAI/xlm-roberta-large",
        revision="c23d21b0620b635a76227c604d44e43a9f0ee389",
        config=roberta(LARGE, vocab=XLM_R_VOCAB),
        params=558_840_832,
        tokenizer=SENTENCE_PIECE,
        pad_id=1,
        note=MEAN_BY_CHOICE,
    ),
)
