"""Broken tokenizer and config files: a ZooError or a right answer, in bounded time and memory."""

from __future__ import annotations

import copy
import json
import random
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

import zoo
from tests.bert_references import reference, save, write_vocab
from tests.test_text_preprocess import byte_pairs, sentence_piece
from zoo.encoder import Encoder
from zoo.errors import InputError, ZooError
from zoo.preprocess.text import TextPreprocessor
from zoo.preprocess.tokenizer import read_tokenizer
from zoo.spec import TextPreprocess

CASES = 100  # of each file
SECONDS = 5.0  # of the processor, for one case; the slowest takes a hundredth of that
MEGABYTES = 400  # by which a whole run may grow

TEXTS = ["a bad cab", "", "caf\u00e9 \U0001f600 \u4f60\u597d", "x" * 200, "word " * 50]
VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 3, 2**31, 2**64, 10**30, -0.5, 1e308, float("nan"),
    "", "a", "gelu", "\ud800", "../../etc/passwd", "[CLS]", [], {}, [[]], [1, 2], ["a"], {"a": 1},
    {"type": "Sequence"},
)  # fmt: skip


def mutated(text: str, draw: random.Random) -> str:
    """Return a JSON text with one to three things wrong with it."""
    if draw.random() < 0.25:
        return _bytes_changed(text, draw)
    tree = json.loads(text)
    for _ in range(draw.randint(1, 3)):
        tree = _tree_changed(tree, draw)
    return json.dumps(tree)


def _bytes_changed(text: str, draw: random.Random) -> str:
    place = draw.randrange(len(text))
    return draw.choice(
        [
            text[:place],
            text[:place] + draw.choice('{}[]",:0a\\\n') + text[place:],
            text[:place] + text[place + draw.randint(1, 20) :],
            text + text[:place],
            "[" * 3000 + text,
        ]
    )


def _tree_changed(tree: Any, draw: random.Random) -> Any:
    """Change one place of a tree: another value or none, another key, a value from elsewhere."""
    tree = copy.deepcopy(tree)
    places = list(_places(tree))
    if not places:
        return draw.choice(VALUES)
    # Most places are entries of a vocabulary; half of the changes go elsewhere.
    outside = [place for place in places if len(place[0]) < 40]
    parent, key = draw.choice(outside if outside and draw.random() < 0.5 else places)
    action = draw.randrange(4)
    if action == 0:
        parent[key] = draw.choice(VALUES)
    elif action == 1:
        del parent[key]
    elif action == 2 and isinstance(parent, dict):
        parent[draw.choice(["", "type", "x", str(key) * 2])] = parent.pop(key)
    else:
        other, name = draw.choice(places)
        parent[key] = copy.deepcopy(other[name])
    return tree


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """Return every container of a tree with each of its keys."""
    found = []
    pending = [tree]
    while pending:
        node = pending.pop()
        keys = node.keys() if isinstance(node, dict) else range(len(node))
        for key in keys:
            found.append((node, key))
            if isinstance(node[key], dict | list):
                pending.append(node[key])
    return found


def all_end_well(original: str, seed: int, attempt: Callable[[str], bool]) -> None:
    """Try mutations; `attempt` returns whether one was accepted, and raises ZooError or nothing."""
    assert attempt(original), "the original must be good, or every case fails for its own reason"
    draw = random.Random(seed)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    accepted = refused = 0
    for _ in range(CASES):
        case = mutated(original, draw)
        start = time.process_time()
        try:
            accepted += attempt(case)
        except ZooError:
            refused += 1
        except BaseException as error:
            pytest.fail(f"{type(error).__name__}: {error} for {case[:3000]}")
        assert time.process_time() - start < SECONDS, case[:3000]
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < MEGABYTES
    assert accepted + refused == CASES
    assert refused > CASES // 10, "the mutations break nothing"


def word_piece_json(folder: Path) -> str:
    write_vocab(folder)
    tokenizer = read_tokenizer(folder / "vocab.txt", lower=True)
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=8)
    return str(tokenizer.to_str())


def byte_pairs_json(folder: Path) -> str:
    return str(read_tokenizer(byte_pairs(folder)[0], lower=False).to_str())


def sentence_piece_json(folder: Path) -> str:
    return str(Tokenizer.from_file(str(sentence_piece(folder)[0])).to_str())


@pytest.mark.parametrize("make", [word_piece_json, byte_pairs_json, sentence_piece_json])
def test_a_broken_tokenizer_json_never_surprises(
    make: Callable[[Path], str], tmp_path: Path
) -> None:
    recipe = TextPreprocess(max_length=16)
    path = tmp_path / "broken" / "tokenizer.json"
    path.parent.mkdir()

    def attempt(text: str) -> bool:
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        preprocessor = TextPreprocessor(recipe, path, vocab=1000)
        samples = preprocessor.prepare(TEXTS)
        good = [sample for sample in samples if not isinstance(sample, InputError)]
        assert all(1 <= sample.size <= 16 for sample in good)
        if good:
            assert preprocessor.collate(good)["input_ids"].max() < 1000
        return len(samples) == len(TEXTS)

    all_end_well(make(tmp_path), seed=1, attempt=attempt)


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "electra"])
def test_a_broken_config_json_never_surprises(kind: str, tmp_path: Path) -> None:
    folder = save(reference(kind, dtype=torch.float32), tmp_path)

    all_end_well(
        (folder / "config.json").read_text(),
        seed=2,
        attempt=lambda text: _loads(folder, "config.json", text),
    )


@pytest.mark.parametrize(
    "name",
    [
        "modules.json",
        "1_Pooling/config.json",
        "2_Dense/config.json",
        "config_sentence_transformers.json",
        "sentence_bert_config.json",
        "tokenizer_config.json",
    ],
)
def test_broken_files_of_sentence_transformers_never_surprise(name: str, tmp_path: Path) -> None:
    from tests.test_bert_checkpoint import sentence_transformer

    sentence_transformer(tmp_path / "st", prompts={"query": "a "}, default="query")

    all_end_well(
        (tmp_path / "st" / name).read_text(),
        seed=3,
        attempt=lambda text: _loads(tmp_path / "st", name, text),
    )


def _loads(folder: Path, name: str, text: str) -> bool:
    """Load a folder with one file replaced, and encode with it."""
    (folder / name).write_text(text, encoding="utf-8", errors="surrogatepass")
    encoder = zoo.load(str(folder))
    assert isinstance(encoder, Encoder)
    vectors = encoder.encode(["a bad cab", "de"])
    assert vectors.shape == (2, encoder.dim)
    return bool(np.isfinite(vectors).all())
