"""Tables of word vectors against sentence-transformers and gensim."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from gensim.models.fasttext import save_facebook_model

from tests import test_static
from tests.comparisons.registry import compares
from tests.reference import relative_error
from zoo.loading import load_row
from zoo.spec import ModelSpec

TEXT = "Cat sat on New_York sat"


@compares("sentence-transformers", "glove/sentence-transformers")
def _averages(row: ModelSpec, folder: Path, dtype: torch.dtype) -> float:
    model: Any = test_static.saved_average(folder)
    encoder = load_row(test_static.row_of(row.name, 13), weights=folder, dtype=dtype)
    table = model[0].emb_layer.weight.to(dtype).detach()
    means = [table[model[0].tokenizer.tokenize(text)].mean(dim=0) for text in test_static.TEXTS]
    return relative_error(encoder.encode(test_static.TEXTS), torch.stack(means))


@compares("gensim", "glove/gensim", "word2vec")
def _tables(row: ModelSpec, folder: Path, dtype: torch.dtype) -> float:
    vectors = test_static.keyed_vectors(test_static.WORDS)
    (table,) = row.weights.files
    vectors.save(str(folder / table.removesuffix(".vectors.npy")), separately=["vectors"])
    row = test_static.row_of(row.name, len(test_static.WORDS))
    found = load_row(row, weights=folder, dtype=dtype).encode(TEXT)
    return relative_error(found, vectors[TEXT.split()].astype(np.float64).mean(axis=0))


@compares("gensim", "fasttext")
def _sequences_of_letters(row: ModelSpec, folder: Path, dtype: torch.dtype) -> float:
    model = test_static.trained()
    save_facebook_model(model, str(folder / "model.bin"))
    words = ["photograph", "unheardof", *model.wv.index_to_key[3:9]]
    encoder = test_static.fasttext_encoder(model, folder, str(dtype).removeprefix("torch."))
    vectors = [test_static.exact_word(model, word) for word in words]
    directions = [vector / np.linalg.norm(vector) for vector in vectors]
    return relative_error(encoder.encode(" ".join(words)), np.mean(directions, axis=0))
