"""A folder of PyLate against sentence-transformers' own reading of it."""

from __future__ import annotations

import json
import string
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

import zoo
from tests import colbert_reference
from tests.bert_references import edit_json, kind, reference_config
from tests.colbert_reference import BODY, DOCUMENTS, QUERIES, WIDTH
from tests.reference import FLOAT32, FLOAT64, make_live, relative_error
from tests.text_kinds import KINDS, MODERNBERT
from zoo.encoder import Encoder
from zoo.errors import FormatError, UnsupportedCheckpointError
from zoo.preprocess import Array
from zoo_export.build import build_bundle
from zoo_export.parity import default_profile

MODERN = replace(MODERNBERT, vocab=96, pad_id=0, window=16)
SETTINGS = {
    "model_type": "ColBERT", "prompts": {}, "default_prompt_name": None,
    "similarity_fn_name": "MaxSim", "query_prefix": "[Q] ", "document_prefix": "[D] ",
    "query_length": 12, "document_length": 20, "attend_to_expansion_tokens": False,
    "skiplist_words": list(string.punctuation), "do_query_expansion": True,
}  # fmt: skip
DENSE = {"in_features": 32, "out_features": WIDTH, "bias": False,
         "activation_function": "torch.nn.modules.linear.Identity"}  # fmt: skip


def body(name: str, dtype: torch.dtype = torch.float32) -> Any:
    """Return a tiny live body."""
    if name == "bert":
        return make_live(kind("bert").bare(reference_config("bert", BODY))).to(dtype)
    modern = KINDS["modernbert"]
    with modern.wide(dtype):
        model = modern.make(MODERN).to(dtype)
    angles = {name: buffer.clone() for name, buffer in model.named_buffers()}
    make_live(model)
    for name, buffer in model.named_buffers():  # which are no weights
        buffer.copy_(angles[name])
    return model


def save(folder: Path, name: str, **settings: Any) -> Path:
    """Save a tiny ColBERT as PyLate does; returns the folder."""
    colbert_reference.save(folder)  # for its words
    for file in ("artifact.metadata", "config.json", "model.safetensors"):
        (folder / file).unlink()
    tokenizer: Any = transformers.BertTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["[Q] ", "[D] "])
    tokenizer.save_pretrained(folder)
    body(name).save_pretrained(folder)
    modules = [
        {"idx": 0, "name": "0", "path": "",
         "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Dense", "type": "pylate.models.Dense.Dense"},
    ]  # fmt: skip
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "config_sentence_transformers.json").write_text(json.dumps(SETTINGS | settings))
    # PyLate sets the length at each call, so that a file may hold that of its last one
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 11}))
    dense = folder / "1_Dense"
    dense.mkdir()
    (dense / "config.json").write_text(json.dumps(DENSE))
    weight = torch.randn(WIDTH, 32, generator=torch.Generator().manual_seed(3)) * 32**-0.5
    save_file({"linear.weight": weight}, dense / "model.safetensors")
    return folder


def load(folder: Path, dtype: str = "float32") -> Encoder:
    encoder = zoo.load(str(folder), dtype=dtype)
    assert isinstance(encoder, Encoder)
    return encoder


def same(ours: list[Array], theirs: list[Any]) -> None:
    assert [len(one) for one in ours] == [len(one) for one in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert relative_error(one, other) <= FLOAT32


@pytest.mark.parametrize("expanded", [True, False], ids=["filled queries", "plain queries"])
@pytest.mark.parametrize("name", ["bert", "modernbert"])
def test_queries_and_documents_equal_the_reference(
    name: str, expanded: bool, tmp_path: Path
) -> None:
    from sentence_transformers import MultiVectorEncoder

    folder = save(tmp_path / "colbert", name, do_query_expansion=expanded)
    theirs: Any = MultiVectorEncoder(str(folder), device="cpu")
    ours = load(folder)

    same(ours.encode_query(QUERIES), theirs.encode_query(QUERIES))
    same(ours.encode_document(DOCUMENTS), theirs.encode_document(DOCUMENTS))


@pytest.mark.parametrize("name", ["bert", "modernbert"])
@torch.no_grad()
def test_in_float64_it_equals_its_body_projected_and_scaled(name: str, tmp_path: Path) -> None:
    folder = save(tmp_path / "colbert", name)
    encoder = load(folder, "float64")
    batch = encoder.preprocess(DOCUMENTS, role="document")
    ids, mask = torch.from_numpy(batch["input_ids"]), torch.from_numpy(batch["attention_mask"])
    model = body(name, torch.float64)
    tokens = (
        KINDS["modernbert"].run(model, ids, mask)
        if name == "modernbert"
        else model(ids, mask).last_hidden_state
    )
    weight = load_file(folder / "1_Dense/model.safetensors")["linear.weight"].double()

    found = encoder(batch).tokens

    kept = torch.from_numpy(batch["vector_mask"])[..., None]
    assert relative_error(found, F.normalize(tokens @ weight.T, dim=-1) * kept) <= FLOAT64
    assert encoder.spec.params == sum(p.numel() for p in encoder.module.parameters())


@pytest.mark.slow
def test_a_graph_of_modernbert_gives_the_same_vectors(tmp_path: Path) -> None:
    folder = save(tmp_path / "colbert", "modernbert")
    ours = load(folder)
    build_bundle(ours.spec, tmp_path / "b", profile=default_profile(ours.spec))

    opened = zoo.open(tmp_path / "b")

    for role, texts in (("query", QUERIES), ("document", DOCUMENTS)):
        same(opened.encode(texts, role=role), ours.encode(texts, role=role))


def test_marks_lengths_and_characters_are_those_of_the_file(tmp_path: Path) -> None:
    encoder = load(save(tmp_path / "colbert", "bert", skiplist_words=["."], query_length=9))

    query = encoder.preprocess(["a b"], role="query")
    document = encoder.preprocess(["a. b!" + " a" * 30], role="document")

    words = ["[CLS]", "[Q] ", "a", "b", "[SEP]", *["[MASK]"] * 4]
    id_of = encoder.preprocessor.tokenizer.token_to_id  # type: ignore[attr-defined]  # of texts
    assert query["input_ids"][0].tolist() == [id_of(word) for word in words]
    assert document["input_ids"].shape == (1, 20)
    assert document["vector_mask"][0].tolist() == [1, 1, 1, 0, *[1] * 16]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"attend_to_expansion_tokens": True}, UnsupportedCheckpointError, "attend_to_expansion"),
        ({"skiplist_words": ["the"]}, UnsupportedCheckpointError, "whole words"),
        ({"skiplist_words": "."}, FormatError, "skiplist_words"),
        ({"query_length": 3}, FormatError, "from 4 to"),
        ({"query_length": 18}, UnsupportedCheckpointError, "see none of the text"),
    ],
)
def test_what_cannot_be_honoured_is_refused(
    changes: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    folder = save(tmp_path / "colbert", "modernbert", **changes)

    with pytest.raises(error, match=message):
        zoo.resolve(str(folder))


def test_a_dense_layer_on_the_texts_vector_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "colbert", "bert")
    edit_json(folder / "1_Dense" / "config.json", module_input_name="sentence_embedding")

    with pytest.raises(UnsupportedCheckpointError, match="not on 'token_embeddings'"):
        zoo.resolve(str(folder))


def test_another_body_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "colbert", "bert")
    body = {"vocab_size": 96, "d_model": 32, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    edit_json(folder / "config.json", model_type="t5", **body)

    with pytest.raises(UnsupportedCheckpointError, match="a ColBERT over t5"):
        zoo.resolve(str(folder))
