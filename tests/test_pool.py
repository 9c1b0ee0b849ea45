"""From tokens to one vector, in every type that an encoder runs in."""

from __future__ import annotations

import pytest
import torch

from tests.reference import relative_error
from zoo.nn.pool import last_token, masked_mean, unit

LONG = 8192  # tokens


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_mean_of_a_long_text_keeps_its_digits_in_16_bits(dtype: torch.dtype) -> None:
    tokens = 10 + torch.randn(2, LONG, 4, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(2, LONG, dtype=torch.int64)
    mask[1, LONG // 2 :] = 0
    tokens = tokens.to(dtype)

    found = masked_mean(tokens, mask)

    assert found.dtype == dtype
    exact = torch.stack([tokens[0].double().mean(0), tokens[1, : LONG // 2].double().mean(0)])
    assert relative_error(found, exact) < torch.finfo(dtype).eps / 2


def test_the_mean_without_a_mask_is_that_of_all_tokens() -> None:
    tokens = torch.randn(2, 5, 3, dtype=torch.float64)

    found = masked_mean(tokens, torch.ones(2, 5, dtype=torch.int64))

    torch.testing.assert_close(found, masked_mean(tokens, None))
    assert found.dtype == torch.float64


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_zero_vector_stays_zero_and_a_long_one_becomes_unit(dtype: torch.dtype) -> None:
    vectors = torch.tensor([[0.0, 0.0, 0.0], [6e4, 6e4, 0.0]], dtype=dtype)

    found = unit(vectors)

    assert found.dtype == dtype
    assert not found[0].any()
    torch.testing.assert_close(found[1].norm(), torch.ones((), dtype=dtype))


def test_the_last_token_is_the_last_real_one() -> None:
    tokens = torch.arange(12.0).reshape(2, 3, 2)

    found = last_token(tokens, torch.tensor([[1, 1, 0], [1, 1, 1]]))

    assert found.tolist() == [[2.0, 3.0], [10.0, 11.0]]
    assert last_token(tokens, None).tolist() == [[4.0, 5.0], [10.0, 11.0]]
