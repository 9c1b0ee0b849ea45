"""A language model as an encoder: what is easily done wrong, and whole pipelines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo
from tests.bert_references import edit_json
from tests.reference import FLOAT32, FLOAT64, relative_error
from tests.text_kinds import MISTRAL, ids_and_mask, live, load, reference, run, save, unigram
from zoo.encoder import Encoder
from zoo.errors import FormatError, UnsupportedCheckpointError
from zoo.keys import make_plan
from zoo.preprocess import Sample
from zoo.preprocess.text import TextPreprocessor
from zoo.spec import TextPreprocess
from zoo.weights import open_checkpoint
from zoo_text.families.e5_mistral import MODELS
from zoo_text.nets.decoder import Decoder

(ROW,) = MODELS
TEXTS = ["a bad cab", "face", "the dog bed " * 9, "", "fade jade g", "q r s t u"]


def net_of(**changes: Any) -> Decoder:
    net = live(replace(MISTRAL, **changes))
    assert isinstance(net, Decoder)
    return net


def influence(net: Decoder) -> list[list[int]]:
    """Return for each token the places whose ids change it, in a net of one block."""
    ids = torch.arange(10, 20)[None]
    seen: list[list[int]] = [[] for _ in range(10)]
    with torch.no_grad():
        before = net(ids).tokens[0]
        for place in range(10):
            other = ids.clone()
            other[0, place] = 40
            changed = (net(other).tokens[0] != before).any(-1)
            for token in changed.nonzero().flatten().tolist():
                seen[token].append(place)
    return seen


@pytest.mark.parametrize(
    ("causal", "window", "expected"),
    [
        (True, 0, [list(range(token + 1)) for token in range(10)]),
        (True, 3, [list(range(max(0, token - 2), token + 1)) for token in range(10)]),
        (False, 0, [list(range(10))] * 10),
        (False, 3, [list(range(max(0, t - 2), min(10, t + 3))) for t in range(10)]),
    ],
)
def test_what_a_token_sees_is_a_field(causal: bool, window: int, expected: list[list[int]]) -> None:
    assert influence(net_of(depth=1, causal=causal, window=window)) == expected


def test_the_vector_is_that_of_the_last_real_token(tmp_path: Path) -> None:
    encoder = load(save(reference("mistral"), tmp_path))
    ids, mask = ids_and_mask(MISTRAL, 9)

    out = run(encoder, ids, mask)

    assert encoder.spec.pooling == ROW.pooling == "last"
    assert "last token" in encoder.spec.note
    for row, size in enumerate(mask.sum(1).tolist()):
        assert torch.equal(out.pooled[row], out.tokens[row, size - 1])


def test_neighbouring_queries_share_a_key() -> None:
    attention = net_of().blocks[0].get_submodule("attention")
    keys = torch.arange(2.0).reshape(1, 2, 1, 1)

    repeated = attention._repeat(keys)  # type: ignore[operator]  # a method of ours

    assert repeated.flatten().tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("template", [True, False])
def test_every_text_ends_with_the_closing_token_also_when_cut(
    template: bool, tmp_path: Path
) -> None:
    tokenizer = unigram()
    if not template:
        tokenizer.post_processor = None
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert isinstance(ROW.preprocess, TextPreprocess)
    recipe = replace(ROW.preprocess, max_length=8, roles={})
    ours = TextPreprocessor(recipe, tmp_path / "tokenizer.json")

    samples = [s for s in ours.prepare(["a", "b " * 30]) if isinstance(s, Sample)]

    assert [sample.arrays["input_ids"].tolist()[-1] for sample in samples] == [1, 1]
    assert [sample.size for sample in samples] == [2, 8]


def test_queries_carry_an_instruction_and_documents_none() -> None:
    assert isinstance(ROW.preprocess, TextPreprocess)
    roles = ROW.preprocess.roles

    assert roles["query"].prompt == (
        "Instruct: Given a web search query, retrieve relevant passages that answer the query\n"
        "Query: "
    )
    assert roles["document"].prompt == ""
    assert ROW.preprocess.default_role is None
    assert ROW.preprocess.ending == "</s>"


def test_no_matrix_is_joined_with_another_so_that_all_stay_mapped(tmp_path: Path) -> None:
    folder = save(reference("mistral"), tmp_path)
    encoder = load(folder)
    header = open_checkpoint([folder / "model.safetensors"]).header
    wanted = {name: tuple(t.shape) for name, t in encoder.module.state_dict().items()}

    plan = make_plan(ROW.family.keymaps, header, wanted)

    assert {len(assignment.sources) for assignment in plan.assignments} == {1}
    assert not any(a.rule.transpose or a.rule.flatten for a in plan.assignments)


def test_shards_are_read_as_one(tmp_path: Path) -> None:
    model = reference("mistral")
    whole = load(save(model, tmp_path / "whole"))
    split = tmp_path / "split"
    model.save_pretrained(split, max_shard_size="30KB")
    unigram().save(str(split / "tokenizer.json"))
    assert len(list(split.glob("*.safetensors"))) > 2
    ids, mask = ids_and_mask(MISTRAL, 9)

    found = load(split)

    assert found.spec.weights.files[0] == "model.safetensors.index.json"
    assert ROW.weights.files == ("model.safetensors.index.json",)
    assert torch.equal(run(found, ids, mask).pooled, run(whole, ids, mask).pooled)


def test_a_sentence_transformers_folder_equals_the_library(tmp_path: Path) -> None:
    theirs = sentence_transformer(tmp_path / "st")
    ours = zoo.load(str(tmp_path / "st"))
    assert isinstance(ours, Encoder)

    assert relative_error(ours.encode(TEXTS), theirs.encode(TEXTS)) <= FLOAT32
    assert relative_error(ours.encode_query(TEXTS), theirs.encode_query(TEXTS)) <= FLOAT32
    assert relative_error(ours.encode_query(TEXTS), ours.encode(TEXTS)) > 1e-3


@pytest.mark.parametrize("token", ["</s>", {"content": "</s>", "lstrip": False}])
def test_a_tokenizers_wish_for_a_closing_token_is_heard(token: object, tmp_path: Path) -> None:
    folder = save(reference("mistral", dtype=torch.float32), tmp_path)
    tokenizer = unigram()
    tokenizer.post_processor = None
    tokenizer.save(str(folder / "tokenizer.json"))
    plain = load(folder, torch.float32)
    edit_json(folder / "tokenizer_config.json", add_eos_token=True, eos_token=token)

    ended = load(folder, torch.float32)

    assert plain.preprocess(["a"])["input_ids"].tolist() == [[25]]
    assert ended.preprocess(["a"])["input_ids"].tolist() == [[25, 1]]


def test_a_vector_of_a_causal_net_does_not_depend_on_what_follows() -> None:
    net = net_of()
    ids, _ = ids_and_mask(MISTRAL, 12)

    with torch.no_grad():
        short, long = net(ids[:1, :7]), net(ids[:1])

    assert relative_error(short.tokens, long.tokens[:, :7]) <= FLOAT64


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"num_key_value_heads": 4}, FormatError, "4 heads of keys do not divide 6"),
        ({"num_key_value_heads": 12}, FormatError, "from 1 to 6"),
        ({"rope_scaling": {"type": "yarn"}}, UnsupportedCheckpointError, "rope_scaling"),
        (
            {"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e4}},
            UnsupportedCheckpointError,
            "rope_type",
        ),
        ({"sliding_window": -1}, FormatError, "sliding_window"),
    ],
)
def test_what_cannot_be_honoured_is_refused(
    changes: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    folder = save(reference("mistral"), tmp_path)
    edit_json(folder / "config.json", **changes)

    with pytest.raises(error, match=message):
        load(folder)


def sentence_transformer(folder: Path) -> Any:
    """Save a tiny live model that pools by the last token; returns the reference model."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules
    from transformers import PreTrainedTokenizerFast

    plain = save(reference("mistral", dtype=torch.float32), folder.with_name("body"))
    PreTrainedTokenizerFast(
        tokenizer_file=str(plain / "tokenizer.json"),
        eos_token="</s>", pad_token="<unk>", unk_token="<unk>", padding_side="left",
    ).save_pretrained(plain)  # fmt: skip
    model = SentenceTransformer(
        modules=[
            modules.Transformer(str(plain), max_seq_length=32),
            modules.Pooling(32, "lasttoken"),
            modules.Normalize(),
        ],
        prompts={"query": "abc def ", "document": ""},
        device="cpu",
    )
    model.save(str(folder), create_model_card=False)
    return model
