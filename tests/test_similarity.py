"""Comparing vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from zoo.errors import InputError
from zoo.preprocess import Array
from zoo.similarity import cosine, maxsim, normalize


def test_cosine_ignores_length() -> None:
    one = np.array([[1.0, 0.0], [3.0, 3.0]])

    assert cosine(one, one * 7) == pytest.approx(np.array([[1, 0.5**0.5], [0.5**0.5, 1]]))


def test_a_single_vector_is_one_row() -> None:
    assert cosine(np.ones(3), np.ones((2, 3))).shape == (1, 2)


def test_a_zero_vector_stays_zero() -> None:
    assert not np.isnan(normalize(np.zeros((1, 4), dtype=np.float32))).any()


def test_vectors_of_two_models_are_refused() -> None:
    with pytest.raises(InputError, match="width 2 and 3"):
        cosine(np.ones((1, 2)), np.ones((1, 3)))


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(lambda v: v.astype(np.int64), id="integers"),
        pytest.param(lambda v: v.astype(np.float16), id="float16, whose squares overflow"),
        pytest.param(lambda v: v.tolist(), id="lists"),
        pytest.param(lambda v: torch.tensor(v, requires_grad=True), id="tensor with gradients"),
        pytest.param(lambda v: torch.tensor(v).bfloat16(), id="bfloat16"),
        pytest.param(lambda v: list(torch.tensor(v)), id="list of tensors"),
    ],
)
def test_cosines_are_the_same_for_numbers_of_any_kind(form: Callable[[Array], Any]) -> None:
    vectors = np.array([[300.0, 0.0], [300.0, 400.0]])

    assert cosine(form(vectors), form(vectors)) == pytest.approx(
        np.array([[1, 0.6], [0.6, 1]]), abs=1e-3
    )


def test_no_vector_is_like_none() -> None:
    assert cosine([], []).shape == (0, 0)
    assert cosine(np.ones((2, 3)), []).shape == (2, 0)
    assert maxsim([], [np.ones((2, 3))]).shape == (0, 1)


@pytest.mark.parametrize(
    "value", [None, "a", ["a"], [[1, 2], [3]], np.array([None]), np.zeros((2, 3, 4))]
)
def test_what_holds_no_vectors_is_refused(value: Any) -> None:
    with pytest.raises(InputError):
        cosine(value, value)


@pytest.mark.parametrize("value", [None, 3, "a", np.zeros(3), [np.zeros(3)], ["a"]])
def test_what_holds_no_vector_a_token_is_refused(value: Any) -> None:
    with pytest.raises(InputError):
        maxsim(value, value)


def test_a_single_tensor_of_tokens_is_one_query() -> None:
    query, documents = torch.eye(2), [torch.ones(3, 2)]

    assert maxsim(query, documents) == pytest.approx(np.array([[2**0.5]]))


def test_documents_of_two_models_are_refused() -> None:
    with pytest.raises(InputError, match="width 3 and 4"):
        maxsim([np.ones((1, 3))], [np.ones((1, 3)), np.ones((1, 4))])


def test_maxsim_sums_the_best_match_of_each_query_token() -> None:
    query = [np.eye(2)]
    documents = [np.array([[1.0, 0.0]]), np.array([[2.0, 0.0], [0.0, 5.0]])]

    assert maxsim(query, documents).tolist() == [[1.0, 2.0]]
