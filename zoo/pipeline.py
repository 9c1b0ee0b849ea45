"""Items in, one result an item out: windows, batches, order. No torch, no modality.

While one window of items runs, the next is prepared on another thread. Inside a window items are
sorted by size, so that a batch holds items of nearly one length: results are ready batch by batch,
and `in_order` puts them back into the order in which the items went in.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from itertools import islice
from typing import Any, Literal

from zoo.errors import InputError
from zoo.preprocess import Ask, Batch, Preprocessor, Sample

OnError = Literal["raise", "skip"]
Run = Callable[[Batch], Sequence[Any]]
"""Runs a batch and returns one result a sample."""
Results = list[tuple[int, Any]]
"""Index and result of the items of a batch."""


def in_order(batches: Iterable[Results]) -> Iterator[tuple[int, Any]]:
    """Yield (index, result) from 0 on, each as soon as all before it are there."""
    waiting: dict[int, Any] = {}
    due = 0
    for batch in batches:
        waiting.update(batch)
        while due in waiting:
            yield due, waiting.pop(due)
            due += 1


def run_batches(
    items: Iterable[Any],
    *,
    preprocessor: Preprocessor,
    ask: Ask,
    runs: Sequence[Run],
    budget: int,
    batch_size: int | None,
    on_error: OnError,
    done: Container[int] = frozenset(),
    lanes: Sequence[Run] = (),
    lane_budget: int = 0,
) -> Iterator[Results]:
    """Yield the results of each batch as soon as it has run; of a skipped item, its InputError.

    All of a window are yielded before any of the next.

    Args:
        items: Anything iterable; it is read a window at a time.
        preprocessor: Prepares and batches.
        ask: Role and prompts.
        runs: One runner a device; several run at once.
        budget: Most that a batch may cost, padding included.
        batch_size: Exact number of samples a batch instead of the budget.
        on_error: What a bad item does.
        done: Indices whose results are not wanted again. The others keep the company in which they
            would run without it, so that their results are the same to the bit.
        lanes: Narrower runners that share the device of the only one in `runs`; taken where there
            are at least two batches for each.
        lane_budget: Most that a batch of a lane may cost.

    Raises:
        InputError: A bad item, unless they are skipped.
    """
    window = max(preprocessor.window, batch_size or 0)
    source = enumerate(items)

    def prepare() -> list[tuple[int, Sample | InputError]]:
        chunk = list(islice(source, window))
        while chunk and all(index in done for index, _ in chunk):
            chunk = list(islice(source, window))
        prepared = preprocessor.prepare([item for _, item in chunk], ask)
        return [(index, sample.at(index) if isinstance(sample, InputError) else sample)
                for (index, _), sample in zip(chunk, prepared, strict=True)]  # fmt: skip

    with (
        ThreadPoolExecutor(1, thread_name_prefix="zoo-prepare") as ahead,
        ThreadPoolExecutor(max(len(runs), len(lanes)), thread_name_prefix="zoo-run") as runners,
    ):
        upcoming = ahead.submit(prepare)
        while ready := upcoming.result():
            bad: Results = [(index, sample) for index, sample in ready
                            if isinstance(sample, InputError) and index not in done]  # fmt: skip
            if bad and on_error == "raise":
                raise bad[0][1]
            upcoming = ahead.submit(prepare)
            good = [(index, sample) for index, sample in ready if isinstance(sample, Sample)]
            crew, batches = runs, plan_batches(good, budget=budget, batch_size=batch_size)
            if lanes:
                small = plan_batches(good, budget=lane_budget, batch_size=batch_size)
                if len(small) >= 2 * len(lanes):
                    crew, batches = lanes, small
            left = [batch for batch in batches if any(index not in done for index, _ in batch)]
            if bad:
                yield bad
            for results in _run(left, crew, preprocessor, runners):
                yield [(index, result) for index, result in results if index not in done]


def _run(
    batches: Sequence[list[tuple[int, Sample]]],
    crew: Sequence[Run],
    preprocessor: Preprocessor,
    runners: ThreadPoolExecutor,
) -> Iterator[Results]:
    """Yield the results of one window's batches, each run by whoever is idle."""
    idle: queue.SimpleQueue[Run] = queue.SimpleQueue()
    for run in crew:
        idle.put(run)

    def work(batch: list[tuple[int, Sample]]) -> Results:
        run = idle.get()
        try:
            outputs = run(preprocessor.collate([sample for _, sample in batch]))
        finally:
            idle.put(run)
        return [(index, output) for (index, _), output in zip(batch, outputs, strict=True)]

    if len(crew) == 1:  # on this thread: an interrupt stops at the next batch
        yield from map(work, batches)
        return
    pending: list[Future[Results]] = [runners.submit(work, batch) for batch in batches]
    try:
        for future in as_completed(pending):
            yield future.result()
    finally:
        for future in pending:
            future.cancel()


def plan_batches(
    samples: Sequence[tuple[int, Sample]], *, budget: int, batch_size: int | None = None
) -> list[list[tuple[int, Sample]]]:
    """Put samples into batches, longest first, so that no batch costs more than the budget.

    The longest batch comes first: if memory is short, it shows at once. Samples of different groups
    stay apart, whatever `batch_size` says.
    """
    batches: list[list[tuple[int, Sample]]] = []
    longest = 0
    for entry in sorted(samples, key=lambda entry: (-entry[1].size, entry[1].group)):
        batch = batches[-1] if batches else None
        full = (
            batch is None
            or entry[1].group != batch[0][1].group
            or (
                len(batch) >= batch_size
                if batch_size is not None
                else (len(batch) + 1) * longest > budget
            )
        )
        if full or batch is None:
            longest = entry[1].size
            batches.append([entry])
        else:
            batch.append(entry)
    return batches
