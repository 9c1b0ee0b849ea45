"""Late interaction against sentence-transformers' own, from the files of ColBERT's layout."""

from __future__ import annotations

import string
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import zoo
from tests.bert_references import edit_json
from tests.colbert_reference import (
    BODY,
    DOCUMENTS,
    QUERIES,
    WIDTH,
    expected,
    save,
)
from tests.full_size import assert_covers, dropped
from tests.reference import FLOAT32, FLOAT64, relative_error
from tests.test_bert_rows import reference_header
from tests.tiny_rows import tiny_row
from zoo.encoder import Encoder
from zoo.errors import FormatError, InputError, OptionError, UnsupportedCheckpointError
from zoo.preprocess import Array
from zoo.spec import TextPreprocess
from zoo_text.configs import BertConfig
from zoo_text.families.colbert import MODELS, several

ROWS = {row.name: row for row in MODELS}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save(tmp_path / "colbert")


def load(folder: Path, dtype: torch.dtype = torch.float32) -> Encoder:
    encoder = zoo.load(str(folder), dtype=dtype)
    assert isinstance(encoder, Encoder)
    return encoder


@pytest.fixture
def theirs(folder: Path) -> Any:
    from sentence_transformers import MultiVectorEncoder

    return MultiVectorEncoder(str(folder), device="cpu")


def same(ours: list[Array], reference: list[Any]) -> None:
    assert [len(one) for one in ours] == [len(one) for one in reference]
    for one, other in zip(ours, reference, strict=True):
        assert relative_error(one, other) <= FLOAT32


def test_queries_and_documents_equal_the_reference(folder: Path, theirs: Any) -> None:
    ours = load(folder)

    same(ours.encode_query(QUERIES), theirs.encode_query(QUERIES))
    same(ours.encode_document(DOCUMENTS), theirs.encode_document(DOCUMENTS))


def test_scores_equal_the_reference(folder: Path, theirs: Any) -> None:
    ours = load(folder)
    queries, documents = ours.encode_query(QUERIES), ours.encode_document(DOCUMENTS)

    scores = zoo.maxsim(queries, documents)

    expected = theirs.similarity(theirs.encode_query(QUERIES), theirs.encode_document(DOCUMENTS))
    assert relative_error(scores, expected) <= FLOAT32
    np.testing.assert_array_equal(scores, ours.similarity(queries, documents))


def test_in_float64_it_equals_bert_projected_and_scaled(folder: Path) -> None:
    encoder = load(folder, torch.float64)
    batch = encoder.preprocess(DOCUMENTS, role="document")

    with torch.no_grad():
        out = encoder(batch)
    truth = expected(folder, batch, torch.float64)
    kept = torch.from_numpy(batch["vector_mask"])[..., None]

    assert out.pooled is None
    assert out.mask is not None
    assert relative_error(out.tokens, truth * kept) <= FLOAT64
    assert torch.equal(out.mask, kept[..., 0].bool())


def test_a_query_is_filled_with_masks_that_nothing_attends_to_but_that_give_vectors(
    folder: Path,
) -> None:
    encoder = load(folder)

    batch = encoder.preprocess(["a b"], role="query")
    (vectors,) = encoder.encode_query(["a b"])

    ids = [encoder.preprocessor.tokenizer.id_to_token(i) for i in batch["input_ids"][0]]  # type: ignore[attr-defined]  # of texts
    assert ids == ["[CLS]", "[unused0]", "a", "b", "[SEP]", *["[MASK]"] * 7]
    assert batch["attention_mask"][0].tolist() == [1] * 5 + [0] * 7
    assert batch["vector_mask"][0].tolist() == [1] * 12
    assert vectors.shape == (12, WIDTH)
    assert len({tuple(np.round(vector, 4)) for vector in vectors[5:]}) > 1  # positions differ


def test_a_long_query_is_cut_with_its_marks_kept(folder: Path) -> None:
    encoder = load(folder)

    batch = encoder.preprocess(["a " * 50], role="query")

    assert batch["input_ids"].shape == (1, 12)
    assert batch["input_ids"][0, [0, 1, -1]].tolist() == [4, 1, 5]


def test_documents_lose_punctuation_and_padding_but_attend_to_punctuation(folder: Path) -> None:
    encoder = load(folder)

    batch = encoder.preprocess(["a, b!", "c"], role="document")

    assert batch["input_ids"][0, :2].tolist() == [4, 2]
    assert batch["attention_mask"].tolist() == [[1] * 7, [1] * 4 + [0] * 3]
    assert batch["vector_mask"].tolist() == [[1, 1, 1, 0, 1, 0, 1], [1, 1, 1, 1, 0, 0, 0]]
    found = encoder.encode_document(["a, b!", "c"])
    assert [len(one) for one in found] == [5, 4]
    assert relative_error(found[0], encoder.encode_document(["a b"])[0]) > 1e-3


def test_queries_keep_their_punctuation(folder: Path) -> None:
    encoder = load(folder)

    assert [len(one) for one in encoder.encode_query(["a?", "?"])] == [12, 12]


def test_a_mark_is_one_token_that_the_text_itself_cannot_hold(folder: Path) -> None:
    encoder = load(folder)

    batch = encoder.preprocess(["[unused0]"], role="document")

    assert batch["input_ids"][0].tolist().count(1) == 0
    assert batch["input_ids"][0].tolist().count(2) == 1


def test_a_text_without_role_is_a_document(folder: Path) -> None:
    encoder = load(folder)

    same(encoder.encode(DOCUMENTS), encoder.encode_document(DOCUMENTS))


def test_ragged_results_keep_order_and_do_not_depend_on_the_batch(folder: Path) -> None:
    encoder = load(folder)
    texts = [("a " * (1 + 5 * place % 17)).strip() for place in range(40)]

    together = encoder.encode_document(texts, batch_size=7)

    assert len({len(one) for one in together}) > 10
    for text, vectors in zip(texts, together, strict=True):
        alone = encoder.encode_document([text])[0]
        assert vectors.shape == alone.shape
        assert relative_error(vectors, alone) <= FLOAT32


def test_one_text_gives_one_array_and_none_gives_none(folder: Path) -> None:
    encoder = load(folder)

    assert encoder.encode_document("a b").shape == (5, WIDTH)
    assert encoder.encode([]) == []
    for vector in encoder.encode_document("a b"):
        assert abs(float(np.linalg.norm(vector)) - 1) < 1e-5
    with pytest.raises(OptionError, match="gives tokens; not 'pooled'"):
        encoder.encode(["a"], output="pooled")


def test_a_bundle_gives_the_same_ragged_vectors(tmp_path: Path) -> None:
    from zoo_export.build import build_bundle
    from zoo_export.parity import default_profile

    row = tiny_row("colbertv2")
    build_bundle(row, tmp_path / "b", profile=default_profile(row), weights="random")
    opened, loaded = zoo.open(tmp_path / "b"), zoo.load(row, weights="random")
    assert isinstance(loaded, Encoder)

    texts = ["a, b.", "some words", "!"]
    for role in ("query", "document"):
        same(opened.encode(texts, role=role), loaded.encode(texts, role=role))


# Scores


def test_maxsim_sums_the_best_cosine_of_each_query_token() -> None:
    rng = np.random.default_rng(0)
    queries = [rng.normal(size=(n, 4)) for n in (3, 1)]
    documents = [rng.normal(size=(m, 4)) for m in (2, 5, 1)]

    scores = zoo.maxsim(queries, documents)

    for i, query in enumerate(queries):
        for j, document in enumerate(documents):
            cosines = [
                [q @ d / np.linalg.norm(q) / np.linalg.norm(d) for d in document] for q in query
            ]
            assert scores[i, j] == pytest.approx(sum(map(max, cosines)), rel=1e-6)


def test_maxsim_takes_single_arrays_and_empty_lists() -> None:
    one = np.eye(3, dtype=np.float32)

    assert zoo.maxsim(one, one).tolist() == [[3.0]]
    assert zoo.maxsim([], [one]).shape == (0, 1)
    assert zoo.maxsim([one], []).shape == (1, 0)
    with pytest.raises(InputError, match="Document 1 has no vector"):
        zoo.maxsim([one], [one, one[:0]])
    with pytest.raises(InputError, match="width 3 and 2"):
        zoo.maxsim([one], [one[:, :2]])


# Rows and files


@pytest.mark.parametrize("row", MODELS, ids=ROWS)
def test_a_file_of_full_size_is_covered_exactly(row: zoo.spec.ModelSpec) -> None:
    assert isinstance(row.config, BertConfig)
    body = replace(row.config, pooling="mean", normalize=False, dense=())
    header = {
        "linear.weight": (row.dim, body.width),
        **{f"bert.{key}": shape for key, shape in reference_header("bert", body, False).items()},
        "bert.embeddings.position_ids": (1, 512),
    }

    plan = assert_covers(row, header)

    assert dropped(plan) == {
        "bert.pooler.dense.weight", "bert.pooler.dense.bias", "bert.embeddings.position_ids",
    }  # fmt: skip


def test_rows_are_as_the_authors_have_them() -> None:
    assert (ROWS["colbertv2"].dim, ROWS["answerai-colbert-small-v1"].dim) == (128, 96)
    for row in MODELS:
        assert row.pooling == "none"
        assert row.outputs == ("tokens",)
        assert isinstance(row.preprocess, TextPreprocess)
        query, document = row.preprocess.roles["query"], row.preprocess.roles["document"]
        assert (query.max_length, query.marker, query.fill) == (32, "[unused0]", "[MASK]")
        assert (document.marker, document.fill) == ("[unused1]", "")
        assert (query.skip, document.skip) == ("", string.punctuation)
    assert ROWS["colbertv2"].preprocess.roles["document"].max_length == 180  # type: ignore[union-attr]  # of texts


def test_metadata_decides(folder: Path) -> None:
    edit_json(folder / "artifact.metadata", mask_punctuation=False, query_maxlen=9, doc_maxlen=6)
    encoder = load(folder)

    assert [len(one) for one in encoder.encode_document(["a, b", "a " * 30])] == [6, 6]
    assert len(encoder.encode_query("a")) == 9


def test_without_metadata_the_authors_defaults_hold(folder: Path) -> None:
    (folder / "artifact.metadata").unlink()
    tensors = load_file(folder / "model.safetensors")
    tensors["linear.weight"] = torch.randn(128, 32)
    save_file(tensors, folder / "model.safetensors")
    encoder = load(folder)

    assert encoder.spec.config == several(BODY, 128)
    assert encoder.encode_query("a").shape == (32, 128)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"attend_to_mask_tokens": True}, UnsupportedCheckpointError, "attend_to_mask_tokens"),
        ({"similarity": "l2"}, UnsupportedCheckpointError, "similarity"),
        ({"dim": "8"}, FormatError, "'dim' must be an integer"),
        ({"query_maxlen": 3}, FormatError, "from 4 to"),
        ({"query_token_id": "[nothing]"}, FormatError, r"lacks the token '\[nothing\]'"),
    ],
)
def test_what_cannot_be_honoured_is_refused(
    folder: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    edit_json(folder / "artifact.metadata", **changes)

    with pytest.raises(error, match=message):
        load(folder).encode_query("a")


def test_a_colbert_over_another_body_than_bert_is_refused(folder: Path) -> None:
    body = {"vocab_size": 48, "d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    edit_json(folder / "config.json", model_type="t5", **body)

    with pytest.raises(UnsupportedCheckpointError, match="a ColBERT over t5"):
        load(folder)
