"""wav2vec 2.0, HuBERT, data2vec, MMS and Whisper against transformers, through saved files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.audio_reference import (
    KINDS,
    OTHERS,
    encoder_of,
    load_saved,
    reference,
    their_config,
)
from tests.full_size import assert_covers, dropped, shapes
from tests.reference import FLOAT64, relative_error, tolerance
from tests.tiny_rows import tiny_row
from zoo.errors import KeyMapError
from zoo.loading import random_module
from zoo.registry import default_registry
from zoo.spec import ModelSpec
from zoo_audio.nets.wav2vec2 import TimeNorm

ROWS = [row for row in default_registry() if row.modality == "audio"]
WAVEFORM = ("wav2vec2-base", "hubert-base", "hubert-large", "mms-300m")
ALL = (*WAVEFORM, "data2vec-audio-base", "whisper-base", "whisper-large-v3")

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*weight_norm.* is deprecated:FutureWarning", "ignore::DeprecationWarning:transformers"
)
dtypes = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)


def batch_of(row: ModelSpec, dtype: torch.dtype = torch.float64, samples: int = 3001) -> Tensor:
    """Return two sounds or spectrograms of noise."""
    generator = torch.Generator().manual_seed(samples)
    shape = tuple(s for s in row.inputs[0].shape[1:] if isinstance(s, int)) or (samples,)
    return torch.randn(2, *shape, generator=generator, dtype=torch.float64).to(dtype)


def theirs(model: nn.Module, batch: Tensor, mask: Tensor | None = None) -> Tensor:
    with torch.no_grad():
        found: Tensor = encoder_of(model)(batch, attention_mask=mask).last_hidden_state
    return found


@dtypes
@pytest.mark.parametrize("headed", [False, True], ids=["bare", "with heads"])
@pytest.mark.parametrize("name", ALL)
def test_tokens_equal_the_reference(
    name: str, headed: bool, dtype: torch.dtype, tmp_path: Path
) -> None:
    row = tiny_row(name)
    model = reference(row, headed=headed, dtype=dtype)
    batch = batch_of(row, dtype)

    with torch.no_grad():
        ours = load_saved(row, model, tmp_path, dtype=dtype)(batch)

    assert relative_error(ours.tokens, theirs(model, batch)) <= tolerance(dtype)
    assert relative_error(ours.pooled, ours.tokens.mean(dim=1)) <= tolerance(dtype)


@pytest.mark.parametrize("name", WAVEFORM)
def test_a_file_with_the_older_spelling_of_weight_norm_loads_alike(
    name: str, tmp_path: Path
) -> None:
    row = tiny_row(name)
    model = reference(row)
    batch = batch_of(row)

    with torch.no_grad():
        ours = load_saved(row, model, tmp_path, old=True, dtype=torch.float64)(batch)

    assert relative_error(ours.tokens, theirs(model, batch)) <= FLOAT64


@dtypes
@pytest.mark.parametrize("name", ["hubert-large", "mms-300m"])
def test_padded_sounds_equal_the_reference_and_themselves_alone(
    name: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    row = tiny_row(name)
    model = reference(row, dtype=dtype)
    ours = load_saved(row, model, tmp_path, dtype=dtype)
    batch, mask = batch_of(row, dtype), torch.ones(2, 3001, dtype=torch.int64)
    batch[1, 1500:] = 0
    mask[1, 1500:] = 0

    with torch.no_grad():
        found, alone = ours(batch, mask), ours(batch[1:, :1500])

    real = found.mask
    assert real.sum(dim=1).tolist() == [9, 4]
    assert relative_error(found.tokens[real], theirs(model, batch, mask)[real]) <= tolerance(dtype)
    assert relative_error(found.pooled[1:], alone.pooled) <= tolerance(dtype)


@dtypes
def test_what_fills_up_a_sound_is_heard_by_no_convolution_of_positions(
    dtype: torch.dtype, tmp_path: Path
) -> None:
    """In transformers only the first of data2vec's does not hear it."""
    row = tiny_row("data2vec-audio-base")
    model = reference(row, dtype=dtype)
    ours = load_saved(row, model, tmp_path, dtype=dtype)
    batch, mask = batch_of(row, dtype), torch.ones(2, 3001, dtype=torch.int64)
    batch[1, 1500:] = 0
    mask[1, 1500:] = 0

    with torch.no_grad():
        found = ours(batch, mask)

    alone = theirs(model, batch[1:, :1500])
    assert relative_error(found.tokens[1:, :4], alone) <= tolerance(dtype)
    assert relative_error(found.pooled[1:], alone.mean(dim=1)) <= tolerance(dtype)
    assert relative_error(theirs(model, batch, mask)[1:, :4], alone) > 1e-3


def test_whispers_mask_leaves_silence_out_of_the_mean_but_not_out_of_attention(
    tmp_path: Path,
) -> None:
    row = tiny_row("whisper-base")
    ours = load_saved(row, reference(row), tmp_path, dtype=torch.float64)
    batch = batch_of(row)
    mask = torch.zeros(2, 20, dtype=torch.int64)
    mask[:, :5] = 1

    with torch.no_grad():
        found, whole = ours(batch, mask), ours(batch)

    assert torch.equal(found.tokens, whole.tokens)
    assert relative_error(found.pooled, whole.tokens[:, :5].mean(dim=1)) <= FLOAT64


@pytest.mark.filterwarnings("ignore:.*not initialized from the model checkpoint")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_key_map_covers_the_full_size_network(row: ModelSpec) -> None:
    with torch.device("meta"):
        model = KINDS.get(row.family.name, OTHERS)[1](their_config(row))
    header = shapes(model.state_dict())

    plan = assert_covers(row, header)

    others = {n for n in header if n == "masked_spec_embed" or n.startswith("decoder.")}
    assert dropped(plan) == others


# Traps


def test_weight_norm_runs_over_the_places_of_the_kernel(tmp_path: Path) -> None:
    """One length for each place, (1, 1, kernel); the usual one for each channel is another net."""
    row = tiny_row("wav2vec2-base")
    ours = load_saved(row, reference(row), tmp_path, dtype=torch.float64)
    positions = ours.get_submodule("positions")

    length, direction = positions.get_parameter("length"), positions.get_parameter("direction")
    assert length.shape == (1, 1, 8)
    x = torch.randn(1, 30, 32, dtype=torch.float64)
    by_channel = direction / direction.flatten(1).norm(dim=1)[:, None, None] * length
    with torch.no_grad():
        wrong = nn.functional.conv1d(
            x.transpose(1, 2), by_channel, positions.get_parameter("bias"), padding=4, groups=4
        )
        wrong = nn.functional.gelu(wrong[:, :, :-1]).transpose(1, 2)
        assert relative_error(positions(x), wrong) > 0.01


def test_an_even_kernel_of_positions_drops_the_last_frame() -> None:
    positions = random_module(tiny_row("wav2vec2-base")).get_submodule("positions")
    x = torch.zeros(1, 12, 32)

    with torch.no_grad():
        before = positions(x)
        x[0, 5] = 1.0
        changed = (positions(x) - before).abs().sum(dim=2)[0] > 0

    assert changed.nonzero().flatten().tolist() == list(range(2, 10))  # 3 before, 4 after


def test_padding_changes_a_network_with_a_norm_over_time_so_it_is_forbidden() -> None:
    row = tiny_row("wav2vec2-base")
    module = random_module(row, dtype=torch.float64)
    x = torch.randn(1, 2000, dtype=torch.float64)

    with torch.no_grad():
        alone = module(x).tokens
        padded = module(nn.functional.pad(x, (0, 2000))).tokens[:, : alone.shape[1]]

    assert relative_error(padded, alone) > 0.05
    assert [tensor.padding for tensor in row.inputs] == ["forbidden"]


def test_the_two_kinds_of_stem_are_told_apart_by_their_rows() -> None:
    padding = {row.name: row.inputs[0].padding for row in ROWS}

    assert {name for name, kind in padding.items() if kind == "forbidden"} == {
        "wav2vec2-base", "wav2vec2-base-960h", "wav2vec2-large", "hubert-base"
    }  # fmt: skip
    assert {kind for name, kind in padding.items() if name.startswith("whisper")} == {"fixed"}


def test_whispers_keys_have_no_bias(tmp_path: Path) -> None:
    row = tiny_row("whisper-base")
    model = reference(row)
    model.save_pretrained(tmp_path)  # type: ignore[operator]  # a transformers model

    from safetensors import safe_open

    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        names = list(file.keys())
    assert "encoder.layers.0.self_attn.v_proj.bias" in names
    assert "encoder.layers.0.self_attn.k_proj.bias" not in names
    fused = load_saved(row, model, tmp_path, dtype=torch.float64).get_submodule(
        "blocks.0.attention"
    )
    bias = fused.qkv_bias()  # type: ignore[operator]  # a method, not a tensor
    assert torch.equal(bias[16:32], torch.zeros(16, dtype=torch.float64))
    assert (bias[:16] != 0).all()


def test_a_large_checkpoint_does_not_pass_for_a_base_one(tmp_path: Path) -> None:
    large, base = tiny_row("hubert-large"), tiny_row("hubert-base")

    with pytest.raises(KeyMapError, match=r"stem\.1\.norm"):
        load_saved(base, reference(large), tmp_path, dtype=torch.float64)


def test_mms_is_not_free_for_all_uses() -> None:
    licences = {row.license for row in ROWS if row.family.name == "mms"}

    assert licences == {"cc-by-nc-4.0"}


def test_the_stem_says_how_long_a_sound_must_be() -> None:
    config = default_registry().row("wav2vec2-base").config

    assert getattr(config, "shortest", None) == 400
    assert getattr(config, "stride", None) == 320


def test_a_sound_that_hardly_moves_gives_numbers() -> None:
    """The group norm of ONNX Runtime makes NaN of a constant; ours is written out."""
    module = random_module(tiny_row("wav2vec2-base"))

    with torch.no_grad():
        found = module(torch.full((1, 2000), 3.0)).tokens

    assert torch.isfinite(found).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_norm_over_half_a_minute_keeps_its_digits_in_16_bits(dtype: torch.dtype) -> None:
    frames = 3 * torch.randn(1, 4, 96_000, generator=torch.Generator().manual_seed(0)) + 0.5
    frames = frames.to(dtype)

    found = TimeNorm(4).to(dtype)(frames)

    assert found.dtype == dtype
    exact = nn.functional.group_norm(frames.double(), 4)
    assert relative_error(found.detach(), exact) < torch.finfo(dtype).eps / 2


def test_the_last_layers_norm_stands_where_the_checkpoint_has_it(tmp_path: Path) -> None:
    """Before the blocks where each sum is normalised, after them where each input is."""
    row = tiny_row("hubert-large")
    model = reference(row)
    batch = batch_of(row)
    wrong_row = replace(row, config=replace(row.config, pre_norm=False))  # type: ignore[type-var]  # a Protocol cannot say "dataclass"

    with torch.no_grad():
        wrong = load_saved(wrong_row, model, tmp_path, dtype=torch.float64)(batch)

    assert relative_error(wrong.tokens, theirs(model, batch)) > 0.01
    assert np.isfinite(wrong.tokens.numpy()).all()
