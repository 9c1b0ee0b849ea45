"""The plugin's door: its rows, and the checkpoints that it recognises."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from zoo import hookimpl
from zoo.hookspecs import RepoFiles
from zoo.spec import ModelSpec
from zoo_text.families import (
    bert,
    bge,
    colbert,
    deberta,
    distilbert,
    e5,
    e5_mistral,
    electra,
    gte,
    modernbert,
    nomic,
    roberta,
    sentence_bert,
    simcse,
    static,
    t5,
    xlm_roberta,
    xlnet,
)

FAMILIES = (
    bert,
    bge,
    colbert,
    deberta,
    distilbert,
    e5,
    e5_mistral,
    electra,
    gte,
    modernbert,
    nomic,
    roberta,
    sentence_bert,
    simcse,
    static,
    t5,
    xlm_roberta,
    xlnet,
)


@hookimpl
def zoo_models() -> Iterable[ModelSpec]:
    """Return all rows of this package."""
    return [row for family in FAMILIES for row in family.MODELS]


@hookimpl
def zoo_checkpoint(files: RepoFiles) -> tuple[ModelSpec, ...] | None:
    """Recognise repositories of text encoders, with or without sentence-transformers' modules."""
    from zoo_text.checkpoint import recognise  # listing rows has no need of it

    return recognise(files)


@hookimpl
def zoo_weight_readers() -> Mapping[str, str]:
    """Return readers of files of word vectors."""
    return {
        ".vectors.npy": "zoo_text.readers.gensim:read_vectors",
        ".model": "zoo_text.readers.gensim:read_words",
        "/model.bin": "zoo_text.readers.fasttext:read_model",
    }
