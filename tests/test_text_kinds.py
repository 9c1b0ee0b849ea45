"""Text encoders beyond BERT's kind against transformers, tiny and live, and at full size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.full_size import assert_covers, dropped
from tests.reference import FLOAT64, relative_error, tolerance
from tests.text_kinds import (
    KINDS,
    ids_and_mask,
    kind_of,
    live,
    load,
    reference,
    reference_header,
    run,
    save,
)
from zoo.spec import ModelSpec
from zoo.weights import open_checkpoint
from zoo_text.configs import BertConfig, DenseHead, TextConfig
from zoo_text.plugin import zoo_models

ROWS = {
    row.name: row
    for row in zoo_models()
    if isinstance(row.config, TextConfig) and not isinstance(row.config, BertConfig)
}
LENGTHS = (1, 7, 13, 24)

every_kind = pytest.mark.parametrize("name", KINDS)
every_row = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
every_dtype = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)


@every_kind
@every_dtype
def test_tokens_and_mean_equal_the_reference(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    model = reference(name, dtype=dtype)
    encoder = load(save(model, tmp_path), dtype, pooling="mean")

    for length in LENGTHS:
        ids, mask = ids_and_mask(KINDS[name].tiny, length)
        expected = KINDS[name].run(model, ids, mask)
        ours = run(encoder, ids, mask)

        real = mask[..., None].to(dtype)
        mean = (expected * real).sum(1) / real.sum(1)
        assert relative_error(ours.tokens * real, expected * real) <= tolerance(dtype)
        assert relative_error(ours.pooled, mean) <= tolerance(dtype)


@every_kind
def test_sixteen_bits_are_near_the_truth(name: str) -> None:
    exact, short = live(KINDS[name].tiny), live(KINDS[name].tiny).to(torch.bfloat16)
    ids, mask = ids_and_mask(KINDS[name].tiny, 20)

    with torch.no_grad():
        found, truth = short(ids, mask), exact(ids, mask)

    assert found.pooled.dtype == torch.bfloat16
    assert relative_error(found.pooled, truth.pooled) < 0.05


@every_kind
def test_the_numbers_of_a_configuration_are_read(name: str, tmp_path: Path) -> None:
    encoder = load(save(reference(name, dtype=torch.float32), tmp_path), torch.float32)
    tiny = KINDS[name].tiny

    assert encoder.spec.config == replace(tiny, longest=encoder.spec.config.longest)
    assert encoder.spec.params == sum(p.numel() for p in encoder.module.parameters())


@every_kind
def test_a_file_with_heads_gives_the_same(name: str, tmp_path: Path) -> None:
    model = reference(name, headed=True)
    encoder = load(save(model, tmp_path))
    ids, mask = ids_and_mask(KINDS[name].tiny, 9)

    body = model.get_submodule(KINDS[name].inner)
    expected = KINDS[name].run(body, ids, mask)

    real = mask[..., None]
    assert relative_error(run(encoder, ids, mask).tokens * real, expected * real) <= FLOAT64


@every_kind
def test_a_vector_does_not_depend_on_the_rest_of_the_batch(name: str) -> None:
    net = live(KINDS[name].tiny)
    ids, mask = ids_and_mask(KINDS[name].tiny, 20)

    with torch.no_grad():
        together = net(ids, mask)
        for row, length in enumerate(mask.sum(1).tolist()):
            alone = net(ids[row : row + 1, :length])
            assert relative_error(together.pooled[row], alone.pooled[0]) <= FLOAT64
            assert relative_error(together.tokens[row, :length], alone.tokens[0]) <= FLOAT64


@every_kind
def test_masked_tokens_change_nothing_whatever_they_are(name: str) -> None:
    config = KINDS[name].tiny
    net = live(config)
    ids, mask = ids_and_mask(config, 20)
    other = torch.where(mask.bool(), ids, (ids + 7) % config.vocab)

    with torch.no_grad():
        assert relative_error(net(other, mask).pooled, net(ids, mask).pooled) <= FLOAT64


@every_kind
def test_it_exports_with_dynamic_batch_and_length(name: str) -> None:
    config = replace(KINDS[name].tiny, dense=(DenseHead(width=8),), normalize=True)
    net = live(config)
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length", max=24)
    shape = {0: batch, 1: length}

    program = torch.export.export(
        net,
        ids_and_mask(config, 9),
        dynamic_shapes={"input_ids": shape, "attention_mask": shape},
    )

    other = ids_and_mask(config, 13)
    with torch.no_grad():
        assert relative_error(program.module()(*other).pooled, net(*other).pooled) <= FLOAT64
    for length_now in (1, 6, 24):
        ids, mask = ids_and_mask(config, length_now)
        ids, mask = ids.repeat(2, 1), mask.repeat(2, 1)
        with torch.no_grad():
            exported, eager = program.module()(ids, mask), net(ids, mask)
        assert relative_error(exported.pooled, eager.pooled) <= FLOAT64


@pytest.mark.parametrize("headed", [False, True], ids=["bare", "headed"])
@every_kind
def test_the_names_below_are_those_that_files_have(name: str, headed: bool, tmp_path: Path) -> None:
    save(reference(name, headed=headed), tmp_path)

    saved = open_checkpoint([tmp_path / "model.safetensors"]).header

    assert set(saved) == set(reference_header(name, KINDS[name].tiny, headed))


@pytest.mark.parametrize("headed", [False, True], ids=["bare", "headed"])
@every_row
def test_a_file_of_full_size_is_covered_exactly(row: ModelSpec, headed: bool) -> None:
    assert isinstance(row.config, TextConfig)
    body = replace(row.config, pooling="mean", normalize=False, dense=())
    header = {
        **reference_header(kind_of(row.family.name), body, headed),
        **{f"dense.{place}.linear.weight": (head.width, row.config.width)
           for place, head in enumerate(row.config.dense)},
    }  # fmt: skip

    plan = assert_covers(row, header)

    assert headed or dropped(plan) <= {"mask_emb"}  # XLNet's, of pretraining
    assert row.params == row.config.params


@every_row
def test_its_longest_text_fits(row: ModelSpec) -> None:
    assert isinstance(row.config, TextConfig)
    assert getattr(row.preprocess, "max_length", 0) <= row.config.longest
    assert getattr(row.preprocess, "pad_id", None) == row.config.pad_id < row.config.vocab
