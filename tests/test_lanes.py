"""On a processor, batches run side by side, a thread each: same vectors, same order, no traces."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

import zoo
from zoo.backends.eager import EagerBackend
from zoo.encoder import Encoder
from zoo.registry import default_registry


@pytest.fixture
def encoder() -> Encoder:
    """A tiny ViT whose images fill one batch each."""
    row = default_registry().row("dino-b16")
    tiny = zoo.load(row.with_config(width=16, depth=2, heads=2, hidden=8), weights="random")
    assert isinstance(tiny, Encoder)
    return tiny


def images(number: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (40, 40, 3), dtype=np.uint8) for _ in range(number)]


def test_many_images_give_the_vectors_of_each_alone_in_order(encoder: Encoder) -> None:
    items = images(70)

    together = encoder.encode(items)

    alone = np.stack([encoder.encode(item) for item in items])
    assert np.abs(together - alone).max() <= 1e-5 * np.abs(alone).max()
    assert len(np.unique(together.round(3), axis=0)) == len(items)


def test_several_threads_run_and_the_number_of_threads_stays(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    forward = encoder.module.forward

    def spy(pixels: torch.Tensor) -> object:
        seen.append((threading.get_ident(), torch.get_num_threads()))
        return forward(pixels)

    monkeypatch.setattr(encoder.module, "forward", spy)
    encoder.encode(images(64), batch_size=4)

    assert len({thread for thread, _ in seen}) == 2
    assert {threads for _, threads in seen} == {1}
    fresh: list[int] = []
    later = threading.Thread(target=lambda: fresh.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert fresh == [2]
    assert torch.get_num_threads() == 2


def test_few_images_keep_all_threads_for_one_batch(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    forward = encoder.module.forward

    def spy(pixels: torch.Tensor) -> object:
        seen.append(torch.get_num_threads())
        return forward(pixels)

    monkeypatch.setattr(encoder.module, "forward", spy)
    encoder.encode(images(3))

    assert seen == [2]


def test_one_thread_has_no_lanes(encoder: Encoder) -> None:
    assert isinstance(encoder.backend, EagerBackend)
    assert len(encoder.backend.lanes()) == 2
    torch.set_num_threads(1)
    assert encoder.backend.lanes() == []


def test_a_failure_in_one_lane_is_raised(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    forward = encoder.module.forward

    def fail(pixels: torch.Tensor) -> object:
        calls.append(1)
        if len(calls) == 3:
            raise MemoryError("full")
        return forward(pixels)

    monkeypatch.setattr(encoder.module, "forward", fail)

    with pytest.raises(MemoryError, match="full"):
        encoder.encode(images(64), batch_size=2)
