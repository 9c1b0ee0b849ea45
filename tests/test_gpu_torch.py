"""Eager PyTorch and torch.compile on a GPU give what they give on a processor."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import zoo
from tests.bundle_tools import items_of
from tests.gpu_tools import GPU_FLOAT32, cuda as cuda
from tests.reference import relative_error
from tests.tiny_rows import tiny_row
from zoo.bench import Plan, measure
from zoo.encoder import Encoder

pytestmark = pytest.mark.gpu

ROWS = ["all-minilm-l6-v2", "clip-b16-text", "dinov2-b14-reg", "vit-b16", "resnet-18", "hog"]


def load(name: str, device: str, backend: str = "eager") -> Encoder:
    encoder = zoo.load(tiny_row(name), device=device, backend=backend, weights="random")
    assert isinstance(encoder, Encoder)
    return encoder


@pytest.mark.parametrize("backend", ["eager", "compile"])
@pytest.mark.parametrize("name", ROWS)
def test_vectors_are_those_of_the_processor(name: str, backend: str, cuda: str) -> None:
    items = items_of(tiny_row(name), 5)
    wanted = load(name, "cpu").encode(items)
    encoder = load(name, cuda, backend)
    for size in (5, 3, 1):
        found = encoder.encode(items[:size], batch_size=size)
        assert relative_error(found, wanted[:size]) < GPU_FLOAT32


def test_tensors_stay_on_the_gpu(cuda: str) -> None:
    encoder = load("all-minilm-l6-v2", cuda)
    tensors = encoder.encode(["one", "two and more"], convert_to_tensor=True)
    assert tensors.is_cuda
    np.testing.assert_array_equal(tensors.cpu().numpy(), encoder.encode(["one", "two and more"]))


def test_events_time_a_run(cuda: str) -> None:
    encoder = load("vit-b16", cuda)
    times, clock = measure(encoder, 4, Plan(seconds=0.05, device=cuda))
    assert clock == "events"
    assert all(0 < one < 10_000 for one in times)
    torch.cuda.synchronize()
