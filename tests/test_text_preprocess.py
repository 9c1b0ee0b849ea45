"""Texts to ids: prompts, lengths, padding, and the same tokens as transformers makes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import (
    AddedToken,
    Tokenizer,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from tests.bert_references import write_vocab
from zoo.errors import FormatError, InputError, OptionError
from zoo.preprocess import Ask, Sample
from zoo.preprocess.text import TextPreprocessor
from zoo.spec import Role, TextPreprocess

PLAIN = TextPreprocess(max_length=16)
ROLES = {"query": Role(prompt="ab "), "document": Role(prompt="cd ", max_length=6)}

NASTY = [
    "",
    " ",
    "a",
    "plain words, and some more of them.",
    "CAPITALS and Miixed",
    "tabs\tand\nnew lines \r\n and  double  spaces ",
    "  leading and trailing  ",
    "na\u00efve caf\u00e9 \u00c5ngstr\u00f6m",
    "e\u0301 combining, \u0130stanbul, \u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2, stra\u00dfe",
    "\u4f60\u597d\u4e16\u754c mixed \u65e5\u672c\u8a9e",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 emoji \U0001f1e9\U0001f1ea",
    "zero\u200bwidth \u00a0no-break \u2028line separator\u0085next",
    "\ufeffmark \ufffd replacement \u0000 nul \u0007 bell",
    "\u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u05e2\u05d1\u05e8\u05d9\u05ea",
    "\u0939\u093f\u0928\u094d\u0926\u0940 \u0e44\u0e17\u0e22",
    "\uff26\uff55\uff4c\uff4c\uff57\uff49\uff44\uff54\uff48 \ufb01 ligature \u2460",
    "$100 & <b>html</b> &amp; (brackets) [CLS] [SEP] [MASK] <s> </s> <mask> <pad>",
    "http://example.com/a?b=c&d=%20#e user@example.com 1,234.56",
    "x" * 300,
    "word " * 200,
]  # fmt: skip


@pytest.fixture
def vocab(tmp_path: Path) -> Path:
    """A word-piece vocabulary of letters."""
    write_vocab(tmp_path)
    return tmp_path / "vocab.txt"


def ids(preprocessor: TextPreprocessor, texts: Sequence[Any], ask: Ask | None = None) -> list[Any]:
    """Return the ids of each text as a list."""
    found = []
    for sample in preprocessor.prepare(texts, ask or Ask()):
        assert isinstance(sample, Sample), sample
        found.append(sample.arrays["input_ids"].tolist())
    return found


def train(model: models.Model, trainer: trainers.Trainer, pre: Any) -> Tokenizer:
    """Return a small tokenizer of a kind, trained on what the tests encode."""
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre
    tokenizer.train_from_iterator(NASTY * 3, trainer)
    return tokenizer


def word_piece(folder: Path) -> tuple[Path, Any]:
    from transformers import BertTokenizer

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    pre = pre_tokenizers.BertPreTokenizer()
    made = train(models.WordPiece(unk_token="[UNK]"), trainer, pre)
    words = sorted(made.get_vocab().items(), key=lambda entry: entry[1])
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word, _ in words), encoding="utf-8")
    return folder / "vocab.txt", BertTokenizer.from_pretrained(folder)


def cased_word_piece(folder: Path) -> tuple[Path, Any]:
    from transformers import BertTokenizer

    path, _ = word_piece(folder)
    return path, BertTokenizer.from_pretrained(folder, do_lower_case=False)


def byte_pairs(folder: Path) -> tuple[Path, Any]:
    from transformers import RobertaTokenizer

    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=special,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    made = train(models.BPE(), trainer, pre_tokenizers.ByteLevel(add_prefix_space=False))
    made.model.save(str(folder))
    # transformers 5 leaves lstrip out where transformers 4 and all published files have it
    mask = AddedToken("<mask>", lstrip=True, normalized=False)
    return folder / "vocab.json", RobertaTokenizer.from_pretrained(folder, mask_token=mask)


def sentence_piece(folder: Path) -> tuple[Path, Any]:
    """XLM-R's kind: unigrams over text with its spaces marked, in a tokenizer.json."""
    from transformers import PreTrainedTokenizerFast

    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.UnigramTrainer(
        vocab_size=300, special_tokens=special, unk_token="<unk>", show_progress=False
    )
    pre = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    made = train(models.Unigram(), trainer, pre)
    made.normalizer = normalizers.NFKC()
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    made.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json", PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"),
        bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>",
        mask_token="<mask>",
    )  # fmt: skip


@pytest.mark.parametrize("make", [word_piece, cased_word_piece, byte_pairs, sentence_piece])
@pytest.mark.parametrize("max_length", [8, 64])
def test_tokens_equal_those_of_transformers(make: Any, max_length: int, tmp_path: Path) -> None:
    path, reference = make(tmp_path)
    recipe = TextPreprocess(max_length=max_length, lower=make is not cased_word_piece)
    ours = TextPreprocessor(recipe, path)

    theirs = reference(NASTY, truncation=True, max_length=max_length)["input_ids"]

    assert ids(ours, NASTY) == theirs
    assert len({token for row in theirs for token in row}) > 20, "the tokenizer splits nothing"


def test_a_tokenizer_files_own_lengths_are_ignored(vocab: Path, tmp_path: Path) -> None:
    tokenizer = TextPreprocessor(PLAIN, vocab).tokenizer
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=12, pad_id=0)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert json.loads((tmp_path / "tokenizer.json").read_text())["padding"]

    ours = TextPreprocessor(PLAIN, tmp_path / "tokenizer.json")

    assert [len(row) for row in ids(ours, ["a", "a b c d e f"])] == [3, 8]


def test_padding_is_on_the_right_and_masked(vocab: Path) -> None:
    ours = TextPreprocessor(replace(PLAIN, pad_id=4), vocab)
    samples = ours.prepare(["a b c", "a"])

    batch = ours.collate([sample for sample in samples if isinstance(sample, Sample)])

    assert batch["input_ids"].dtype == batch["attention_mask"].dtype == np.int64
    assert batch["input_ids"].tolist() == [[2, 5, 6, 7, 3], [2, 5, 3, 4, 4]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]


def test_a_recipe_may_pad_everything_to_its_length(vocab: Path) -> None:
    recipe = replace(PLAIN, pad_to_max=True)
    ours = TextPreprocessor(recipe, vocab, inputs=("input_ids",))
    (sample,) = ours.prepare(["a"])
    assert isinstance(sample, Sample)

    batch = ours.collate([sample])

    assert sample.size == 16
    assert set(batch) == {"input_ids"}
    assert batch["input_ids"].shape == (1, 16)


def test_long_texts_keep_their_closing_token(vocab: Path) -> None:
    ours = TextPreprocessor(PLAIN, vocab)

    (row,) = ids(ours, ["a " * 1000])

    assert len(row) == 16
    assert row[-1] == 3


@pytest.mark.parametrize(
    ("ask", "text"),
    [
        (Ask(), "x"),
        (Ask(role="query"), "ab x"),
        (Ask(role="document"), "cd x"),
        (Ask(prompt="ef "), "ef x"),
        (Ask(prompt=""), "x"),
        (Ask(prompt_name="stored"), "gh x"),
        (Ask(prompt_name="query"), "ab x"),
        (Ask(role="query", prompt="ef "), "ef x"),
        (Ask(role="query", prompt_name="stored"), "gh x"),
    ],
)
def test_prompts_stand_before_the_text(vocab: Path, ask: Ask, text: str) -> None:
    recipe = replace(PLAIN, roles=ROLES, prompts={"stored": "gh "})

    assert ids(TextPreprocessor(recipe, vocab), ["x"], ask) == ids(
        TextPreprocessor(PLAIN, vocab), [text]
    )


def test_the_default_role_gives_way_to_what_is_asked_for(vocab: Path) -> None:
    ours = TextPreprocessor(replace(PLAIN, roles=ROLES, default_role="query"), vocab)

    assert ids(ours, ["x"]) == ids(ours, ["x"], Ask(role="query"))
    assert ids(ours, ["x"], Ask(prompt="")) == ids(TextPreprocessor(PLAIN, vocab), ["x"])


def test_a_role_may_have_its_own_length(vocab: Path) -> None:
    ours = TextPreprocessor(replace(PLAIN, roles=ROLES), vocab)

    asks = [Ask(role="query"), Ask(role="document"), Ask(role="document", prompt="x ")]

    assert [len(ids(ours, ["a " * 50], ask)[0]) for ask in asks] == [16, 6, 6]


@pytest.mark.parametrize("role", ["query", "document"])
def test_a_model_without_roles_treats_query_and_document_alike(vocab: Path, role: str) -> None:
    ours = TextPreprocessor(PLAIN, vocab)

    assert ids(ours, ["x"], Ask(role=role)) == ids(ours, ["x"])


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (Ask(role="passage"), "no role 'passage'. It has document, query"),
        (Ask(prompt_name="other"), "no prompt 'other'. It has document, query, stored"),
        (Ask(prompt="x", prompt_name="stored"), "prompt='x' and prompt_name='stored'"),
        (Ask(prompt=3), "prompt=3: A text must be a str"),  # type: ignore[arg-type]
        (Ask(prompt="\ud800"), "lone surrogate at character 0"),
    ],
)
def test_prompts_that_do_not_exist_are_refused(vocab: Path, ask: Ask, message: str) -> None:
    ours = TextPreprocessor(replace(PLAIN, roles=ROLES, prompts={"stored": "gh "}), vocab)

    with pytest.raises(OptionError, match=message):
        ours.prepare(["x"], ask)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (b"bytes", "must be a str, not bytes: decode it"),
        (None, "not NoneType"),
        (3, "not int"),
        (["nested"], "not list"),
        ("lone \ud800 surrogate", "lone surrogate at character 5"),
    ],
)
def test_what_is_no_text_is_an_error_in_its_place(vocab: Path, item: object, message: str) -> None:
    first, bad, last = TextPreprocessor(PLAIN, vocab).prepare(["a", item, "b"])

    assert isinstance(first, Sample)
    assert isinstance(last, Sample)
    assert isinstance(bad, InputError)
    assert message in str(bad)


def test_empty_texts_and_nul_characters_are_texts(vocab: Path) -> None:
    ours = TextPreprocessor(PLAIN, vocab)

    assert ids(ours, ["", "a\0b", np.str_("a")]) == [[2, 3], [2, 5, 27, 3], [2, 5, 3]]


def test_a_tokenizer_of_another_model_is_refused(vocab: Path) -> None:
    ours = TextPreprocessor(PLAIN, vocab, vocab=10)
    samples = [sample for sample in ours.prepare(["a t"]) if isinstance(sample, Sample)]

    with pytest.raises(FormatError, match=r"token id 24, but the network has 10 embeddings"):
        ours.collate(samples)


def test_clip_cleaning_undoes_entities_and_white_space(vocab: Path) -> None:
    ours = TextPreprocessor(replace(PLAIN, clean="clip"), vocab)
    plain = TextPreprocessor(PLAIN, vocab)

    assert ids(ours, ["  a &amp;amp; b\n\n c "]) == ids(plain, ["a & b c"])


def test_lower_cleaning_looks_at_single_characters(vocab: Path) -> None:
    ours = TextPreprocessor(replace(PLAIN, clean="lower", lower=False), vocab)

    assert ids(ours, ["AbC"]) == ids(TextPreprocessor(PLAIN, vocab), ["abc"])


def test_many_long_texts_are_cut_chunk_by_chunk(
    vocab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["a " * 10, "b", "", "c " * 30, "d e"]
    ours = TextPreprocessor(PLAIN, vocab)
    expected = ids(ours, texts)

    monkeypatch.setattr("zoo.preprocess.text.CHUNK", 5)

    assert ids(ours, texts) == expected


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer.json", "{", "no tokenizer that can be read"),
        ("tokenizer.json", "[]", "no tokenizer that can be read"),
        ("vocab.txt", "a\nb\n", r"lacks the special token\(s\) \[PAD\]"),
        ("vocab.json", "{}", "needs merges.txt beside it"),
    ],
)
def test_a_broken_tokenizer_is_a_format_error(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)

    with pytest.raises(FormatError, match=message):
        TextPreprocessor(PLAIN, tmp_path / name)


def test_a_text_that_becomes_no_token_is_an_error(tmp_path: Path) -> None:
    Tokenizer(models.WordLevel({"a": 0}, unk_token="a")).save(str(tmp_path / "tokenizer.json"))

    (sample,) = TextPreprocessor(PLAIN, tmp_path / "tokenizer.json").prepare([""])

    assert isinstance(sample, InputError)
    assert "no token" in str(sample)
