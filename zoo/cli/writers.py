"""The formats of `zoo embed`: each writes a finished journal, a chunk at a time.

`.npy` and `.safetensors` hold vectors only; where each came from stands beside them, a line a row,
in `OUT.meta.jsonl`. `.jsonl` and `.parquet` hold both.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from zoo.cli.journal import Journal
from zoo.errors import MissingExtraError
from zoo.weights.cache import disk_errors

Facts = Mapping[str, str | None]
"""What all rows share: model and revision."""
Writer = Callable[[Path, Journal, Facts], None]


def write(out: Path, journal: Journal, facts: Facts) -> None:
    """Write the result; nothing appears under its final name before it is complete."""
    with disk_errors(out):
        WRITERS[out.suffix](journal.result, journal, facts)
        if out.suffix in SIDECAR:
            _write_notes(journal.notes, journal, facts)
            os.replace(journal.notes, sidecar(out))
        os.replace(journal.result, out)


def sidecar(out: Path) -> Path:
    """Return where the provenance of `.npy` and `.safetensors` vectors stands."""
    return out.with_name(out.name + ".meta.jsonl")


def check(out: Path) -> None:
    """Refuse, before any work is done, a format whose library is missing."""
    if out.suffix == ".parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ModuleNotFoundError as error:
            raise MissingExtraError("pyarrow", extra="embed") from error


def _write_npy(path: Path, journal: Journal, facts: Facts) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": (journal.count, journal.width)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        _write_vectors(file, journal)


def _write_safetensors(path: Path, journal: Journal, facts: Facts) -> None:
    shape = [journal.count, journal.width]
    header = {
        "__metadata__": {key: value for key, value in facts.items() if value is not None},
        "vectors": {"dtype": "F32", "shape": shape, "data_offsets": [0, 4 * shape[0] * shape[1]]},
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the format wants tensors to begin at a multiple of 8
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        _write_vectors(file, journal)


def _write_vectors(file: BinaryIO, journal: Journal) -> None:
    for _, vectors in journal.chunks():
        file.write(vectors.tobytes())


def _write_jsonl(path: Path, journal: Journal, facts: Facts) -> None:
    with path.open("w", encoding="utf-8") as file:
        for records, vectors in journal.chunks():
            for record, vector in zip(records, vectors, strict=True):
                # float32 as its shortest exact decimal, not as the longer float64 it widens to
                numbers = [float(str(number)) for number in vector]
                file.write(json.dumps({**record, **facts, "vector": numbers}) + "\n")


def _write_notes(path: Path, journal: Journal, facts: Facts) -> None:
    with path.open("w", encoding="utf-8") as file:
        for record in journal.records():
            if "error" not in record:
                file.write(json.dumps({**record, **facts}) + "\n")


def _write_parquet(path: Path, journal: Journal, facts: Facts) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    word = pa.dictionary(pa.int32(), pa.string())
    schema = pa.schema(
        [
            pa.field("index", pa.int64(), nullable=False),
            pa.field("source", pa.string(), nullable=False),
            pa.field("row", pa.int64()),
            pa.field("sha256", pa.string()),
            pa.field("model", word, nullable=False),
            pa.field("revision", word),
            pa.field("vector", pa.list_(pa.float32(), journal.width), nullable=False),
        ]
    )
    with pq.ParquetWriter(path, schema) as writer:
        for records, vectors in journal.chunks():
            columns: dict[str, Any] = {
                name: [record[name] for record in records]
                for name in ("index", "source", "row", "sha256")
            }
            columns |= {name: [facts[name]] * len(records) for name in ("model", "revision")}
            columns["vector"] = pa.FixedSizeListArray.from_arrays(
                pa.array(vectors.reshape(-1)), journal.width
            )
            arrays = [pa.array(columns[field.name], field.type) for field in schema]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


WRITERS: dict[str, Writer] = {
    ".jsonl": _write_jsonl,
    ".npy": _write_npy,
    ".parquet": _write_parquet,
    ".safetensors": _write_safetensors,
}
SIDECAR = frozenset({".npy", ".safetensors"})
