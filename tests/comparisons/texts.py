"""Encoders of texts against transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

import zoo
from tests import bert_references, colbert_reference, text_kinds
from tests.comparisons.registry import compares
from tests.reference import relative_error
from zoo.spec import ModelSpec

LENGTHS = (1, 7, 24)


@compares("transformers", "bert", "bge", "bge-m3", "distilbert", "e5", "electra", "gte", "roberta",
          "sentence-bert", "simcse", "xlm-roberta")  # fmt: skip
def _berts(row: ModelSpec, folder: Path, dtype: torch.dtype) -> float:
    config: Any = row.config
    name = (
        "roberta" if config.position_offset
        else "electra" if config.embedding_width is not None
        else "bert" if config.type_vocab else "distilbert"
    )  # fmt: skip
    model = bert_references.reference(name, dtype=dtype)
    (spec,) = zoo.api.resolve(str(bert_references.save(model, folder)))
    worst = 0.0
    for length in LENGTHS:
        ids, mask = bert_references.ids_and_mask(bert_references.tiny(name), length)
        expected = model(input_ids=ids, attention_mask=mask).last_hidden_state
        encoder: Any = zoo.load(spec, dtype=dtype)
        ours = encoder({"input_ids": ids, "attention_mask": mask})
        worst = max(worst, relative_error(ours.tokens, expected))
    return worst


@compares("transformers", *(family for kind in text_kinds.KINDS.values()
                            for family in kind.families))  # fmt: skip
def _other_kinds(row: ModelSpec, folder: Path, dtype: torch.dtype) -> float:
    name = text_kinds.kind_of(row.family.name)
    kind = text_kinds.KINDS[name]
    model = text_kinds.reference(name, dtype=dtype)
    encoder = text_kinds.load(text_kinds.save(model, folder), dtype, pooling="mean")
    worst = 0.0
    for length in LENGTHS:
        ids, mask = text_kinds.ids_and_mask(kind.tiny, length)
        expected, ours = kind.run(model, ids, mask), text_kinds.run(encoder, ids, mask)
        real = mask[..., None].to(dtype)
        mean = (expected * real).sum(1) / real.sum(1)
        worst = max(
            worst,
            relative_error(ours.tokens * real, expected * real),
            relative_error(ours.pooled, mean),
        )
    return worst


@compares("transformers", "colbert")
def _colberts(row: ModelSpec, folder: Path, dtype: torch.dtype) -> float:
    colbert_reference.save(folder)
    encoder: Any = zoo.load(str(folder), dtype=dtype)
    batch = encoder.preprocess(colbert_reference.DOCUMENTS, role="document")
    kept = torch.from_numpy(batch["vector_mask"])[..., None]
    expected = colbert_reference.expected(folder, batch, dtype)
    return relative_error(encoder(batch).tokens, expected * kept)
