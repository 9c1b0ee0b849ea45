"""Our BERT against transformers' own models: tiny, live, through the files that they write."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import zoo
from tests.bert_references import KINDS, ids_and_mask, reference, save, tiny
from tests.reference import FLOAT64, relative_error, tolerance
from zoo.encoder import Encoder
from zoo_text.configs import BertConfig, DenseHead, HeadActivation, Pooling
from zoo_text.nets.bert import Bert

every_kind = pytest.mark.parametrize("name", KINDS)
every_dtype = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
LENGTHS = (1, 7, 13, 24)


def load(folder: Path, dtype: torch.dtype, pooling: Pooling | None = None) -> Encoder:
    """Load a folder as a user would, through its configuration files."""
    (spec,) = zoo.api.resolve(str(folder))
    if pooling is not None:
        spec = spec.with_config(pooling=pooling)
    encoder = zoo.load(spec, dtype=dtype)
    assert isinstance(encoder, Encoder)
    return encoder


@torch.no_grad()
def run(encoder: Encoder, ids: Tensor, mask: Tensor) -> zoo.Encoded:
    return encoder({"input_ids": ids, "attention_mask": mask})


@every_kind
@every_dtype
def test_tokens_and_mean_equal_the_reference(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    model = reference(name, dtype=dtype)
    encoder = load(save(model, tmp_path), dtype)

    for length in LENGTHS:
        ids, mask = ids_and_mask(tiny(name), length)
        with torch.no_grad():
            expected = model(input_ids=ids, attention_mask=mask).last_hidden_state
        ours = run(encoder, ids, mask)

        real = mask[..., None].to(dtype)
        mean = (expected * real).sum(1) / real.sum(1)
        assert relative_error(ours.tokens, expected) <= tolerance(dtype)
        assert relative_error(ours.pooled, mean) <= tolerance(dtype)


@every_kind
def test_each_block_equals_the_reference(name: str, tmp_path: Path) -> None:
    model = reference(name)
    encoder = load(save(model, tmp_path), torch.float64)
    ids, mask = ids_and_mask(tiny(name), 11)

    with torch.no_grad():
        expected = model(
            input_ids=ids, attention_mask=mask, output_hidden_states=True
        ).hidden_states
        ours = encoder.blocks({"input_ids": ids, "attention_mask": mask}, indices=[0, 1, -1])

    assert len(expected) == tiny(name).depth + 1
    for block, theirs in zip(ours, expected[1:], strict=True):
        assert relative_error(block, theirs) <= FLOAT64


@every_kind
def test_a_file_with_prefix_and_heads_gives_the_same(name: str, tmp_path: Path) -> None:
    model = reference(name, headed=True)
    encoder = load(save(model, tmp_path), torch.float64)
    ids, mask = ids_and_mask(tiny(name), 9)

    body = model.get_submodule(str(model.base_model_prefix))
    with torch.no_grad():
        expected = body(input_ids=ids, attention_mask=mask).last_hidden_state

    assert relative_error(run(encoder, ids, mask).tokens, expected) <= FLOAT64


@every_dtype
@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_the_pooler_equals_the_reference(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    model = reference(name, dtype=dtype)
    encoder = load(save(model, tmp_path), dtype, pooling="pooler")
    ids, mask = ids_and_mask(tiny(name), 12)

    with torch.no_grad():
        expected = model(input_ids=ids, attention_mask=mask).pooler_output

    assert relative_error(run(encoder, ids, mask).pooled, expected) <= tolerance(dtype)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("cls", "cls"),
        ("mean", "mean"),
        ("max", "max"),
        ("mean_sqrt_len", "mean_sqrt_len_tokens"),
        ("last", "lasttoken"),
    ],
)
def test_each_pooling_equals_sentence_transformers(ours: Pooling, theirs: str) -> None:
    from sentence_transformers.sentence_transformer.modules import Pooling as Reference

    net = live(replace(tiny("bert"), pooling=ours))
    ids, mask = ids_and_mask(tiny("bert"), 10)

    with torch.no_grad():
        out = net(ids, mask)
        unpadded = net(ids[:1])
        expected = Reference(32, theirs)({"token_embeddings": out.tokens, "attention_mask": mask})

    assert relative_error(out.pooled, expected["sentence_embedding"]) <= FLOAT64
    assert relative_error(unpadded.pooled, expected["sentence_embedding"][:1]) <= FLOAT64


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("tanh", nn.Tanh()),
        ("none", nn.Identity()),
        ("gelu", nn.GELU()),
        ("relu", nn.ReLU()),
        ("silu", nn.SiLU()),
        ("sigmoid", nn.Sigmoid()),
    ],
)
def test_each_dense_activation_equals_sentence_transformers(
    ours: HeadActivation, theirs: nn.Module
) -> None:
    from sentence_transformers.sentence_transformer.modules import Dense as Reference

    net = live(replace(tiny("bert"), dense=(DenseHead(width=12, activation=ours, bias=False),)))
    head = Reference(32, 12, bias=False, activation_function=theirs).double()
    head.linear.weight = net.dense[0].weight
    ids, mask = ids_and_mask(tiny("bert"), 10)

    with torch.no_grad():
        plain = live(tiny("bert"))
        plain.load_state_dict(net.state_dict(), strict=False)
        expected = head({"sentence_embedding": plain(ids, mask).pooled})["sentence_embedding"]
        assert relative_error(net(ids, mask).pooled, expected) <= FLOAT64


@every_kind
def test_a_vector_does_not_depend_on_the_rest_of_the_batch(name: str) -> None:
    net = live(tiny(name))
    ids, mask = ids_and_mask(tiny(name), 20)

    with torch.no_grad():
        together = net(ids, mask)
        for row, length in enumerate(mask.sum(1).tolist()):
            alone = net(ids[row : row + 1, :length])
            assert relative_error(together.pooled[row], alone.pooled[0]) <= FLOAT64
            assert relative_error(together.tokens[row, :length], alone.tokens[0]) <= FLOAT64


def test_masked_tokens_change_nothing_whatever_they_are() -> None:
    net = live(tiny("bert"))
    ids, mask = ids_and_mask(tiny("bert"), 20)
    other = torch.where(mask.bool(), ids, ids.roll(3, dims=1) + 1)

    with torch.no_grad():
        assert relative_error(net(other, mask).pooled, net(ids, mask).pooled) <= FLOAT64


def test_unit_vectors_are_unit_and_point_the_same_way() -> None:
    plain, unit = live(tiny("bert")), live(replace(tiny("bert"), normalize=True))
    ids, mask = ids_and_mask(tiny("bert"), 8)

    with torch.no_grad():
        raw, scaled = plain(ids, mask).pooled, unit(ids, mask).pooled

    assert relative_error(scaled, raw / raw.norm(dim=1, keepdim=True)) <= FLOAT64


@every_kind
def test_it_exports_with_dynamic_batch_and_length(name: str) -> None:
    config = replace(tiny(name), dense=(DenseHead(width=8),), normalize=True)
    net = live(config)
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length", max=24)
    shape = {0: batch, 1: length}

    program = torch.export.export(
        net,
        ids_and_mask(config, 9),
        dynamic_shapes={"input_ids": shape, "attention_mask": shape},
    )

    for length_now in (1, 6, 24):
        ids, mask = ids_and_mask(config, length_now)
        ids, mask = ids.repeat(2, 1), mask.repeat(2, 1)
        with torch.no_grad():
            exported, eager = program.module()(ids, mask), net(ids, mask)
        assert relative_error(exported.pooled, eager.pooled) <= FLOAT64


def live(config: BertConfig) -> Bert:
    """Return our net in float64 with live weights."""
    from zoo.nn.live import make_live

    net = config.build().double().eval()
    make_live(net)
    assert isinstance(net, Bert)
    return net
