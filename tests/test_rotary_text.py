"""Nomic's BERT and ModernBERT: what is easily done wrong, and whole pipelines."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

import zoo
from tests.bert_references import edit_json, write_vocab
from tests.reference import FLOAT32, FLOAT64, relative_error
from tests.text_kinds import (
    MODERNBERT,
    NOMIC,
    ids_and_mask,
    live,
    load,
    reference,
    run,
    save,
)
from tests.tiny_rows import tiny_row
from zoo.encoder import Encoder
from zoo.errors import FormatError, UnsupportedCheckpointError
from zoo.nn.rotary import line_rope
from zoo_text.families import modernbert, nomic
from zoo_text.nets.rotary import RotaryBert
from zoo_text.rotary_config import RotaryConfig

TEXTS = ["a bad cab", "face", "the dog bed " * 9, "", "fade jade g", "q r s t u"]
NOMIC_ROWS = {row.name: row for row in nomic.MODELS}


def net_of(config: RotaryConfig) -> RotaryBert:
    net = live(config)
    assert isinstance(net, RotaryBert)
    return net


def test_nomics_rotations_have_the_base_1000() -> None:
    assert {getattr(row.config, "theta", 0) for row in nomic.MODELS} == {1000.0}
    ids, mask = ids_and_mask(NOMIC, 12)
    usual = net_of(replace(NOMIC, theta=10_000.0))

    with torch.no_grad():
        found = net_of(NOMIC)(ids, mask).pooled
        assert relative_error(found, usual(ids, mask).pooled) > 1e-3


def test_a_place_turns_each_pair_by_its_own_angle() -> None:
    cos, sin = line_rope(5, 6, 100.0, torch.zeros(1, dtype=torch.float64))

    for place in range(5):
        for pair in range(3):
            angle = torch.tensor(place * 100.0 ** (-2 * pair / 6), dtype=torch.float64)
            for half in (pair, pair + 3):
                assert relative_error(cos[place, half], angle.cos()) <= FLOAT64
                torch.testing.assert_close(sin[place, half], angle.sin())


def test_nomics_vocabulary_is_filled_up_to_a_multiple_of_64() -> None:
    assert {getattr(row.config, "vocab", 0) for row in nomic.MODELS} == {30528}
    assert 30528 % 64 == 0


def test_version_1_5_has_a_layer_norm_before_it_is_cut_and_version_1_has_not() -> None:
    assert getattr(NOMIC_ROWS["nomic-embed-text-v1.5"].config, "vector_norm", False)
    assert NOMIC_ROWS["nomic-embed-text-v1.5"].matryoshka == (768, 512, 256, 128, 64)
    assert not getattr(NOMIC_ROWS["nomic-embed-text-v1"].config, "vector_norm", True)
    assert NOMIC_ROWS["nomic-embed-text-v1"].matryoshka == ()


def test_a_cut_vector_is_the_authors() -> None:
    row = replace(tiny_row("nomic-embed-text-v1.5"), matryoshka=(8,))
    encoder = zoo.load(row, weights="random")
    plain = zoo.load(row.with_config(vector_norm=False, normalize=False), weights="random")
    assert isinstance(encoder, Encoder)
    assert isinstance(plain, Encoder)
    means = torch.from_numpy(plain.encode(TEXTS))

    normed = F.layer_norm(means, (16,))
    cut, whole = encoder.encode(TEXTS, dims=8), encoder.encode(TEXTS)

    assert relative_error(whole, F.normalize(normed, dim=1)) <= FLOAT32
    assert relative_error(cut, F.normalize(normed[:, :8], dim=1)) <= FLOAT32
    assert relative_error(cut, F.normalize(means[:, :8], dim=1)) > 1e-3


def test_each_role_has_its_prefix() -> None:
    for row in (*nomic.MODELS, *modernbert.MODELS):
        recipe = row.preprocess
        roles = getattr(recipe, "roles", {})
        assert roles["query"].prompt == "search_query: "
        assert roles["document"].prompt == "search_document: "
        assert set(getattr(recipe, "prompts", ())) == {"clustering", "classification"}
        assert getattr(recipe, "default_role", None) == "document"


def test_the_gate_is_the_twelfth_matrix_not_the_eleventh(tmp_path: Path) -> None:
    folder = save(reference("nomic"), tmp_path)
    encoder = load(folder)
    tensors = load_file(folder / "model.safetensors")

    fused = encoder.module.get_parameter("blocks.0.mlp.fc1.weight")

    assert torch.equal(fused[:48], tensors["encoder.layers.0.mlp.fc12.weight"])
    assert torch.equal(fused[48:], tensors["encoder.layers.0.mlp.fc11.weight"])


def test_the_first_norm_of_modernbert_is_left_out_and_a_last_one_follows() -> None:
    names = {name for name, _ in net_of(MODERNBERT).named_parameters()}

    assert "blocks.0.attention_norm.weight" not in names
    assert {"blocks.1.attention_norm.weight", "norm.weight"} <= names
    assert not [name for name in names if name.endswith("bias")]


def test_every_third_block_sees_all_and_the_others_64_tokens_on_each_side() -> None:
    (row,) = modernbert.MODELS
    config = row.config
    assert isinstance(config, RotaryConfig)

    assert [place for place in range(22) if not config.is_local(place)] == [
        0,
        3,
        6,
        9,
        12,
        15,
        18,
        21,
    ]
    assert (config.window, config.theta, config.local_theta) == (64, 160_000.0, 10_000.0)


def test_a_window_reaches_as_far_on_both_sides() -> None:
    from zoo_text.nets.rotary import _near

    seen = _near(None, 9, 2, torch.zeros(1))[0, 0] == 0

    assert [row.nonzero().flatten().tolist() for row in seen][:4] == [
        [0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3, 4], [1, 2, 3, 4, 5],
    ]  # fmt: skip


def test_padding_further_away_than_the_window_makes_no_nan() -> None:
    net = net_of(replace(MODERNBERT, window=1))
    ids, mask = ids_and_mask(MODERNBERT, 20)

    with torch.no_grad():
        out = net(ids, mask)

    assert torch.isfinite(out.tokens).all()
    assert torch.isfinite(out.pooled).all()


@pytest.mark.parametrize("kind", ["nomic", "modernbert"])
def test_a_sentence_transformers_folder_equals_the_library(kind: str, tmp_path: Path) -> None:
    theirs = sentence_transformer(tmp_path / "st", kind)
    ours = zoo.load(str(tmp_path / "st"))
    assert isinstance(ours, Encoder)

    def same(one: Any, other: Any) -> bool:
        return relative_error(one, other) <= FLOAT32

    assert same(ours.encode(TEXTS), theirs.encode(TEXTS))
    assert same(ours.encode_query(TEXTS), theirs.encode_query(TEXTS))
    assert same(ours.encode_document(TEXTS), theirs.encode_document(TEXTS))
    assert not same(ours.encode_query(TEXTS), ours.encode_document(TEXTS))


# As the authors' repositories spell it; `auto_map` names code that is not needed here.
AUTHORS = {
    "model_type": "nomic_bert", "auto_map": {"AutoModel": "modeling_hf_nomic_bert.NomicBertModel"},
    "vocab_size": 48, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_inner": 48, "n_positions": 64,
    "activation_function": "swiglu", "layer_norm_epsilon": 1e-12, "prenorm": False,
    "qkv_proj_bias": False, "mlp_fc1_bias": False, "mlp_fc2_bias": False, "type_vocab_size": 2,
    "rotary_emb_base": 1000, "rotary_emb_fraction": 1.0, "rotary_emb_interleaved": False,
    "rotary_emb_scale_base": None, "rotary_scaling_factor": None, "use_rms_norm": False,
}  # fmt: skip


def test_the_authors_configuration_means_the_same_and_runs_no_code(tmp_path: Path) -> None:
    folder = save(reference("nomic"), tmp_path)
    expected = load(folder)
    (folder / "config.json").write_text(json.dumps(AUTHORS))
    (folder / "modeling_hf_nomic_bert.py").write_text("raise SystemExit('executed')")
    ids, mask = ids_and_mask(NOMIC, 9)

    found = load(folder)

    assert found.spec.config == expected.spec.config
    assert torch.equal(run(found, ids, mask).pooled, run(expected, ids, mask).pooled)


@pytest.mark.parametrize(
    "changes",
    [
        {"activation_function": "gelu"},
        {"rotary_emb_fraction": 0.5},
        {"rotary_emb_interleaved": True},
        {"rotary_scaling_factor": 2},
        {"prenorm": True},
        {"qkv_proj_bias": True},
    ],
)
def test_another_network_of_the_authors_code_is_refused(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    folder = save(reference("nomic"), tmp_path)
    (folder / "config.json").write_text(json.dumps({**AUTHORS, **changes}))

    with pytest.raises(UnsupportedCheckpointError, match=next(iter(changes))):
        load(folder)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"attention_bias": True}, UnsupportedCheckpointError, "attention_bias"),
        ({"layer_types": ["full_attention"]}, FormatError, "layer_types"),
        ({"layer_types": [["full_attention"]] * 5}, FormatError, "layer_types"),
        (
            {"layer_types": ["sliding_attention", *["full_attention"] * 4]},
            UnsupportedCheckpointError,
            "regular pattern",
        ),
        (
            {"rope_parameters": {"full_attention": {"rope_type": "yarn"}}},
            UnsupportedCheckpointError,
            "rope_type = 'yarn'",
        ),
    ],
)
def test_another_modernbert_is_refused(
    changes: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    folder = save(reference("modernbert"), tmp_path)
    edit_json(folder / "config.json", **changes)

    with pytest.raises(error, match=message):
        load(folder)


def test_a_modernbert_of_older_spelling_means_the_same(tmp_path: Path) -> None:
    folder = save(reference("modernbert"), tmp_path)
    expected = load(folder).spec.config

    edit_json(
        folder / "config.json", layer_types=None, rope_parameters=None,
        global_attn_every_n_layers=2, global_rope_theta=160_000.0, local_rope_theta=10_000.0,
    )  # fmt: skip

    assert load(folder).spec.config == expected
    assert np.isfinite(load(folder, torch.float32).encode(["a b"])).all()


def sentence_transformer(folder: Path, kind: str) -> Any:
    """Save a tiny live model with mean, norm and prompts; returns the reference model."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules
    from transformers import BertTokenizer

    plain = save(reference(kind, dtype=torch.float32), folder.with_name("body"))
    (plain / "tokenizer.json").unlink()
    write_vocab(plain)
    BertTokenizer.from_pretrained(plain).save_pretrained(plain)
    model = SentenceTransformer(
        modules=[
            modules.Transformer(str(plain), max_seq_length=16),
            modules.Pooling(32, "mean"),
            modules.Normalize(),
        ],
        prompts={"query": "search_query: ", "document": "search_document: "},
        device="cpu",
    )
    model.save(str(folder), create_model_card=False)
    return model
