"""What an unfinished `zoo embed` has done so far: an append-only folder that survives Ctrl-C.

    state.json     what was asked for; another question cannot go on from here
    rows.jsonl     a line an item, as they were done: where it came from, or why it was skipped
    vectors.f32    raw float32 rows, little-endian, of the items that were not skipped

Batches are written as soon as they have run, which is not quite the order of their items: each line
has its item's index. A batch's vectors are written before its lines, so every complete line has its
vector.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from filelock import FileLock, Timeout

from zoo.errors import OptionError
from zoo.preprocess import Array
from zoo.weights.cache import disk_errors, write_whole

BYTES = 4  # of a float32
LOCK = "lock"
CHUNK = 8192  # rows that are in memory at a time when the result is written

Record = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """Indices of items: all below one number, and some beyond it, where a run was broken off."""

    below: int
    beyond: frozenset[int]

    def __contains__(self, index: object) -> bool:
        return index in self.beyond or (isinstance(index, int) and index < self.below)


class Journal:
    """Rows and vectors of one run; a context manager that keeps what it has when it is left.

    Attributes:
        folder: Where it lives.
        width: Of a vector.
        done: What earlier runs left.
        items: Number of items that are written.
        count: Of these, vectors.
        result: Where the result is written before it gets its name.
        notes: Likewise what stands beside it.

    Args:
        folder: Where it lives; made if need be.
        asked: What was asked for, as JSON-able values.
        width: Of a vector.
        restart: Forget what an earlier run left.

    Raises:
        OptionError: The folder belongs to another question, or another process writes to it.
        DiskError: The folder cannot be made or written.
    """

    def __init__(
        self, folder: Path, *, asked: Mapping[str, Any], width: int, restart: bool = False
    ) -> None:
        self.folder = folder
        self.width = width
        self._state = folder / "state.json"
        self._rows = folder / "rows.jsonl"
        self._vectors = folder / "vectors.f32"
        self.result = folder / "result"
        self.notes = folder / "notes"
        self._lock = FileLock(folder / LOCK)
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire(timeout=0)
            except Timeout as error:
                raise OptionError(f"Another process is writing to {folder}.") from error
        try:
            with disk_errors(folder):
                if restart:
                    self._state.unlink(missing_ok=True)
                self._begin(json.loads(json.dumps({**asked, "width": width})))
        except BaseException:
            self._lock.release()
            raise

    def _begin(self, asked: Record) -> None:
        """Go on where the last run stopped, or start."""
        if self._state.exists():
            before = self._asked_before()
            changed = "; ".join(
                f"{key}: {before.get(key)!r} is now {asked.get(key)!r}"
                for key in sorted({*before, *asked})
                if before.get(key) != asked.get(key)
            )
            if changed:
                raise OptionError(
                    f"{self.folder} holds an unfinished run that asked for something else "
                    f"({changed}). Finish it with the same options, or add --restart to forget it."
                )
        else:
            for path in (self._rows, self._vectors):
                path.write_bytes(b"")
            write_whole(self._state, json.dumps(asked).encode())
        self._rows.touch()
        self._vectors.touch()
        self.items, self.count, self.done, end = self._survey()
        with self._rows.open("r+b") as file:
            file.truncate(end)
        with self._vectors.open("r+b") as file:
            file.truncate(self.count * self.width * BYTES)

    def _asked_before(self) -> Record:
        try:
            asked = json.loads(self._state.read_bytes())
        except ValueError:
            asked = None
        if not isinstance(asked, dict):
            raise OptionError(
                f"{self._state} is broken, so that what {self.folder} holds is not known. Add "
                "--restart to begin anew."
            )
        return asked

    def _survey(self) -> tuple[int, int, Done, int]:
        """Return items and vectors that are complete, which, and where their lines end, bytes."""
        whole = self._vectors.stat().st_size // (self.width * BYTES)
        items = vectors = end = below = 0
        beyond: set[int] = set()
        with self._rows.open("rb") as file:
            for line in file:
                try:
                    record = json.loads(line)
                except ValueError:  # a power cut may leave zeros
                    break
                if not line.endswith(b"\n") or not isinstance(record, dict):
                    break
                has_vector = "error" not in record
                if vectors + has_vector > whole:
                    break
                items, vectors, end = items + 1, vectors + has_vector, end + len(line)
                beyond.add(record["index"])
                while below in beyond:
                    beyond.remove(below)
                    below += 1
        return items, vectors, Done(below=below, beyond=frozenset(beyond)), end

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Keep what is there, unless it is nothing or the work is done."""
        finished = kind is None or not self.items
        if finished:  # before another process may write here
            for path in (self._state, self._rows, self._vectors, self.result, self.notes):
                with suppress(OSError):
                    path.unlink()
        self._lock.release()
        if finished:
            with suppress(OSError):  # a folder with a file of the user's stays
                (self.folder / LOCK).unlink(missing_ok=True)
                self.folder.rmdir()

    def append(self, batch: Sequence[tuple[Record, Array | None]]) -> None:
        """Write some items; None for the vector of one that was skipped."""
        vectors = [vector for _, vector in batch if vector is not None]
        with disk_errors(self.folder):
            with self._vectors.open("ab") as file:
                file.writelines(np.ascontiguousarray(row, dtype="<f4").tobytes() for row in vectors)
            with self._rows.open("a", encoding="utf-8") as text:
                text.writelines(json.dumps(record) + "\n" for record, _ in batch)
        self.items += len(batch)
        self.count += len(vectors)

    def records(self) -> Iterator[Record]:
        """Yield by index all items that are written by now, skipped ones too."""
        return (record for record, _ in self._in_order(self.items))

    def chunks(self) -> Iterator[tuple[list[Record], Array]]:
        """Yield by index items and their vectors (N, D), some thousands at a time, none skipped."""
        if not self.count:
            return  # an empty file cannot be mapped
        vectors = np.memmap(self._vectors, "<f4", "r", shape=(self.count, self.width))
        kept = ((record, row) for record, row in self._in_order(self.items) if row is not None)
        while chunk := list(islice(kept, CHUNK)):
            yield [record for record, _ in chunk], np.asarray(vectors[[row for _, row in chunk]])

    def _in_order(self, items: int) -> Iterator[tuple[Record, int | None]]:
        """Yield by index what was written first, and which row its vector is.

        Windows are run one after the other, so that no more than one has to wait.
        """
        waiting: dict[int, tuple[Record, int | None]] = {}
        due = vectors = 0
        with self._rows.open(encoding="utf-8") as file:
            for line in islice(file, items):
                record = json.loads(line)
                has_vector = "error" not in record
                waiting[record["index"]] = (record, vectors if has_vector else None)
                vectors += has_vector
                while due in waiting:
                    yield waiting.pop(due)
                    due += 1
        yield from (waiting[index] for index in sorted(waiting))
