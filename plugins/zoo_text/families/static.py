"""Vectors of words: word2vec, GloVe, fastText. No torch."""

from __future__ import annotations

from zoo.keys import KeyMap, drop, move
from zoo.spec import BATCH, Dim, Family, ModelSpec, Paper, TensorSpec, WeightsSpec, WordPreprocess
from zoo_text.static_config import StaticConfig

_WORDS = "the vocabulary, which the preprocessing reads"
_TABLES = (
    KeyMap(
        name="sentence-transformers WordEmbeddings",
        rules=(move("emb_layer.weight", "words.weight"),),
    ),
    KeyMap(
        name="gensim KeyedVectors",
        rules=(move("vectors", "words.weight"), drop("vocab.*", _WORDS)),
    ),
    KeyMap(
        name="fastText",
        rules=(
            move("input", "words.weight"),
            drop("vocab.*", _WORDS),
            drop("ngrams", "sizes, which the preprocessing checks"),
        ),
    ),
)

WORD2VEC = Family(
    name="word2vec",
    title="Distributed Representations of Words and Phrases and their Compositionality",
    authors="Mikolov, Tomas and others",
    arxiv="1310.4546",
    year=2013,
    objective="words from their neighbours, with negative sampling, in Google News",
    license="none",
    modality="text",
    languages=("en",),
    keymaps=_TABLES,
)
GLOVE = Family(
    name="glove",
    title="GloVe: Global Vectors for Word Representation",
    authors="Pennington, Jeffrey and Socher, Richard and Manning, Christopher D.",
    url="https://aclanthology.org/D14-1162/",
    year=2014,
    objective="weighted least squares on logarithms of co-occurrences, Wikipedia and Gigaword",
    license="apache-2.0",
    modality="text",
    languages=("en",),
    keymaps=_TABLES,
)
FASTTEXT = Family(
    name="fasttext",
    title="Enriching Word Vectors with Subword Information",
    authors="Bojanowski, Piotr and Grave, Edouard and Joulin, Armand and Mikolov, Tomas",
    arxiv="1607.04606",
    year=2016,
    objective="words from their neighbours, sums over character sequences, negative sampling; "
    "Common Crawl and Wikipedia",
    license="cc-by-sa-3.0",
    modality="text",
    languages=("en",),
    keymaps=_TABLES,
)

LONGEST = 10_000  # words
_LENGTH = Dim(name="length", min=1, typical=32, max=LONGEST)
_ROWS = Dim(name="rows", min=1, typical=12, max=512)

_MEAN = "The vector is the mean of the words that the table knows, each as often as it comes"


def _inputs(mask: str, *axes: Dim) -> tuple[TensorSpec, ...]:
    shape = (BATCH, *axes)
    return (
        TensorSpec(name="input_ids", dtype="int64", shape=shape, padding="masked"),
        TensorSpec(
            name=mask,
            dtype="int64",
            shape=shape,
            padding="masked",
            skippable=mask == "attention_mask",
        ),
    )


def _gensim(
    family: Family,
    name: str,
    *,
    repo: str,
    file: str,
    vocab: int,
    width: int,
    note: str,
    license: str,
    aliases: tuple[str, ...] = (),
) -> ModelSpec:
    """Make the row of vectors that gensim saved: a pickle of words, and an array beside it."""
    config = StaticConfig(vocab=vocab, width=width)
    return family.model(
        name,
        config=config,
        weights=WeightsSpec(
            source=f"hf:{repo}",
            files=(f"{file}.vectors.npy",),
            parts={"vocab.": file},
            layout="gensim",
            note="The words stand in a pickle, of which nothing is executed.",
        ),
        preprocess=WordPreprocess(max_length=LONGEST),
        inputs=_inputs("attention_mask", _LENGTH),
        params=config.params,
        license=license,
        aliases=aliases,
        note=f"{_MEAN}. {note}",
        source=f"https://huggingface.co/{repo}",
    )


_SENTENCE_BERT = "sentence-transformers/average_word_embeddings_glove.6B.300d"
_FASTTEXT = StaticConfig(vocab=4_000_000, width=300, buckets=2_000_000)

MODELS = (
    _gensim(
        WORD2VEC,
        "word2vec-google-news-300",
        repo="fse/word2vec-google-news-300",
        file="word2vec-google-news-300.model",
        vocab=3_000_000,
        width=300,
        license="none",
        aliases=("word2vec",),
        note="Words are cased, phrases joined by _ (New_York). The repository states no licence.",
    ),
    GLOVE.model(
        "glove-6b-300",
        config=StaticConfig(vocab=400_001, width=300),
        weights=WeightsSpec(
            source=f"hf:{_SENTENCE_BERT}",
            subfolder="0_WordEmbeddings",
            layout="sentence-transformers",
        ),
        preprocess=WordPreprocess(
            max_length=LONGEST, vocabulary=("whitespacetokenizer_config.json",)
        ),
        inputs=_inputs("attention_mask", _LENGTH),
        params=120_000_300,
        aliases=("glove",),
        note=f"{_MEAN}, English stop words left out: sentence-transformers' vector, which differs "
        "from that of copies without stop words.",
        source=f"https://huggingface.co/{_SENTENCE_BERT}",
    ),
    _gensim(
        GLOVE,
        "glove-6b-50",
        repo="fse/glove-wiki-gigaword-50",
        file="glove-wiki-gigaword-50.model",
        vocab=400_000,
        width=50,
        license="unknown",
        note="No stop words are left out, unlike in sentence-transformers' copies.",
    ),
    FASTTEXT.model(
        "fasttext-cc-en-300",
        config=_FASTTEXT,
        weights=WeightsSpec(
            source="hf:facebook/fasttext-en-vectors",
            files=("model.bin",),
            layout="fasttext",
            note="7.2 GB; the half that only training needs is not kept.",
        ),
        preprocess=WordPreprocess(
            max_length=LONGEST, retry=False, ngrams=(5, 5), buckets=_FASTTEXT.buckets
        ),
        inputs=_inputs("row_mask", _LENGTH, _ROWS),
        params=1_200_000_000,
        papers=(
            Paper(
                title="Learning Word Vectors for 157 Languages",
                authors="Grave, Edouard and others",
                arxiv="1802.06893",
                year=2018,
            ),
        ),
        aliases=("fasttext",),
        note="The vector is the mean of the words' directions, as get_sentence_vector gives it; a "
        "word is the mean of its row and those of the sequences of five characters in it.",
        source="https://huggingface.co/facebook/fasttext-en-vectors",
    ),
)
