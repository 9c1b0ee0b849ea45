"""Every row with BERT's network: full-size coverage without memory, and its checkpoint's traps."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch

from tests.bert_references import kind, reference, reference_config, save
from tests.full_size import assert_covers, dropped, shapes
from zoo.errors import KeyMapError
from zoo.keys import Shape
from zoo.spec import ModelSpec, TextPreprocess
from zoo.weights import open_checkpoint
from zoo_text.configs import BertConfig
from zoo_text.plugin import zoo_models

ROWS = {
    row.name: row
    for row in zoo_models()
    if isinstance(row.config, BertConfig) and row.pooling != "none"  # those have tests of their own
}


def config_of(row: ModelSpec) -> BertConfig:
    assert isinstance(row.config, BertConfig)
    return row.config


def text_of(name: str) -> TextPreprocess:
    recipe = ROWS[name].preprocess
    assert isinstance(recipe, TextPreprocess)
    return recipe


def model_type(row: ModelSpec) -> str:
    """Return the model type whose files the row's numbers speak of."""
    if row.family.name in ("distilbert", "electra"):
        return row.family.name
    return "roberta" if config_of(row).position_offset else "bert"


def needs_pooler_of_bare_file(row: ModelSpec) -> bool:
    """Whether the row needs a pooler, which RoBERTa's files with a head do not have."""
    return config_of(row).pooling == "pooler" and model_type(row) == "roberta"


@cache
def reference_header(name: str, body: BertConfig, headed: bool) -> dict[str, Shape]:
    """Return names and shapes of a full-size reference model."""
    classes = kind(name)
    with torch.device("meta"):
        model = (classes.headed if headed else classes.bare)(reference_config(name, body))
    return shapes(model.state_dict())


def header_of(row: ModelSpec, *, headed: bool) -> dict[str, Shape]:
    body = replace(config_of(row), pooling="mean", normalize=False, dense=())
    return reference_header(model_type(row), body, headed)


def assert_covers_exactly(row: ModelSpec, header: dict[str, Shape]) -> None:
    plan = assert_covers(row, header)

    assert not [key for key in dropped(plan) if ".layer." in key or "_embeddings" in key]


@pytest.mark.parametrize("headed", [False, True], ids=["bare", "headed"])
@pytest.mark.parametrize("name", ["bert", "roberta", "distilbert", "electra"])
def test_the_names_below_are_those_that_files_have(name: str, headed: bool, tmp_path: Path) -> None:
    model = reference(name, headed=headed)
    save(model, tmp_path)

    saved = set(open_checkpoint([tmp_path / "model.safetensors"]).header)

    tied = {"lm_head.decoder.weight", "lm_head.decoder.bias", "cls.predictions.decoder.weight",
            "cls.predictions.decoder.bias", "vocab_projector.weight"}  # fmt: skip
    assert saved <= set(model.state_dict())
    assert set(model.state_dict()) - saved <= tied


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_bare_file_with_a_buffer_of_positions_is_covered_exactly(row: ModelSpec) -> None:
    buffer = {"embeddings.position_ids": (1, config_of(row).max_positions)}

    assert_covers_exactly(row, header_of(row, headed=False) | buffer)


@pytest.mark.parametrize(
    "row",
    [row for row in ROWS.values() if not needs_pooler_of_bare_file(row)],
    ids=lambda row: row.name,
)
def test_a_file_with_prefix_heads_and_old_norms_is_covered_exactly(row: ModelSpec) -> None:
    header = header_of(row, headed=True)
    if model_type(row) == "bert":
        header = {
            key.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta"): shape
            for key, shape in header.items()
        }

    assert_covers_exactly(row, header)


# What the catalog counts, and what that has beyond our network: the pooler, which only SimCSE uses.
@pytest.mark.parametrize(
    ("name", "catalog", "pooler_width"),
    [
        ("bert-base-uncased", 109_482_240, 768),
        ("mbert-base-cased", 177_853_440, 768),
        ("roberta-base", 124_645_632, 768),
        ("roberta-large", 355_359_744, 1024),
        ("xlm-roberta-base", 278_043_648, 768),
        ("xlm-roberta-large", 559_890_432, 1024),
        ("distilbert-base-uncased", 66_362_880, 0),
        ("electra-base", 108_891_648, 0),
        ("electra-small", 13_483_008, 0),
        ("all-minilm-l6-v2", 22_713_216, 384),
        ("simcse-sup-bert-base", 109_482_240, 0),
        ("bge-m3", 567_754_752, 1024),
    ],
)
def test_counts_differ_from_the_catalog_by_the_pooler(
    name: str, catalog: int, pooler_width: int
) -> None:
    assert ROWS[name].params + pooler_width * (pooler_width + 1) == catalog


@pytest.mark.parametrize("name", ROWS)
def test_its_longest_text_has_a_position_for_each_token(name: str) -> None:
    config, recipe = config_of(ROWS[name]), text_of(name)

    assert recipe.max_length <= config.longest
    assert recipe.pad_id < config.vocab
    if config.position_offset:
        assert recipe.pad_id == config.pad_id == config.position_offset - 1


def test_minilm_is_cut_at_its_own_length_not_at_that_of_its_tokenizer_file() -> None:
    assert text_of("all-minilm-l6-v2").max_length == 256
    assert text_of("all-minilm-l12-v2").max_length == 128


@pytest.mark.parametrize("name", ["multilingual-e5-small", "paraphrase-multilingual-minilm-l12-v2"])
def test_berts_body_with_xlm_rs_pieces_counts_positions_from_zero(name: str) -> None:
    assert config_of(ROWS[name]).position_offset == 0
    assert config_of(ROWS[name]).max_positions == 512
    assert text_of(name).pad_id == 1


@pytest.mark.parametrize("name", ["roberta-base", "xlm-roberta-base", "multilingual-e5-base"])
def test_robertas_body_counts_positions_from_two(name: str) -> None:
    assert config_of(ROWS[name]).position_offset == 2
    assert config_of(ROWS[name]).longest == 512


@pytest.mark.parametrize("name", [name for name in ROWS if name.startswith("bge-")])
def test_bge_takes_the_class_token(name: str) -> None:
    assert config_of(ROWS[name]).pooling == "cls"
    assert config_of(ROWS[name]).normalize


@pytest.mark.parametrize("name", ["gte-small", "gte-base", "gte-large"])
def test_the_first_gte_takes_the_mean(name: str) -> None:
    assert config_of(ROWS[name]).pooling == "mean"
    assert config_of(ROWS[name]).normalize


def test_supervised_simcse_keeps_its_pooler_and_unsupervised_does_not() -> None:
    poolings = {row.name: row.pooling for row in ROWS.values() if row.family.name == "simcse"}

    assert poolings.pop("simcse-unsup-bert-base") == "cls"
    assert set(poolings.values()) == {"pooler"}


def test_supervised_simcse_cannot_be_made_of_a_file_without_pooler() -> None:
    row = ROWS["simcse-sup-roberta-base"]

    with pytest.raises(KeyMapError, match=r"Nothing in the file fills 'pooler\.(weight|bias)'"):
        assert_covers(row, header_of(row, headed=True))


@pytest.mark.parametrize("name", ["bert-base-cased", "mbert-base-cased", "distilbert-base-cased"])
def test_cased_models_keep_case_and_accents(name: str) -> None:
    assert not text_of(name).lower


def test_e5_puts_query_before_a_text_without_role() -> None:
    recipe = text_of("e5-base-v2")

    assert recipe.default_role == "query"
    assert recipe.roles["query"].prompt == "query: "
    assert recipe.roles["document"].prompt == "passage: "


def test_bge_and_instructed_e5_put_nothing_before_documents() -> None:
    for name in ("bge-base-en-v1.5", "multilingual-e5-large-instruct"):
        recipe = text_of(name)
        assert recipe.default_role is None
        assert recipe.roles["query"].prompt
        assert not recipe.roles["document"].prompt


def test_only_the_multilingual_minilm_and_plain_models_leave_vectors_unscaled() -> None:
    embedders = {"sentence-bert", "e5", "gte", "bge", "bge-m3"}
    unscaled = {
        row.name
        for row in ROWS.values()
        if row.family.name in embedders and not config_of(row).normalize
    }

    assert unscaled == {"paraphrase-multilingual-minilm-l12-v2", "sbert-bert-base-nli-mean"}
