"""T5 and the sentence encoders made of it: what is easily done wrong, and whole pipelines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import zoo
from tests.bert_references import edit_json
from tests.reference import FLOAT32, FLOAT64, make_live, relative_error
from tests.text_kinds import KINDS, T5, ids_and_mask, live, load, reference, run, save, unigram
from zoo.encoder import Encoder
from zoo.errors import FormatError, UnsupportedCheckpointError
from zoo.preprocess import Sample
from zoo.preprocess.text import TextPreprocessor
from zoo.spec import TextPreprocess
from zoo_text.families.t5 import BASE, MODELS
from zoo_text.nets.t5 import Attention, T5Encoder

TEXTS = ["a bad cab", "face", "the dog bed " * 9, "", "fade jade </s> g", "q r s t u"]
ROWS = {row.name: row for row in MODELS}


def net_of(**changes: Any) -> T5Encoder:
    net = live(replace(T5, **changes))
    assert isinstance(net, T5Encoder)
    return net


@torch.no_grad()
def test_scores_are_not_scaled() -> None:
    attention = make_live(Attention(T5).double())
    x = torch.randn(1, 5, T5.width, dtype=torch.float64)
    none = torch.zeros(1, T5.heads, 5, 5, dtype=torch.float64)

    q, k, v = (getattr(attention, name)(x).reshape(5, 3, 8).transpose(0, 1) for name in "qkv")
    mixed = (q @ k.mT).softmax(-1) @ v  # (H, N, E)
    expected = mixed.transpose(0, 1).flatten(1) @ attention.proj.weight.T  # type: ignore[union-attr]  # a linear layer

    assert relative_error(attention(x, none)[0], expected) <= FLOAT64


def test_nothing_but_a_dense_head_has_a_bias() -> None:
    names = [name for name, _ in live(replace(T5, gated=True)).named_parameters()]

    assert not [name for name in names if "bias" in name]


def test_heads_need_not_make_the_width() -> None:
    assert T5.heads * T5.head_width != T5.width
    assert all(c.heads * c.head_width != c.width for c in (T5, T5.tiny()))


@pytest.mark.parametrize("config", [BASE, T5, BASE.tiny()], ids=["base", "test", "tiny"])
def test_each_distance_has_the_references_bucket(config: Any) -> None:
    from transformers.models.t5.modeling_t5 import T5Attention

    distances = torch.arange(-600, 601)
    expected = T5Attention._relative_position_bucket(
        distances, num_buckets=config.buckets, max_distance=config.max_distance
    )

    assert [config.bucket(distance) for distance in distances.tolist()] == expected.tolist()
    far = config.max_distance
    assert config.bucket(far) == config.bucket(10 * far)
    assert config.bucket(-far) == config.bucket(-10 * far) != config.bucket(far)


def test_one_table_of_biases_serves_all_blocks() -> None:
    net, other = net_of(), net_of()
    ids, mask = ids_and_mask(T5, 9)
    tables = [name for name, _ in net.named_parameters() if name.startswith("positions")]
    assert tables == ["positions.weight"]

    with torch.no_grad():
        other.positions.weight.zero_()
        before, after = other.blocks[0], net.blocks[0]
        x, bias = net.words(ids), net.positions(9)
        assert relative_error(before(x, bias), after(x, bias)) == 0
        assert relative_error(net(ids, mask).pooled, other(ids, mask).pooled) > 0.01


@torch.no_grad()
def test_a_norm_subtracts_no_mean() -> None:
    net = net_of()
    x = torch.randn(2, 3, T5.width, dtype=torch.float64) + 3

    expected = x / (x**2).mean(-1, keepdim=True).add(1e-6).sqrt() * net.norm.weight

    assert relative_error(net.norm(x), expected) <= FLOAT64


def test_flans_gate_takes_the_tanh_approximation() -> None:
    config = replace(T5, gated=True, activation="gelu_tanh")
    ids, mask = ids_and_mask(config, 12)

    with torch.no_grad():
        exact, approximate = live(replace(config, activation="gelu")), live(config)
        assert relative_error(exact(ids, mask).pooled, approximate(ids, mask).pooled) > 1e-6
    assert ROWS["flan-t5-base-encoder"].config == replace(
        BASE, hidden=2048, gated=True, activation="gelu_tanh"
    )


def test_the_feed_forwards_second_product_is_a_module_that_can_stay_in_float32() -> None:
    linears = {name for name, part in net_of(gated=True).named_modules() if type(part) is nn.Linear}

    assert {f"blocks.{place}.mlp.fc2" for place in range(T5.depth)} <= linears


@pytest.mark.parametrize("template", [True, False])
def test_a_text_gets_an_end_and_no_beginning(template: bool, tmp_path: Path) -> None:
    tokenizer = unigram()
    if not template:
        tokenizer.post_processor = None
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    recipe = TextPreprocess(max_length=6, ending="</s>")
    ours = TextPreprocessor(recipe, tmp_path / "tokenizer.json")

    samples = [
        sample for sample in ours.prepare(["a", "", "b " * 20]) if isinstance(sample, Sample)
    ]

    assert [sample.arrays["input_ids"].tolist() for sample in samples] == [
        [25, 1], [1], [26, 26, 26, 26, 26, 1],
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["a </s>", "</s>"])
def test_an_end_in_the_text_itself_does_not_replace_the_end(text: str, tmp_path: Path) -> None:
    with_end, without = unigram(), unigram()
    without.post_processor = None
    without.save(str(tmp_path / "tokenizer.json"))
    ours = TextPreprocessor(
        TextPreprocess(max_length=16, ending="</s>"), tmp_path / "tokenizer.json"
    )

    (sample,) = ours.prepare([text])

    assert isinstance(sample, Sample)
    assert sample.arrays["input_ids"].tolist() == with_end.encode(text).ids


def test_an_ending_that_the_tokenizer_lacks_is_a_format_error(tmp_path: Path) -> None:
    unigram().save(str(tmp_path / "tokenizer.json"))

    with pytest.raises(FormatError, match=r"lacks the token '\[END\]'"):
        TextPreprocessor(TextPreprocess(max_length=6, ending="[END]"), tmp_path / "tokenizer.json")


@pytest.mark.parametrize("name", ["sentence-t5-base", "gtr-t5-base"])
def test_sentence_encoders_end_in_mean_dense_and_norm(name: str) -> None:
    config = ROWS[name].config
    (head,) = getattr(config, "dense", ())

    assert (config.pooling, config.normalize) == ("mean", True)
    assert (head.width, head.bias, head.activation) == (768, False, "none")
    assert list(ROWS[name].weights.parts) == ["dense.0."]


def test_only_the_first_sentence_t5_is_cut_at_256_tokens() -> None:
    lengths = {row.name: getattr(row.preprocess, "max_length", 0) for row in MODELS}

    assert lengths.pop("sentence-t5-base") == 256
    assert set(lengths.values()) == {512}


@pytest.mark.parametrize("kind", ["t5", "flan-t5"])
def test_a_sentence_transformers_folder_equals_the_library(kind: str, tmp_path: Path) -> None:
    theirs = sentence_transformer(tmp_path / "st", kind)
    ours = zoo.load(str(tmp_path / "st"))

    assert isinstance(ours, Encoder)
    assert ours.dim == 24
    assert ours.spec.config.normalize
    assert relative_error(ours.encode(TEXTS), theirs.encode(TEXTS)) <= FLOAT32


def test_embeddings_under_any_of_their_names_are_read(tmp_path: Path) -> None:
    folder = save(reference("t5"), tmp_path)
    ids, mask = ids_and_mask(T5, 8)
    expected = run(load(folder), ids, mask).pooled
    tensors = load_file(folder / "model.safetensors")
    words = tensors.pop("shared.weight")
    others = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight")
    whole = {"shared.weight": words, **{name: words.clone() for name in others}}

    for names in (whole, {"encoder.embed_tokens.weight": words}):
        save_file({**tensors, **names}, folder / "model.safetensors")
        assert relative_error(run(load(folder), ids, mask).pooled, expected) == 0


def test_half_precision_on_disk_is_computed_in_full(tmp_path: Path) -> None:
    folder = save(reference("t5"), tmp_path)
    path = folder / "model.safetensors"
    save_file({key: tensor.half() for key, tensor in load_file(path).items()}, path)
    ids, mask = ids_and_mask(T5, 8)
    halved = run(load(folder), ids, mask).pooled
    save_file({key: tensor.double() for key, tensor in load_file(path).items()}, path)

    assert relative_error(halved, run(load(folder), ids, mask).pooled) <= FLOAT64


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"feed_forward_proj": "gated-mish"}, UnsupportedCheckpointError, "activation 'mish'"),
        ({"is_decoder": True}, UnsupportedCheckpointError, "is a decoder"),
        ({"d_kv": 0}, FormatError, "'d_kv'"),
        ({"relative_attention_num_buckets": 3}, FormatError, "from 4 to"),
        ({"num_layers": 10**9}, FormatError, "from 1 to 256"),
    ],
)
def test_what_cannot_be_honoured_is_refused(
    changes: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    folder = save(reference("t5"), tmp_path)
    edit_json(folder / "config.json", **changes)

    with pytest.raises(error, match=message):
        load(folder)


def test_a_loaded_text_is_a_text_of_its_own_length(tmp_path: Path) -> None:
    encoder = load(save(reference("t5", dtype=torch.float32), tmp_path), torch.float32)

    assert encoder.encode(["a b", ""]).shape == (2, 32)
    assert np.allclose(encoder.encode(["a b", "c"])[0], encoder.encode("a b"), atol=1e-6)


def sentence_transformer(folder: Path, kind: str) -> Any:
    """Save a tiny live model with mean, Dense and norm; returns the reference model."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules
    from transformers import PreTrainedTokenizerFast

    plain = save(reference(kind, dtype=torch.float32), folder.with_name("body"))
    PreTrainedTokenizerFast(
        tokenizer_file=str(plain / "tokenizer.json"),
        eos_token="</s>", pad_token="<pad>", unk_token="<unk>",
    ).save_pretrained(plain)  # fmt: skip
    weight = torch.randn(24, 32, generator=torch.Generator().manual_seed(5)) * 32**-0.5
    model = SentenceTransformer(
        modules=[
            modules.Transformer(str(plain), max_seq_length=16),
            modules.Pooling(32, "mean"),
            modules.Dense(
                32, 24, bias=False, activation_function=nn.Identity(), init_weight=weight
            ),
            modules.Normalize(),
        ],
        device="cpu",
    )
    model.save(str(folder), create_model_card=False)
    assert KINDS[kind].tiny.width == 32
    return model
