"""Windows, batches and order."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from tests.toys import ToyPreprocessor
from zoo import pipeline
from zoo.errors import InputError
from zoo.preprocess import PLAIN, Ask, Batch, Sample


def lengths(batch: Batch) -> Sequence[Any]:
    return [int(n) for n in batch["mask"].sum(axis=1)]


def run(items: Any, **options: Any) -> list[tuple[int, Any]]:
    defaults: dict[str, Any] = {
        "preprocessor": ToyPreprocessor(),
        "ask": PLAIN,
        "runs": [lengths],
        "budget": 40,
        "batch_size": None,
        "on_error": "raise",
    }
    return list(pipeline.in_order(pipeline.run_batches(items, **(defaults | options))))


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 100])
@pytest.mark.parametrize("devices", [1, 3])
def test_order_is_kept_across_windows_batches_and_devices(count: int, devices: int) -> None:
    rng = random.Random(count)
    texts = ["x" * rng.randint(1, 30) for _ in range(count)]

    results = run(iter(texts), runs=[lengths] * devices)

    assert results == [(i, len(text)) for i, text in enumerate(texts)]


def sized(*sizes: int) -> list[tuple[int, Sample]]:
    return [(i, Sample({"ids": np.zeros(size)}, size)) for i, size in enumerate(sizes)]


def test_no_batch_costs_more_than_the_budget_padding_included() -> None:
    batches = pipeline.plan_batches(sized(*range(1, 40)), budget=100)

    assert all(len(b) * max(s.size for _, s in b) <= 100 for b in batches)
    assert sum(map(len, batches)) == 39


def test_an_item_above_the_budget_gets_a_batch_of_its_own() -> None:
    batches = pipeline.plan_batches(sized(500, 3, 500), budget=100)

    assert [len(b) for b in batches] == [1, 1, 1]


def test_the_longest_batch_comes_first() -> None:
    batches = pipeline.plan_batches(sized(3, 30, 7), budget=30)

    assert [s.size for b in batches for _, s in b] == [30, 7, 3]


def test_a_batch_size_overrides_the_budget() -> None:
    batches = pipeline.plan_batches(sized(*[9] * 10), budget=1, batch_size=4)

    assert [len(b) for b in batches] == [4, 4, 2]


@pytest.mark.parametrize("batch_size", [None, 4])
def test_samples_of_different_groups_share_no_batch(batch_size: int | None) -> None:
    samples = [(i, Sample({}, 9 + i % 2, group=i % 2)) for i in range(6)]

    batches = pipeline.plan_batches(samples, budget=1000, batch_size=batch_size)

    assert [[index for index, _ in batch] for batch in batches] == [[1, 3, 5], [0, 2, 4]]


def test_a_bad_item_names_its_index_across_windows() -> None:
    with pytest.raises(InputError, match=r"Item 20: a text is needed, not int") as hit:
        run(["good"] * 20 + [7])
    assert hit.value.index == 20


def test_a_bad_item_is_an_error_before_more_is_read() -> None:
    read = []

    def endless() -> Iterator[Any]:
        while True:
            read.append(1)
            yield None

    with pytest.raises(InputError, match="Item 0"):
        run(endless())
    assert len(read) == ToyPreprocessor.window


def test_skipped_items_keep_their_place() -> None:
    results = run(["a", None, "abc"], on_error="skip")

    assert [index for index, _ in results] == [0, 1, 2]
    assert isinstance(results[1][1], InputError)
    assert results[1][1].index == 1


def test_only_two_windows_are_read_ahead() -> None:
    read = []

    def endless() -> Iterator[str]:
        while True:
            read.append(1)
            yield "text"

    batches = pipeline.run_batches(
        endless(), preprocessor=ToyPreprocessor(), ask=PLAIN, runs=[lengths], budget=40,
        batch_size=None, on_error="raise",
    )  # fmt: skip
    results = pipeline.in_order(batches)
    for _ in range(16):
        next(results)

    assert len(read) <= 3 * ToyPreprocessor.window


def test_results_are_there_as_soon_as_their_batch_has_run() -> None:
    ran: list[int] = []

    def counted(batch: Batch) -> Sequence[Any]:
        ran.append(len(batch["ids"]))
        return lengths(batch)

    batches = pipeline.run_batches(
        ["a", "abc", "ab", "abcd"], preprocessor=ToyPreprocessor(), ask=PLAIN, runs=[counted],
        budget=40, batch_size=2, on_error="raise",
    )  # fmt: skip

    assert next(batches) == [(3, 4), (1, 3)]
    assert ran == [2]
    assert list(batches) == [[(2, 2), (0, 1)]]


@pytest.mark.parametrize("done", [range(0), range(16), range(5), {2, 40, 41}, range(50)])
@pytest.mark.parametrize("devices", [1, 2])
def test_what_is_left_runs_in_the_company_that_it_had(done: Any, devices: int) -> None:
    rng = random.Random(0)
    texts = ["x" * rng.randint(1, 30) for _ in range(50)]

    def company(batch: Batch) -> Sequence[Any]:
        return [tuple(lengths(batch))] * len(batch["mask"])

    def results(done: Any) -> dict[int, Any]:
        batches = pipeline.run_batches(
            iter(texts), preprocessor=ToyPreprocessor(), ask=PLAIN, runs=[company] * devices,
            budget=40, batch_size=None, on_error="raise", done=done,
        )  # fmt: skip
        return dict(entry for batch in batches for entry in batch)

    whole = results(())
    assert len(whole) == 50
    assert results(done) == {index: whole[index] for index in range(50) if index not in done}


def test_windows_that_are_done_are_not_prepared_again() -> None:
    class Counting(ToyPreprocessor):
        prepared = 0

        def prepare(self, items: Sequence[Any], ask: Ask = PLAIN) -> list[Sample | InputError]:
            self.prepared += len(items)
            return super().prepare(items, ask)

    preprocessor = Counting()
    left = run(["text"] * 40, preprocessor=preprocessor, done=range(36))

    assert left == []  # `in_order` waits for the first
    assert preprocessor.prepared == 40 - 2 * preprocessor.window


def test_an_error_in_a_runner_reaches_the_caller() -> None:
    def broken(batch: Batch) -> Sequence[Any]:
        raise RuntimeError("out of memory")

    for devices in (1, 2):
        with pytest.raises(RuntimeError, match="out of memory"):
            run(["a", "b"], runs=[broken] * devices)


def test_an_error_in_the_callers_iterator_reaches_the_caller() -> None:
    def breaking() -> Iterator[str]:
        yield "a"
        raise OSError("file vanished")

    with pytest.raises(OSError, match="file vanished"):
        run(breaking())
