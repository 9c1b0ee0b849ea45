"""BGE: Xiao et al., 2023, and M3: Chen et al., 2024. No torch."""

from __future__ import annotations

from dataclasses import replace

from zoo.spec import Family, Role
from zoo_text.families.layouts import BERT
from zoo_text.families.rows import BASE, LARGE, MINI, XLM_R_VOCAB, roberta, text_model
from zoo_text.families.xlm_roberta import SENTENCE_PIECE

FAMILY = Family(
    name="bge",
    title="C-Pack: Packed Resources For General Chinese Embeddings",
    authors="Xiao, Shitao and others",
    arxiv="2309.07597",
    year=2023,
    objective="RetroMAE, then contrastive, then fine-tuned",
    license="mit",
    modality="text",
    languages=("en",),
    keymaps=BERT,
)

M3 = replace(
    FAMILY,
    name="bge-m3",
    title="BGE M3-Embedding: Multi-Lingual, Multi-Functionality, Multi-Granularity Text Embeddings "
    "Through Self-Knowledge Distillation",
    authors="Chen, Jianlv and others",
    arxiv="2402.03216",
    year=2024,
    objective="contrastive, three outputs teaching one another",
    languages=("multilingual",),
)

ROLES = {
    "query": Role(prompt="Represent this sentence for searching relevant passages: "),
    "document": Role(),
}

MODELS = (
    text_model(
        FAMILY,
        "bge-small-en-v1.5",
        repo="BAAI/bge-small-en-v1.5",
        revision="5c38ec7c405ec4b44b94cc5a9bb96e735b38267a",
        config=replace(MINI, pooling="cls", normalize=True),
        params=33_212_160,
        roles=ROLES,
    ),
    text_model(
        FAMILY,
        "bge-base-en-v1.5",
        repo="BAAI/bge-base-en-v1.5",
        revision="a5beb1e3e68b9ab74eb54cfd186867f64f240e1a",
        config=replace(BASE, pooling="cls", normalize=True),
        params=108_891_648,
        roles=ROLES,
    ),
    text_model(
        FAMILY,
        "bge-large-en-v1.5",
        repo="BAAI/bge-large-en-v1.5",
        revision="d4aa6901d3a41ba39fb536a557fa166f842b0e09",
        config=replace(LARGE, pooling="cls", normalize=True),
        params=334_092_288,
        roles=ROLES,
    ),
    text_model(
        M3,
        "bge-m3",
        repo="BAAI/bge-m3",
        revision="5617a9f61b028005a4858fdac845db406aefb181",
        config=replace(
            roberta(LARGE, vocab=XLM_R_VOCAB), max_positions=8194, pooling="cls", normalize=True
        ),
        params=566_705_152,
        tokenizer=SENTENCE_PIECE,
        max_length=8192,
        pad_id=1,
        note="The dense vector; the sparse and the multi-vector head are not part of this row.",
        weights_note="This commit has no safetensors file; the .bin is loaded.",
    ),
)
