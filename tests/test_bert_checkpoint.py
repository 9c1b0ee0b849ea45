"""Folders and repositories with no row: what they say is done, or refused with the reason."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import zoo
from tests.bert_references import edit_json, ids_and_mask, reference, rewrite, save, tiny
from tests.reference import FLOAT32, FLOAT64, relative_error
from zoo.encoder import Encoder
from zoo.errors import FormatError, OptionError, UnsupportedCheckpointError, ZooError
from zoo.spec import TextPreprocess
from zoo_text.configs import BertConfig

PROMPTS = "config_sentence_transformers.json"
TEXTS = ["a bad cab", "face", "the dog bed " * 9, "", "Fade Jade! [SEP] g", "q r s t u"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A plain transformers folder of a tiny BERT, with a vocabulary."""
    return save(reference("bert", dtype=torch.float32), tmp_path / "plain")


def load(folder: Path, dtype: torch.dtype = torch.float32) -> Encoder:
    encoder = zoo.load(str(folder), dtype=dtype)
    assert isinstance(encoder, Encoder)
    return encoder


def recipe(encoder: Encoder) -> TextPreprocess:
    assert isinstance(encoder.spec.preprocess, TextPreprocess)
    return encoder.spec.preprocess


def tokens(encoder: Encoder) -> torch.Tensor:
    ids, mask = ids_and_mask(tiny("bert"), 9)
    with torch.no_grad():
        out = encoder({"input_ids": ids, "attention_mask": mask}).tokens
    assert out is not None
    return out


def sentence_transformer(
    folder: Path,
    *,
    poolings: Any = "mean",
    dense: int = 1,
    normalize: bool = True,
    prompts: dict[str, str] | None = None,
    default: str | None = None,
    max_length: int = 16,
) -> Any:
    """Save a tiny live model with its own modules; returns the reference model."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules
    from transformers import BertTokenizer

    plain = save(reference("bert", dtype=torch.float32), folder.with_name("body"))
    BertTokenizer.from_pretrained(plain).save_pretrained(plain)
    parts: list[Any] = [
        modules.Transformer(str(plain), max_seq_length=max_length),
        modules.Pooling(32, poolings),
    ]
    generator = torch.Generator().manual_seed(5)
    layers = [(32, 24, torch.nn.Tanh()), (24, 8, torch.nn.Identity())]
    for width_in, width_out, activation in layers[:dense]:
        parts.append(
            modules.Dense(
                width_in,
                width_out,
                activation_function=activation,
                init_weight=torch.randn(width_out, width_in, generator=generator) * width_in**-0.5,
                init_bias=torch.randn(width_out, generator=generator) * 0.1,
            )
        )
    if normalize:
        parts.append(modules.Normalize())
    model = SentenceTransformer(
        modules=parts, prompts=prompts, default_prompt_name=default, device="cpu"
    )
    model.save(str(folder), create_model_card=False)
    return model


def test_a_plain_folder_pools_by_the_mean_and_says_so(folder: Path) -> None:
    encoder = load(folder)

    assert encoder.spec.pooling == "mean"
    assert not encoder.spec.config.normalize
    assert "mean" in encoder.spec.note
    assert encoder.spec.params == sum(p.numel() for p in encoder.module.parameters())
    assert encoder.encode(["a", "b"]).shape == (2, 32)


@pytest.mark.parametrize("poolings", ["mean", "cls", "max", "mean_sqrt_len_tokens", "lasttoken"])
def test_a_sentence_transformers_folder_equals_the_library(poolings: str, tmp_path: Path) -> None:
    theirs = sentence_transformer(tmp_path / "st", poolings=poolings, dense=2)
    ours = load(tmp_path / "st")

    assert ours.dim == 8
    assert ours.spec.config.normalize
    assert relative_error(ours.encode(TEXTS), theirs.encode(TEXTS)) <= FLOAT32


@pytest.mark.parametrize(("dense", "normalize"), [(0, False), (0, True), (1, False)])
def test_its_modules_may_be_fewer(dense: int, normalize: bool, tmp_path: Path) -> None:
    theirs = sentence_transformer(tmp_path / "st", dense=dense, normalize=normalize)

    assert relative_error(load(tmp_path / "st").encode(TEXTS), theirs.encode(TEXTS)) <= FLOAT32


def test_its_prompts_are_the_librarys(tmp_path: Path) -> None:
    prompts = {"query": "be a ", "passage": "ca ", "cluster": "de "}
    theirs = sentence_transformer(tmp_path / "st", prompts=prompts, default="cluster")
    ours = load(tmp_path / "st")

    def same(one: Any, other: Any) -> bool:
        return relative_error(one, other) <= FLOAT32

    assert same(ours.encode(TEXTS), theirs.encode(TEXTS))
    assert same(ours.encode_query(TEXTS), theirs.encode_query(TEXTS))
    assert same(ours.encode_document(TEXTS), theirs.encode_document(TEXTS))
    for name in prompts:
        assert same(ours.encode(TEXTS, prompt_name=name), theirs.encode(TEXTS, prompt_name=name))
    assert same(ours.encode(TEXTS, prompt="f "), theirs.encode(TEXTS, prompt="f "))
    assert not same(ours.encode(TEXTS), ours.encode(TEXTS, prompt=""))
    with pytest.raises(OptionError, match="no prompt 'other'"):
        ours.encode(TEXTS, prompt_name="other")


def test_its_longest_text_is_the_librarys(tmp_path: Path) -> None:
    sentence_transformer(tmp_path / "st", max_length=10)

    assert recipe(load(tmp_path / "st")).max_length == 10


def test_files_in_a_folder_of_their_own_are_found(tmp_path: Path) -> None:
    theirs = sentence_transformer(tmp_path / "st")
    inner = tmp_path / "st" / "0_Transformer"
    inner.mkdir()
    outside = {"modules.json", "config_sentence_transformers.json"}
    for path in (tmp_path / "st").iterdir():
        if path.is_file() and path.name not in outside:
            shutil.move(path, inner / path.name)
    modules = json.loads((tmp_path / "st" / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    (tmp_path / "st" / "modules.json").write_text(json.dumps(modules))

    assert relative_error(load(tmp_path / "st").encode(TEXTS), theirs.encode(TEXTS)) <= FLOAT32


def test_configs_of_older_versions_mean_the_same(tmp_path: Path) -> None:
    theirs = sentence_transformer(tmp_path / "st", poolings="cls", dense=0)
    modules = json.loads((tmp_path / "st" / "modules.json").read_text())
    for module in modules:
        module["type"] = "sentence_transformers.models." + module["type"].rpartition(".")[2]
    (tmp_path / "st" / "modules.json").write_text(json.dumps(modules))
    (tmp_path / "st" / "1_Pooling" / "config.json").write_text(
        json.dumps(
            {
                "word_embedding_dimension": 32,
                "pooling_mode_cls_token": True,
                "pooling_mode_mean_tokens": False,
            }
        )
    )

    assert relative_error(load(tmp_path / "st").encode(TEXTS), theirs.encode(TEXTS)) <= FLOAT32


def test_old_norm_names_prefix_and_buffers_make_no_difference(folder: Path) -> None:
    expected = tokens(load(folder))
    rewrite(
        folder,
        lambda key: (
            "bert." + key.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta")
        ),
    )
    path = folder / "model.safetensors"
    save_file(
        {**load_file(path), "bert.embeddings.position_ids": torch.arange(24)[None],
         "cls.predictions.bias": torch.zeros(48)}, path,
    )  # fmt: skip

    assert torch.equal(tokens(load(folder)), expected)


def test_distilbert_under_either_inner_name(tmp_path: Path) -> None:
    folder = save(reference("distilbert", dtype=torch.float32), tmp_path)
    expected = tokens(load(folder))

    rewrite(folder, lambda key: key.replace("transformer.layer", "encoder.layer"))

    assert torch.equal(tokens(load(folder)), expected)


def test_half_precision_on_disk_is_computed_in_full(folder: Path) -> None:
    path = folder / "model.safetensors"
    save_file({key: tensor.half() for key, tensor in load_file(path).items()}, path)
    halved = load(folder, torch.float64)
    save_file({key: tensor.double() for key, tensor in load_file(path).items()}, path)

    assert next(halved.module.parameters()).dtype == torch.float64
    assert relative_error(tokens(halved), tokens(load(folder, torch.float64))) <= FLOAT64


def test_a_split_checkpoint_is_one(tmp_path: Path) -> None:
    model = reference("bert", dtype=torch.float32)
    whole, split = save(model, tmp_path / "whole"), tmp_path / "split"
    model.save_pretrained(split, max_shard_size="20KB")  # type: ignore[operator]  # transformers
    shutil.copy(whole / "vocab.txt", split)
    assert len(list(split.glob("*.safetensors"))) > 1

    assert torch.equal(tokens(load(split)), tokens(load(whole)))


def test_a_pickle_of_tensors_is_read(folder: Path) -> None:
    expected = tokens(load(folder))
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()

    assert torch.equal(tokens(load(folder)), expected)


def test_the_tokenizers_own_config_decides_on_case(folder: Path) -> None:
    upper, lower = "ABC", "abc"
    assert np.array_equal(load(folder).encode(upper), load(folder).encode(lower))

    edit_json(folder / "tokenizer_config.json", do_lower_case=False)

    assert not np.array_equal(load(folder).encode(upper), load(folder).encode(lower))


def test_sentence_berts_config_may_lower_a_cased_tokenizer(tmp_path: Path) -> None:
    sentence_transformer(tmp_path / "st")
    edit_json(tmp_path / "st" / "tokenizer.json", normalizer=None)
    edit_json(tmp_path / "st" / "sentence_bert_config.json", do_lower_case=True)
    encoder = load(tmp_path / "st")

    assert np.array_equal(encoder.encode("ABC d"), encoder.encode("abc d"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"position_embedding_type": "relative_key"}, "'relative_key' position embeddings"),
        ({"is_decoder": True}, "is a decoder"),
        ({"add_cross_attention": True}, "attends to another sequence"),
        ({"hidden_act": "mish"}, "activation 'mish'"),
        ({"auto_map": {"AutoModel": "modeling.Evil"}}, "own code"),
    ],
)
def test_what_the_network_does_not_compute_is_refused(
    folder: Path, changes: dict[str, Any], reason: str
) -> None:
    edit_json(folder / "config.json", **changes)

    with pytest.raises(UnsupportedCheckpointError, match=reason):
        load(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": "32"}, "'hidden_size' must be an integer"),
        ({"hidden_size": 33}, "4 heads do not divide 33"),
        ({"num_hidden_layers": 10**9}, "from 1 to 256"),
        ({"vocab_size": True}, "'vocab_size'"),
        ({"vocab_size": None}, "'vocab_size'"),
        ({"pad_token_id": -1}, "'pad_token_id'"),
        ({"pad_token_id": 48}, "from 0 to 47"),
        ({"layer_norm_eps": 0}, "must be a (positive )?number"),
        ({"layer_norm_eps": float("nan")}, "must be a (positive )?number"),
        ({"is_decoder": "no"}, "true or false"),
        ({"hidden_act": ["gelu"]}, "a string"),
    ],
)
def test_a_config_of_the_wrong_kind_is_a_format_error(
    folder: Path, changes: dict[str, Any], message: str
) -> None:
    edit_json(folder / "config.json", **changes)

    with pytest.raises(FormatError, match=message):
        load(folder)


@pytest.mark.parametrize(
    ("file", "changes", "reason"),
    [
        ("1_Pooling/config.json", {"pooling_mode": "weightedmean"}, "pools by weightedmean"),
        ("1_Pooling/config.json", {"pooling_mode": ["cls", "max"]}, r"pools by cls \+ max"),
        ("1_Pooling/config.json", {"include_prompt": False}, "leaves the prompt out"),
        ("2_Dense/config.json", {"use_residual": True}, "a residual sum"),
        ("2_Dense/config.json", {"activation_function": "os.system"}, "activation 'os.system'"),
        ("2_Dense/config.json", {"module_input_name": "token_embeddings"}, "'token_embeddings'"),
        ("2_Dense/config.json", {"in_features": 16}, "must be 32"),
        ("config_sentence_transformers.json", {"prompts": []}, "'prompts' must be an object"),
        (
            "config_sentence_transformers.json",
            {"default_prompt_name": "x"},
            "'default_prompt_name'",
        ),
        ("sentence_bert_config.json", {"max_seq_length": "long"}, "'max_seq_length'"),
        ("sentence_bert_config.json", {"max_seq_length": 2}, "at least 3"),
    ],
)
def test_modules_that_cannot_be_honoured_are_refused(
    tmp_path: Path, file: str, changes: dict[str, Any], reason: str
) -> None:
    sentence_transformer(tmp_path / "st")
    edit_json(tmp_path / "st" / file, **changes)

    with pytest.raises((UnsupportedCheckpointError, FormatError), match=reason):
        load(tmp_path / "st")


def test_another_order_of_modules_is_refused(tmp_path: Path) -> None:
    sentence_transformer(tmp_path / "st")
    path = tmp_path / "st" / "modules.json"
    modules = json.loads(path.read_text())
    path.write_text(json.dumps([*modules, {"type": "custom.Evil", "path": "4_Evil"}]))

    with pytest.raises(UnsupportedCheckpointError, match=r"custom\.Evil"):
        load(tmp_path / "st")


def test_a_module_outside_the_folder_is_refused(tmp_path: Path) -> None:
    sentence_transformer(tmp_path / "st")
    path = tmp_path / "st" / "modules.json"
    modules = json.loads(path.read_text())
    modules[1]["path"] = "../body"
    path.write_text(json.dumps(modules))

    with pytest.raises(FormatError, match=r"\.\./body"):
        load(tmp_path / "st")


@pytest.mark.parametrize(
    ("lost", "reason"),
    [("model.safetensors", "neither safetensors nor PyTorch"), ("vocab.txt", "no tokenizer.json")],
)
def test_a_folder_without_weights_or_tokenizer_says_so(
    folder: Path, lost: str, reason: str
) -> None:
    (folder / lost).unlink()

    with pytest.raises(UnsupportedCheckpointError, match=reason):
        load(folder)


@pytest.mark.parametrize("content", [{"model_type": "mystery"}, {}, {"model_type": 5}])
def test_an_unknown_model_type_is_left_to_others(folder: Path, content: object) -> None:
    (folder / "config.json").write_text(json.dumps(content))

    with pytest.raises(ZooError, match="no architecture that an installed plugin knows"):
        load(folder)


def test_nothing_in_a_folder_is_executed(folder: Path) -> None:
    for name in ("modeling.py", "__init__.py", "conftest.py", "tokenization.py"):
        (folder / name).write_text("raise SystemExit('executed')")

    assert load(folder).encode(["a"]).shape == (1, 32)


def test_a_folder_of_another_size_is_read_by_its_numbers(tmp_path: Path) -> None:
    folder = save(reference("electra", dtype=torch.float32), tmp_path)

    config = load(folder).spec.config

    assert isinstance(config, BertConfig)
    assert (config.width, config.embedding_width, config.depth) == (32, 16, 3)
