"""Tables of word vectors against sentence-transformers and gensim, through the files they write."""

from __future__ import annotations

import json
import pickle
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gensim.models import FastText, KeyedVectors
from gensim.models.fasttext import save_facebook_model
from hypothesis import given, settings, strategies as st

from tests.full_size import assert_covers
from tests.reference import FLOAT64, relative_error
from tests.tiny_rows import tiny_row
from zoo import samples
from zoo.encoder import Encoder
from zoo.errors import FormatError, InputError, OptionError, UnsafePickleError
from zoo.loading import load_row
from zoo.preprocess.vocabulary import StandIn, Table, read_vocabulary
from zoo.preprocess.words import WordPreprocessor, fnv1a
from zoo.registry import default_registry
from zoo.spec import ModelSpec, WordPreprocess
from zoo_text.readers import fasttext, gensim
from zoo_text.static_config import StaticConfig

WORDS = [
    "the",
    "Cat",
    "sat",
    "on",
    "New_York",
    "mat",
    "naive",
    "cafe\u0301",
    "na\u00efve",
    "#",
    "x,y",
]
TEXTS = [
    "the Cat sat",
    "THE cat, sat! on (the) mat.",
    "New_York New_York",
    "x,y 'x,y' na\u00efve NA\u00cfVE unheard-of",
    "  the\u00a0mat\n on  ",
]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:gensim")


def row_of(name: str, vocab: int, width: int = 8, **recipe: Any) -> ModelSpec:
    """Return a row over another table."""
    row = default_registry().row(name)
    assert isinstance(row.preprocess, WordPreprocess)
    buckets = recipe.get("buckets", 0)
    config = StaticConfig(vocab=vocab, width=width, buckets=buckets)
    return replace(row, config=config, preprocess=replace(row.preprocess, **recipe))


# GloVe, as sentence-transformers has it


def saved_average(folder: Path) -> Any:
    """Save a mean of word vectors as the published folder has it; returns the library's model."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, WordEmbeddings
    from sentence_transformers.sentence_transformer.modules.tokenizer import WhitespaceTokenizer

    words = ["PADDING_TOKEN", *WORDS, "cat"]
    tokenizer = WhitespaceTokenizer(words, stop_words={"the", "on"}, do_lower_case=False)
    table = torch.randn(len(words), 8, generator=torch.Generator().manual_seed(0))
    embeddings = WordEmbeddings(tokenizer, table.numpy())
    model = SentenceTransformer(modules=[embeddings, Pooling(8)], device="cpu")
    model.save(str(folder))
    # today it saves the first module at the top; the published folder has it in one of its own
    inner = folder / "0_WordEmbeddings"
    inner.mkdir()
    for name in ("model.safetensors", "whitespacetokenizer_config.json"):
        (folder / name).rename(inner / name)
    return model


@pytest.fixture
def sentence_bert(tmp_path: Path) -> tuple[Any, Path]:
    return saved_average(tmp_path), tmp_path


def test_glove_equals_sentence_transformers(sentence_bert: tuple[Any, Path]) -> None:
    model, folder = sentence_bert
    encoder = load_row(row_of("glove-6b-300", 13), weights=folder, dtype="float64")
    table = model[0].emb_layer.weight.double()

    found = encoder.encode(TEXTS)

    for text, vector in zip(TEXTS, found, strict=True):
        ids = model[0].tokenizer.tokenize(text)
        assert relative_error(vector, table[ids].mean(dim=0).detach()) <= FLOAT64, text
    theirs = model.encode(TEXTS)
    np.testing.assert_allclose(found, theirs, atol=1e-6)


def test_stop_words_are_left_out_also_when_found_only_on_the_second_look(
    sentence_bert: tuple[Any, Path],
) -> None:
    _, folder = sentence_bert
    encoder = load_row(row_of("glove-6b-300", 13), weights=folder)

    plain = encoder.encode("sat mat")

    np.testing.assert_allclose(encoder.encode("the sat on 'the' THE, mat On!"), plain, atol=1e-7)
    with pytest.raises(InputError, match="None of its words is in the vocabulary"):
        encoder.encode("the on THE!")


def test_an_unknown_word_is_not_a_zero_in_the_mean(sentence_bert: tuple[Any, Path]) -> None:
    _, folder = sentence_bert
    encoder = load_row(row_of("glove-6b-300", 13), weights=folder)

    np.testing.assert_array_equal(encoder.encode("sat qwertz qwertz"), encoder.encode("sat"))


# gensim


def keyed_vectors(words: list[str], width: int = 8) -> Any:
    vectors = KeyedVectors(width)
    rng = np.random.default_rng(0)
    vectors.add_vectors(words, rng.standard_normal((len(words), width)).astype(np.float32))
    return vectors


@pytest.fixture
def word2vec(tmp_path: Path) -> tuple[Any, Path]:
    vectors = keyed_vectors(WORDS)
    path = tmp_path / "word2vec-google-news-300.model"
    vectors.save(str(path), separately=["vectors"])
    assert path.with_suffix(".model.vectors.npy").is_file()
    return vectors, tmp_path


def test_word2vec_equals_gensim(word2vec: tuple[Any, Path]) -> None:
    vectors, folder = word2vec
    encoder = load_row(
        row_of("word2vec-google-news-300", len(WORDS)), weights=folder, dtype="float64"
    )
    text = "Cat sat on New_York sat"

    found = encoder.encode(text)

    assert relative_error(found, vectors[text.split()].astype(np.float64).mean(axis=0)) <= FLOAT64
    tokens = encoder.encode([text, "mat"], output="tokens")
    np.testing.assert_array_equal(tokens[0], vectors[text.split()])


def test_a_cased_vocabulary_is_looked_up_as_it_stands_first() -> None:
    table = Table(["Cat", "cat"])
    preprocessor = words_of(table)

    assert ids(preprocessor, "Cat cat CAT Cat, (cat)") == [0, 1, 1, 0, 1]


def test_the_two_kinds_of_glove_differ_by_their_stop_words(
    sentence_bert: tuple[Any, Path], tmp_path: Path
) -> None:
    model, folder = sentence_bert
    other = tmp_path / "fse"
    other.mkdir()
    table = model[0].emb_layer.weight.detach().numpy()
    vectors = KeyedVectors(8)
    vectors.add_vectors([*WORDS, "cat"], table[1:])
    vectors.save(str(other / "glove-wiki-gigaword-50.model"), separately=["vectors"])
    with_all = load_row(row_of("glove-6b-50", 12), weights=other)
    without_stops = load_row(row_of("glove-6b-300", 13), weights=folder)

    np.testing.assert_array_equal(with_all.encode("sat mat"), without_stops.encode("sat mat"))
    both = with_all.encode("the mat"), without_stops.encode("the mat")
    assert np.abs(both[0] - both[1]).max() > 0.1


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, ("touch was-run",)


def test_a_pickle_that_would_run_code_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.model"
    vectors = keyed_vectors(WORDS)
    vectors.extra = Evil()
    path.write_bytes(pickle.dumps(vectors))

    with pytest.raises(UnsafePickleError, match=r"asks for (posix|nt)\.system"):
        gensim.read_words(path, entry="")
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize("name", ["numpy.os.system", "gensim.utils.os.system"])
def test_names_inside_known_packages_lead_nowhere_either(name: str, tmp_path: Path) -> None:
    module, _, function = name.rpartition(".")
    path = tmp_path / "evil.model"
    path.write_bytes(f"c{module}\n{function}\n(S'touch was-run'\ntR.".encode())

    with pytest.raises(FormatError, match="holds no list of words"):
        gensim.read_words(path, entry="")


def test_a_vector_file_with_objects_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.vectors.npy"
    np.save(path, np.array([[Evil()]], object), allow_pickle=True)

    with pytest.raises(FormatError, match="no array that can be read"):
        gensim.read_vectors(path, entry="")


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_broken_pickles_are_refused(data: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.model")
        path.write_bytes(data)
        with pytest.raises((FormatError, UnsafePickleError)):
            gensim.read_words(path, entry="")


# fastText


SENTENCES = [text.split() for text in samples.texts()] + [
    ["\u00fcber", "na\u00efve", "\u4f60\u597d\u4e16\u754c"]
]


def trained(least: int = 3, most: int = 5, buckets: int = 200) -> Any:
    return FastText(
        SENTENCES, vector_size=8, min_count=1, min_n=least, max_n=most, bucket=buckets, epochs=2,
        seed=1, workers=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def model() -> Any:
    return trained()


@pytest.fixture
def binary(model: Any, tmp_path: Path) -> Path:
    save_facebook_model(model, str(tmp_path / "model.bin"))
    return tmp_path


def fasttext_encoder(model: Any, folder: Path, dtype: str = "float64") -> Encoder:
    rows = len(model.wv.key_to_index) + model.wv.bucket
    row = row_of(
        "fasttext-cc-en-300", rows, ngrams=(model.wv.min_n, model.wv.max_n),
        buckets=model.wv.bucket,
    )  # fmt: skip
    return load_row(row, weights=folder, dtype=dtype)


QUERIES = [
    "unheardof",
    "\u00fcberna\u00efve",
    "\u4f60\u597d",
    "a",
    "ab",
    "photograph",
    "\U0001f600\U0001f600",
]


def test_words_known_or_not_equal_gensims_fasttext(model: Any, binary: Path) -> None:
    words = [*model.wv.index_to_key[:40], *QUERIES]

    (found,) = fasttext_encoder(model, binary).encode([" ".join(words)], output="tokens")

    known = [word for word in words if fnv_rows(model, word) or word in model.wv.key_to_index]
    expected = np.stack([exact_word(model, word) for word in known])
    assert relative_error(found, expected) <= FLOAT64
    np.testing.assert_allclose(found, np.stack([model.wv[w] for w in known]), atol=1e-6)


def fnv_rows(model: Any, word: str) -> list[int]:
    """Return gensim's own rows of a word's sequences."""
    from gensim.models.fasttext import ft_ngram_hashes

    found: list[int] = ft_ngram_hashes(word, model.wv.min_n, model.wv.max_n, model.wv.bucket)
    return found


def exact_word(model: Any, word: str) -> Any:
    """Return the mean of a word's rows in float64."""
    rows = [model.wv.vectors_ngrams[i].astype(np.float64) for i in fnv_rows(model, word)]
    if word in model.wv.key_to_index:
        rows.append(model.wv.vectors_vocab[model.wv.key_to_index[word]].astype(np.float64))
    return np.mean(rows, axis=0)


def test_a_text_is_the_mean_of_its_words_directions(model: Any, binary: Path) -> None:
    words = ["photograph", *model.wv.index_to_key[3:9]]

    found = fasttext_encoder(model, binary).encode(" ".join(words))

    vectors = [exact_word(model, word) for word in words]
    directions = [vector / np.linalg.norm(vector) for vector in vectors]
    assert relative_error(found, np.mean(directions, axis=0)) <= FLOAT64
    assert relative_error(found, np.mean(vectors, axis=0)) > 0.1
    np.testing.assert_allclose(
        found, model.wv.get_mean_vector(words, pre_normalize=True), atol=1e-6
    )


def test_bytes_above_127_are_negative_in_the_hash() -> None:
    """Plain FNV-1a agrees on ASCII alone."""

    def plain(data: bytes) -> int:
        value = 2166136261
        for byte in data:
            value = (value ^ byte) * 16777619 & 0xFFFFFFFF
        return value

    from gensim.models.fasttext import ft_ngram_hashes

    for word in ("cafe", "caf\u00e9", "\u4f60\u597d\u4e16\u754c"):
        sequences = [f"<{word}>"[i : i + 5] for i in range(len(word) - 2)]
        expected = ft_ngram_hashes(word, 5, 5, 2_000_000)
        assert [fnv1a(s.encode()) % 2_000_000 for s in sequences] == expected
        agree = [plain(s.encode()) % 2_000_000 for s in sequences] == expected
        assert agree == word.isascii()


def test_single_characters_at_the_ends_are_no_sequences_of_their_own() -> None:
    model = trained(least=1, most=2)
    recipe = WordPreprocess(max_length=9, ngrams=(1, 2), buckets=model.wv.bucket, retry=False)
    preprocessor = words_of(Table(["known"]), recipe)

    rows = ids(preprocessor, "ab")

    assert [row - 1 for row in rows] == fnv_rows(model, "ab")
    assert len(rows) == 5  # <a a ab b b>, without < and >


def test_a_file_with_other_sequences_than_the_rows_is_refused(model: Any, binary: Path) -> None:
    rows = len(model.wv.key_to_index) + model.wv.bucket
    row = row_of("fasttext-cc-en-300", rows, ngrams=(5, 5), buckets=model.wv.bucket)

    with pytest.raises(FormatError, match=r"trained with \(3, 5, 200\).*says \(5, 5, 200\)"):
        load_row(row, weights=binary)


def test_the_file_of_another_library_with_that_name_is_read_as_such(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "model.bin")

    found = fasttext.read_model(tmp_path / "model.bin", entry="")

    assert list(found) == ["a"]


def test_only_a_whole_name_makes_a_file_fasttexts() -> None:
    registry = default_registry()

    assert registry.reader("model.bin") == registry.reader("folder/model.bin")
    assert registry.reader("model.bin") is not None
    assert registry.reader("pytorch_model.bin") is None


def broken(binary: Path) -> dict[str, bytes]:
    good = (binary / "model.bin").read_bytes()
    return {
        "version": good[:4] + struct.pack("<i", 99) + good[8:],
        "classifier": good[:8] + good[8:36] + struct.pack("<i", 3) + good[40:],
        "early": good[:70],
        "within a word": good[:95],
        "more than it holds": good[: len(good) // 3],
    }


@pytest.mark.parametrize(
    "kind", ["version", "classifier", "early", "within a word", "more than it holds"]
)
def test_a_broken_binary_is_refused(kind: str, binary: Path) -> None:
    path = binary / "model.bin"
    path.write_bytes(broken(binary)[kind])

    with pytest.raises(FormatError, match=kind):
        fasttext.read_model(path, entry="")


# Vocabularies and the rest


def words_of(table: Table, recipe: WordPreprocess | None = None) -> WordPreprocessor:
    recipe = recipe or WordPreprocess(max_length=100)
    return WordPreprocessor(
        recipe, table, inputs=("input_ids", "mask"), rows=table.size + recipe.buckets
    )


def ids(preprocessor: WordPreprocessor, text: str) -> list[int]:
    (sample,) = preprocessor.prepare([text])
    assert not isinstance(sample, InputError)
    found: list[int] = sample.arrays["input_ids"].reshape(-1).tolist()
    return found


def test_a_vocabulary_survives_a_file(tmp_path: Path) -> None:
    table = Table(WORDS, stop_words=["on"], lower=True, ngrams=(3, 5, 7))

    table.save(tmp_path / "tokenizer.json")
    again = read_vocabulary(tmp_path / "tokenizer.json")

    assert [again.row(word) for word in WORDS] == list(range(len(WORDS)))
    assert (again.lower, again.ngrams, again.stops("on")) == (True, (3, 5, 7), True)


BROKEN: list[Any] = [
    [],
    {},
    {"vocab": "a b"},
    {"vocab": ["a", 1]},
    {"vocab": ["a", "a"]},
    {"vocab": ["a"], "do_lower_case": 1},
]


@pytest.mark.parametrize("value", BROKEN, ids=json.dumps)
def test_a_broken_vocabulary_is_refused(value: Any, tmp_path: Path) -> None:
    path = tmp_path / "whitespacetokenizer_config.json"
    path.write_text(json.dumps(value))

    with pytest.raises(FormatError):
        read_vocabulary(path)


def test_a_vocabulary_of_another_size_is_refused() -> None:
    with pytest.raises(FormatError, match=r"11 words.*12 rows"):
        WordPreprocessor(
            WordPreprocess(max_length=9), Table(WORDS), inputs=("input_ids", "mask"), rows=12
        )


def test_random_weights_know_every_word() -> None:
    stand_in = StandIn(96, WordPreprocess(max_length=9, pad_id=5))
    rows = {stand_in.row(f"word{i}") for i in range(3000)}

    assert rows == set(range(96)) - {5}


@pytest.mark.parametrize("name", ["glove-6b-300", "fasttext-cc-en-300"])
def test_a_vector_does_not_depend_on_its_batch(name: str) -> None:
    encoder = load_row(tiny_row(name), weights="random", dtype="float64")
    texts = samples.texts()

    together = encoder.encode(texts)

    np.testing.assert_allclose(
        together, np.stack([encoder.encode(text) for text in texts]), rtol=1e-12
    )


def test_what_is_no_text_and_what_is_no_option_is_said() -> None:
    encoder = load_row(tiny_row("glove-6b-300"), weights="random")

    with pytest.raises(InputError, match="Item 1: A text must be a str, not int"):
        encoder.encode(["a", 7])
    with pytest.raises(OptionError, match="no prompts"):
        encoder.encode("a", prompt="query: ")
    np.testing.assert_array_equal(encoder.encode_query("a"), encoder.encode("a"))


@pytest.mark.parametrize("name", ["glove-6b-300", "fasttext-cc-en-300"])
def test_a_lone_surrogate_is_refused_as_by_every_other_model_of_texts(name: str) -> None:
    encoder = load_row(tiny_row(name), weights="random")

    with pytest.raises(InputError, match="Item 1: The text holds a lone surrogate at character 2"):
        encoder.encode(["a", "a \ud800"])


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("glove-6b-300", {"emb_layer.weight": (400_001, 300)}),
        ("word2vec-google-news-300", {"vectors": (3_000_000, 300), "vocab.words": (9,),
                                      "vocab.offsets": (3_000_001,)}),
        ("glove-6b-50", {"vectors": (400_000, 50), "vocab.words": (9,), "vocab.offsets": (9,)}),
        ("fasttext-cc-en-300", {"input": (4_000_000, 300), "ngrams": (3,), "vocab.words": (9,),
                                "vocab.offsets": (2_000_001,)}),
    ],
)  # fmt: skip
def test_the_key_map_covers_the_full_size_table(
    name: str, header: dict[str, tuple[int, ...]]
) -> None:
    assert_covers(default_registry().row(name), header)


@pytest.mark.parametrize("kind", ["glove", "word2vec", "fasttext"])
def test_a_trained_table_keeps_the_words_that_its_row_knows(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if kind == "glove":
        row, folder = row_of("glove-6b-300", 13), request.getfixturevalue("sentence_bert")[1]
    elif kind == "word2vec":
        row = row_of("word2vec-google-news-300", len(WORDS))
        folder = request.getfixturevalue("word2vec")[1]
    else:
        folder = request.getfixturevalue("binary")
        spec = fasttext_encoder(request.getfixturevalue("model"), folder).spec
        assert isinstance(spec, ModelSpec)
        row = spec
    row = replace(row, weights=replace(row.weights, source=str(folder), revision=None, sha256={}))
    encoder = load_row(row)
    with torch.no_grad():
        encoder.module.get_parameter("words.weight").mul_(2)
    alone = tmp_path / "alone"
    alone.mkdir()
    torch.save(encoder.module.state_dict(), alone / "trained.pt")

    trained = load_row(row, weights=alone / "trained.pt")

    np.testing.assert_array_equal(trained.encode("sat mat"), encoder.encode("sat mat"))


def test_live_tables_stay_mapped_to_their_file(word2vec: tuple[Any, Path]) -> None:
    """Loading copies no vector: what is read is what the file's pages hold."""
    _, folder = word2vec
    encoder = load_row(row_of("word2vec-google-news-300", len(WORDS)), weights=folder)
    table = encoder.module.get_parameter("words.weight")

    assert table.shape == (len(WORDS), 8)
    maps = Path("/proc/self/maps")
    if maps.exists():
        lines = [line for line in maps.read_text().splitlines() if "converted" in line]
        places = [line.split()[0].split("-") for line in lines]
        assert any(int(low, 16) <= table.data_ptr() < int(high, 16) for low, high in places)
