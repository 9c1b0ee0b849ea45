"""Rows and encoders can be hashed, copied and pickled, and rows cannot be changed."""

from __future__ import annotations

import copy
import pickle
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch

import zoo
from tests.tiny_rows import distinct_rows, tiny_row
from zoo.encoder import Encoder
from zoo.frozen import FrozenMap
from zoo.loading import random_module
from zoo.registry import default_registry
from zoo.spec import ModelSpec, WeightsSpec

ROWS = list(default_registry())


def test_a_frozen_map_is_what_it_was_made_of() -> None:
    items = {"a": 1, "b": 2}
    frozen = FrozenMap(items)
    items["c"] = 3

    assert frozen == {"a": 1, "b": 2}
    assert frozen != items
    assert repr(frozen) == "{'a': 1, 'b': 2}"
    assert hash(frozen) == hash(FrozenMap({"b": 2, "a": 1}))
    assert pickle.loads(pickle.dumps(frozen)) == copy.deepcopy(frozen) == frozen
    with pytest.raises(TypeError):
        frozen["a"] = 3  # type: ignore[index]


def test_a_record_keeps_what_it_was_given() -> None:
    digests = {"model.safetensors": "00"}
    spec = WeightsSpec(source="hf:a/b", sha256=digests)

    digests["model.safetensors"] = "ff"

    assert spec.sha256["model.safetensors"] == "00"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_can_be_hashed_copied_and_pickled(row: ModelSpec) -> None:
    assert len({row, copy.deepcopy(row), pickle.loads(pickle.dumps(row))}) == 1
    assert asdict(row)["name"] == row.name


@pytest.mark.parametrize("row", distinct_rows(), ids=lambda row: row.name)
def test_a_network_can_be_pickled(row: ModelSpec) -> None:
    module = random_module(row)

    again = pickle.loads(pickle.dumps(module))

    for one, other in zip(module.state_dict().items(), again.state_dict().items(), strict=True):
        assert one[0] == other[0]
        assert torch.equal(one[1], other[1])


# The stand-in of a tokenizer has a token a byte; with fewer ids than that no file could hold it.
ENOUGH = {"vocab": 400}


@pytest.mark.parametrize(
    ("row", "item"),
    [
        (tiny_row("all-minilm-l6-v2").with_config(**ENOUGH), "a cat"),
        (tiny_row("clip-b16-text").with_config(**ENOUGH), "a cat"),
        (tiny_row("glove-6b-300"), "a cat"),
        (tiny_row("dinov2-b14"), np.zeros((20, 30, 3), np.uint8)),
        (tiny_row("wav2vec2-base"), (np.zeros(8000, np.float32), 16_000)),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_an_encoder_can_be_copied_and_pickled(row: ModelSpec, item: Any) -> None:
    encoder = zoo.load(row, weights="random")
    assert isinstance(encoder, Encoder)

    again = pickle.loads(pickle.dumps(encoder))

    np.testing.assert_array_equal(again.encode(item), encoder.encode(item))
    np.testing.assert_array_equal(copy.deepcopy(encoder).encode(item), encoder.encode(item))
