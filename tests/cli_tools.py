"""What the tests of the command line share: run it in this process, and a checkpoint to run."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from transformers import BertConfig, BertModel, BertTokenizerFast

from tests.reference import make_live
from zoo.cli import main

WORDS = ("a", "the", "cat", "kitten", "dog", "rocket", "sat", "on", "mat", "moon", "small", "text")


class Ran(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Zoo:
    """Runs `zoo ...` in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def __call__(self, *words: object, stdin: Iterable[str] = ()) -> Ran:
        self._monkeypatch.setattr(sys, "stdin", Lines(stdin))
        self._capsys.readouterr()
        code = main([str(word) for word in words])
        return Ran(code, *self._capsys.readouterr())


class Lines(io.StringIO):
    """A stdin that is iterated lazily, so that it can break where a test wants it to."""

    def __init__(self, lines: Iterable[str]) -> None:
        super().__init__()
        self._lines = iter(lines)

    def __iter__(self) -> Iterator[str]:  # type: ignore[override]  # typeshed: an iterator of itself
        return self._lines


def save_tiny_bert(folder: Path) -> Path:
    """Write a live two-block BERT with a vocabulary of a few words, in the Hub's file layout."""
    folder.mkdir(parents=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    make_live(BertModel(config)).save_pretrained(folder)
    return folder
