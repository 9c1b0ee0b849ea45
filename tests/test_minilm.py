"""The real all-MiniLM-L6-v2 gives the published numbers and those of sentence-transformers."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import zoo
from tests.minilm import minilm as minilm
from zoo.encoder import Encoder

pytestmark = pytest.mark.weights

PUBLISHED = ("This is an example sentence", "Each sentence is converted")
COSINE = 0.404559
# Of one component of a unit vector, in float32: sums in another order.
LARGEST_DIFFERENCE = 1e-6

ODD_WORDS = (
    *(
        "na\u00efve",
        "\u00c5ngstr\u00f6m",
        "stra\u00dfe",
        "e\u0301clair",
        "\uff26\uff35\uff2c\uff2c",
    ),
    *("\u4f60\u597d", "\u65e5\u672c\u8a9e", "\u0645\u0631\u062d\u0628\u0627"),
    *(
        "\u041f\u0440\u0438\u0432\u0435\u0442",
        "\U0001f600",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    ),
    *("3.14159", "http://example.com/?q=1", "[SEP]", "C++", "o'clock,"),
    "antidisestablishmentarianism",
)


def load(minilm: Path, **options: Any) -> Encoder:
    encoder = zoo.load("all-minilm-l6-v2", weights=minilm, **options)
    assert isinstance(encoder, Encoder)
    return encoder


@cache
def sentences(vocab: Path, count: int = 1000, seed: int = 0) -> list[str]:
    """Return sentences of 1 to 400 words, short ones more often, one word in thirty an odd one."""
    draw = random.Random(seed)
    words = [word for word in vocab.read_text(encoding="utf-8").split("\n") if word.isalpha()]
    found = []
    for index in range(count):
        length = round(400 ** (index / (count - 1)))
        chosen = [
            draw.choice(ODD_WORDS if draw.random() < 1 / 30 else words) for _ in range(length)
        ]
        found.append(" ".join(chosen))
    draw.shuffle(found)
    return found


def largest_difference(one: NDArray[Any], other: NDArray[Any]) -> float:
    assert one.shape == other.shape
    return float(np.abs(one - other).max())


def test_the_published_cosine(minilm: Path) -> None:
    one, other = load(minilm).encode(list(PUBLISHED))

    assert round(float(one @ other), 6) == COSINE


def test_a_thousand_sentences_equal_sentence_transformers(minilm: Path) -> None:
    from sentence_transformers import SentenceTransformer

    texts = sentences(minilm / "vocab.txt")
    assert {len(text.split()) for text in texts} >= {1, 400}

    ours = load(minilm).encode(texts)
    theirs = SentenceTransformer(str(minilm), device="cpu").encode(texts, batch_size=32)

    assert ours.dtype == np.float32
    assert largest_difference(ours, theirs) <= LARGEST_DIFFERENCE


def test_the_folder_alone_gives_the_rows_vectors(minilm: Path) -> None:
    texts = sentences(minilm / "vocab.txt")[:30]
    folder = zoo.load(str(minilm))
    assert isinstance(folder, Encoder)

    assert largest_difference(folder.encode(texts), load(minilm).encode(texts)) == 0.0


def test_word_pieces_of_vocab_txt_are_those_of_tokenizer_json(minilm: Path) -> None:
    from zoo.preprocess import Sample
    from zoo.preprocess.text import TextPreprocessor
    from zoo.spec import TextPreprocess

    recipe = TextPreprocess(max_length=256)
    texts = sentences(minilm / "vocab.txt")
    rows = []
    for name in ("tokenizer.json", "vocab.txt"):
        samples = TextPreprocessor(recipe, minilm / name).prepare(texts)
        rows.append([s.arrays["input_ids"].tolist() for s in samples if isinstance(s, Sample)])

    assert len(rows[0]) == len(texts)
    assert rows[0] == rows[1]


def test_a_vector_does_not_depend_on_its_batch(minilm: Path) -> None:
    encoder = load(minilm)
    texts = sentences(minilm / "vocab.txt")[:40]

    alone = np.stack([encoder.encode(text) for text in texts])

    assert largest_difference(encoder.encode(texts), alone) <= LARGEST_DIFFERENCE
    assert largest_difference(encoder.encode(texts, batch_size=7), alone) <= LARGEST_DIFFERENCE


def test_bfloat16_points_the_same_way(minilm: Path) -> None:
    texts = sentences(minilm / "vocab.txt")[:60]

    half = load(minilm, dtype="bfloat16").encode(texts)
    full = load(minilm).encode(texts)

    assert half.dtype == np.float32
    assert ((half * full).sum(1) / np.linalg.norm(half, axis=1)).min() > 0.999
