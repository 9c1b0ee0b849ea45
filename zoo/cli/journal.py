"""What an unfinished `zoo embed` has done so far: an append-only folder that survives Ctrl-C.

    state.json     what was asked for; another question cannot go on from here
    rows.jsonl     a line an item: where it came from, or why it was skipped
    vectors.f32    raw float32 rows, little-endian, of the items that were not skipped

A batch's vectors are written before its lines, so every complete line has its vector.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from filelock import FileLock, Timeout

from zoo.errors import OptionError
from zoo.preprocess import Array
from zoo.weights.cache import disk_errors, write_whole

BYTES = 4  # of a float32
FLUSH = 256  # rows; what a power cut may cost
CHUNK = 8192  # rows that are in memory at a time when the result is written

Record = dict[str, Any]


class Journal:
    """Rows and vectors of one run; a context manager that keeps what it has when it is left.

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
        self._pending: list[tuple[Record, Array | None]] = []
        self._lock = FileLock(folder / "lock")
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
            before = json.loads(self._state.read_text(encoding="utf-8"))
            if before != asked:
                changed = "; ".join(
                    f"{key}: {before.get(key)!r} is now {asked.get(key)!r}"
                    for key in sorted({*before, *asked})
                    if before.get(key) != asked.get(key)
                )
                raise OptionError(
                    f"{self.folder} holds an unfinished run that asked for something else "
                    f"({changed}). Finish it with the same options, or add --restart to forget it."
                )
        else:
            for path in (self._rows, self._vectors):
                path.write_bytes(b"")
            write_whole(self._state, json.dumps(asked).encode())
        self.items, self.count, end = self._survey()
        with self._rows.open("r+b") as file:
            file.truncate(end)
        with self._vectors.open("r+b") as file:
            file.truncate(self.count * self.width * BYTES)

    def _survey(self) -> tuple[int, int, int]:
        """Return items and vectors that are complete, and where their lines end, bytes."""
        whole = self._vectors.stat().st_size // (self.width * BYTES)
        items = vectors = end = 0
        with self._rows.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                has_vector = b'"error"' not in line or "error" not in json.loads(line)
                if vectors + has_vector > whole:
                    break
                items, vectors, end = items + 1, vectors + has_vector, end + len(line)
        return items, vectors, end

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Keep what is there, unless it is nothing or the work is done."""
        self.flush()
        self._lock.release()
        if kind is None or not self.items:
            shutil.rmtree(self.folder, ignore_errors=True)

    def add(self, record: Record, vector: Array | None) -> None:
        """Append one item; None for its vector if it was skipped."""
        self._pending.append((record, vector))
        if len(self._pending) >= FLUSH:
            self.flush()

    def flush(self) -> None:
        """Write what is pending."""
        if not self._pending:
            return
        pending, self._pending = self._pending, []  # never twice, should the disk be full
        vectors = [vector for _, vector in pending if vector is not None]
        with disk_errors(self.folder):
            with self._vectors.open("ab") as file:
                file.writelines(np.ascontiguousarray(row, dtype="<f4").tobytes() for row in vectors)
            with self._rows.open("a", encoding="utf-8") as text:
                text.writelines(json.dumps(record) + "\n" for record, _ in pending)
        self.items += len(pending)
        self.count += len(vectors)

    def records(self) -> Iterator[Record]:
        """Yield all items that were written, skipped ones too."""
        with self._rows.open(encoding="utf-8") as file:
            yield from map(json.loads, file)

    def chunks(self) -> Iterator[tuple[list[Record], Array]]:
        """Yield items and their vectors (N, D), some thousands at a time, without skipped ones."""
        kept = (record for record in self.records() if "error" not in record)
        with self._vectors.open("rb") as file:
            for start in range(0, self.count, CHUNK):
                rows = min(CHUNK, self.count - start)
                raw = np.frombuffer(file.read(rows * self.width * BYTES), dtype="<f4")
                vectors = raw.reshape(rows, self.width)  # (N, D)
                yield [next(kept) for _ in range(rows)], vectors

    def copy_vectors(self, target: Any) -> None:  # noqa: ANN401  a binary file
        """Append all vectors, as raw float32 rows, to an open file."""
        with self._vectors.open("rb") as file:
            shutil.copyfileobj(file, target, 1 << 20)
