"""Bundles on a processor run batches side by side: same vectors, one further session, if any."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zoo
from tests.bundle_tools import BundleOf, bundle_of as bundle_of
from zoo.runtime import lanes, onnx
from zoo.runtime.lanes import Lane
from zoo.runtime.onnx import OnnxBackend


def texts(number: int) -> list[str]:
    return ["one two three four five six seven"[: 3 + index % 30] for index in range(number)]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """Note the threads of every session that is opened."""
    found: list[int | None] = []
    open_session = onnx.open_session

    def spy(model: Path, *, threads: int | None = None, **options: Any) -> Any:
        found.append(threads)
        return open_session(model, threads=threads, **options)

    monkeypatch.setattr(onnx, "open_session", spy)
    return found


def test_many_texts_give_the_vectors_of_each_alone_in_order(
    bundle_of: BundleOf, opened: list[int | None]
) -> None:
    encoder = zoo.open(bundle_of("all-minilm-l6-v2"), threads=2)
    items = texts(200)

    together = encoder.encode(items)

    alone = zoo.open(bundle_of("all-minilm-l6-v2"), threads=1)
    wanted = np.stack([alone.encode(item) for item in items])
    assert np.abs(together - wanted).max() <= 1e-5 * np.abs(wanted).max()
    assert opened == [2, 1, 1]  # the wide one, one for all lanes, and `alone`


def test_lanes_run_on_threads_of_their_own(
    bundle_of: BundleOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = zoo.open(bundle_of("all-minilm-l6-v2"), threads=2)
    seen: set[int] = set()
    both = threading.Barrier(2, timeout=30)
    run = Lane.run

    def spy(self: Lane, *args: Any, **options: Any) -> Any:
        if threading.get_ident() not in seen:
            seen.add(threading.get_ident())
            both.wait()  # passes only if two run at a time
        return run(self, *args, **options)

    monkeypatch.setattr(Lane, "run", spy)
    encoder.encode(texts(64), batch_size=4)
    assert len(seen) == 2


def test_few_texts_open_no_further_session(bundle_of: BundleOf, opened: list[int | None]) -> None:
    encoder = zoo.open(bundle_of("all-minilm-l6-v2"), threads=2)
    encoder.encode(texts(3))
    assert opened == [2]


def test_one_thread_large_graphs_and_large_machines_have_no_lanes(
    bundle_of: BundleOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def count(threads: int) -> int:
        backend = zoo.open(bundle_of("resnet-18"), threads=threads).backend
        assert isinstance(backend, OnnxBackend)
        return len(backend.lanes())

    assert [count(1), count(2), count(3)] == [0, 2, 3]
    monkeypatch.setattr(lanes, "MOST", 2)
    assert count(3) == 0
    monkeypatch.setattr(lanes, "LARGEST", 1000)
    assert count(2) == 0


def test_images_run_side_by_side_too(bundle_of: BundleOf, opened: list[int | None]) -> None:
    encoder = zoo.open(bundle_of("resnet-18"), threads=2)
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (40, 40, 3), dtype=np.uint8) for _ in range(8)]

    together = encoder.encode(images, batch_size=2)

    wanted = np.stack([encoder.encode(image) for image in images])
    assert np.abs(together - wanted).max() <= 1e-5 * np.abs(wanted).max()
    assert opened == [2, 1]
