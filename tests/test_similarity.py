"""Comparing vectors."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.errors import InputError
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


def test_maxsim_sums_the_best_match_of_each_query_token() -> None:
    query = [np.eye(2)]
    documents = [np.array([[1.0, 0.0]]), np.array([[2.0, 0.0], [0.0, 5.0]])]

    assert maxsim(query, documents).tolist() == [[1.0, 2.0]]
