"""ColBERT: Khattab and Zaharia, 2020; ColBERTv2: Santhanam et al., 2021. No torch.

Marks, filling and what is skipped follow the authors' code (github.com/stanford-futuredata/ColBERT,
colbert/modeling/tokenization and colbert/modeling/colbert.py).
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import replace

from zoo.keys import move
from zoo.spec import Family, Role
from zoo_text.configs import BertConfig, DenseHead
from zoo_text.families.layouts import BERT
from zoo_text.families.rows import BASE, MINI, text_model

KEYMAPS = tuple(
    replace(
        layout,
        name=f"ColBERT over {layout.name}",
        rules=(move("linear.weight", "dense.0.weight"), *layout.rules),
    )
    for layout in BERT
)

FAMILY = Family(
    name="colbert",
    title="ColBERTv2: Effective and Efficient Retrieval via Lightweight Late Interaction",
    authors="Santhanam, Keshav and others",
    arxiv="2112.01488",
    year=2021,
    objective="distillation from a cross-encoder, on MS MARCO with denoised hard negatives",
    license="mit",
    modality="text",
    languages=("en",),
    keymaps=KEYMAPS,
)

QUERY_LENGTH = 32  # tokens, marks included
# Without a role a text is a document: it is not filled up, and stands for itself.
DEFAULT = "document"


def several(config: BertConfig, width: int) -> BertConfig:
    """Return a body that gives each token a unit vector of some width."""
    head = DenseHead(width=width, bias=False, activation="none")
    return replace(config, pooling="none", dense=(head,), normalize=True)


def colbert_roles(
    *,
    query_length: int = QUERY_LENGTH,
    document_length: int,
    query_mark: str = "[unused0]",
    document_mark: str = "[unused1]",
    fill: str = "[MASK]",
    skip: str = string.punctuation,
) -> Mapping[str, Role]:
    """Return how queries and documents are prepared.

    Queries are filled up with [MASK], which nothing attends to but which gives vectors; documents
    lose the vectors of punctuation.
    """
    return {
        "query": Role(max_length=query_length, marker=query_mark, fill=fill),
        "document": Role(max_length=document_length, marker=document_mark, skip=skip),
    }


NOTE = (
    "One vector a token: encode gives a list of arrays, to be compared by zoo.maxsim. "
    'role="query" and role="document" are prepared differently; a text without a role is a '
    "document."
)

MODELS = (
    text_model(
        FAMILY,
        "colbertv2",
        aliases=("colbert",),
        repo="colbert-ir/colbertv2.0",
        revision="c1e84128e85ef755c096a95bdb06b47793b13acf",
        config=several(BASE, 128),
        params=108_989_952,
        roles=colbert_roles(document_length=180),
        default_role=DEFAULT,
        note=NOTE,
    ),
    text_model(
        FAMILY,
        "answerai-colbert-small-v1",
        aliases=("answerai-colbert-small",),
        repo="answerdotai/answerai-colbert-small-v1",
        config=several(MINI, 96),
        params=33_249_024,
        roles=colbert_roles(document_length=512),
        default_role=DEFAULT,
        license="apache-2.0",
        year=2024,
        objective="distillation from several cross-encoders",
        note=NOTE,
    ),
)
