"""Attention with added scores, rotations and no key bias, and the form that graphs have of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.reference import FLOAT64, relative_error
from zoo.nn.attention import SelfAttention
from zoo.nn.live import make_live
from zoo.nn.rotary import Rope, rotate
from zoo_export.attention import WRITTEN_OUT, PlainAttention, attention, plain_attention
from zoo_export.calls import PlainCalls
from zoo_export.onnx import quiet
from zoo_export.provenance import OPSET

BATCH, TOKENS, WIDTH, HEADS = 6, 5, 16, 2


def live(**options: bool) -> SelfAttention:
    attention = SelfAttention(WIDTH, HEADS, **options)
    make_live(attention)
    return attention.double()


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def angles() -> Rope:
    turns = noise(TOKENS, WIDTH // HEADS // 2).repeat(1, 2)
    return turns.cos(), turns.sin()


def by_hand(attention: SelfAttention, x: Tensor, bias: Tensor, rope: Rope | None = None) -> Tensor:
    """Return what attention is, written out; bias (B, H, N, N)."""
    weights = attention.qkv.weight.chunk(3)
    biases = attention.qkv_bias()
    parts = (None, None, None) if biases is None else biases.chunk(3)
    q, k, v = (
        nn.functional.linear(x, weight, part).unflatten(2, (HEADS, -1)).transpose(1, 2)
        for weight, part in zip(weights, parts, strict=True)
    )
    if rope is not None:
        q, k = rotate(q, rope), rotate(k, rope)
    scores = torch.einsum("bhmd,bhnd->bhmn", q, k) / (WIDTH // HEADS) ** 0.5 + bias
    mixed = torch.einsum("bhmn,bhnd->bmhd", scores.softmax(-1), v).flatten(2)
    out: Tensor = attention.proj(mixed)
    return out


@pytest.mark.parametrize("windows", [1, 3, 6])
@torch.no_grad()
def test_added_scores_repeat_along_the_batch(windows: int) -> None:
    attention, x = live(), noise(BATCH, TOKENS, WIDTH)
    mask = noise(windows, HEADS, TOKENS, TOKENS)

    found = attention(x, mask)

    repeated = torch.cat([mask] * (BATCH // windows))
    assert relative_error(found, by_hand(attention, x, repeated)) <= FLOAT64
    with plain_attention(holder := nn.Sequential(attention)):
        assert isinstance(holder[0], PlainAttention)
        assert relative_error(holder[0](x, mask), found) <= FLOAT64


@torch.no_grad()
def test_queries_and_keys_turn_and_values_do_not() -> None:
    attention, x, rope = live(), noise(BATCH, TOKENS, WIDTH), angles()

    found = attention(x, rope=rope)

    expected = by_hand(attention, x, torch.zeros(1, dtype=torch.float64), rope)
    assert relative_error(found, expected) <= FLOAT64
    assert relative_error(found, attention(x)) > 1e-3
    with plain_attention(holder := nn.Sequential(attention)):
        assert relative_error(holder[0](x, rope=rope), found) <= FLOAT64


@torch.no_grad()
def test_a_rotation_is_a_complex_product_of_the_halves() -> None:
    x, (cos, sin) = noise(1, 1, TOKENS, 8), angles()
    real, imaginary = x.chunk(2, dim=-1)

    turned = torch.complex(real, imaginary) * torch.complex(cos[:, :4], sin[:, :4])

    found = rotate(x, (cos, sin))
    assert relative_error(found, torch.cat((turned.real, turned.imag), dim=-1)) <= FLOAT64


@torch.no_grad()
def test_without_a_key_bias_queries_and_values_have_one_each() -> None:
    attention, x = live(key_bias=False), noise(BATCH, TOKENS, WIDTH)
    assert {name for name, _ in attention.named_parameters()} == {
        "q_bias", "v_bias", "qkv.weight", "proj.weight", "proj.bias"
    }  # fmt: skip
    bias = attention.qkv_bias()
    assert bias is not None
    assert not bias[WIDTH : 2 * WIDTH].any()

    found = attention(x)

    expected = by_hand(attention, x, torch.zeros(1, dtype=torch.float64))
    assert relative_error(found, expected) <= FLOAT64
    with plain_attention(holder := nn.Sequential(attention)):
        assert relative_error(holder[0](x), found) <= FLOAT64


@torch.no_grad()
def test_the_first_tokens_alone_have_their_scores_and_turns() -> None:
    attention, x, rope = live(key_bias=False), noise(BATCH, TOKENS, WIDTH), angles()
    mask = noise(1, HEADS, TOKENS, TOKENS)

    expected = attention(x, mask, rope)[:, :2]

    assert relative_error(attention.first_tokens(x, 2, mask, rope), expected) <= FLOAT64
    with plain_attention(holder := nn.Sequential(attention)):
        found = holder[0].first_tokens(x, 2, mask, rope)  # type: ignore[operator]  # a method
    assert relative_error(found, expected) <= FLOAT64


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scale": 0.3},
        {"is_causal": True},
        {"attn_mask": noise(TOKENS, TOKENS)},
        {"attn_mask": noise(TOKENS, TOKENS) < 1},
    ],
    ids=lambda options: " ".join(options),
)
@pytest.mark.parametrize("axes", [(3,), (2, 3), (2, 3, 2)])
def test_attention_of_other_libraries_is_written_out(
    options: dict[str, Any], axes: tuple[int, ...]
) -> None:
    q, k, v = (noise(*axes, TOKENS, 4) * number for number in (1, 2, 3))

    found = attention(q, k, v, **options)

    wanted = nn.functional.scaled_dot_product_attention(q, k, v, **options)
    assert relative_error(found, wanted) <= FLOAT64


def test_heads_may_share_keys_and_values() -> None:
    q, k, v = noise(2, 6, TOKENS, 4), noise(2, 3, TOKENS, 4) * 2, noise(2, 3, TOKENS, 4) * 3

    found = attention(q, k, v, enable_gqa=True)

    wanted = nn.functional.scaled_dot_product_attention(q, k, v, enable_gqa=True)
    assert relative_error(found, wanted) <= FLOAT64


def test_attention_over_five_axes_can_be_traced() -> None:
    class Windows(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.scaled_dot_product_attention(x, 2 * x, x)

    with quiet(), PlainCalls(), torch.no_grad():
        program = torch.onnx.export(
            Windows().eval(),
            (torch.randn(2, 3, 2, 5, 4),),
            dynamo=True,
            opset_version=OPSET,
            custom_translation_table=WRITTEN_OUT,
            verbose=False,
        )

    assert program is not None
    assert "Softmax" in {node.op_type for node in program.model.graph}
