"""What `zoo embed` reads: files, folders, globs, lines and table columns, one item at a time."""

from __future__ import annotations

import csv
import glob
import hashlib
import json
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.errors import InputError, MissingExtraError, OptionError
from zoo.spec import Modality

STDIN = "-"
LITERAL = "--text"
TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
LONGEST = 2**31 - 1  # characters of a cell; Python's own limit would be 131,072
LINES = frozenset({".txt"})
IMAGES = frozenset(
    f".{name}"
    for name in ("avif", "bmp", "gif", "jp2", "jpeg", "jpg", "pbm", "pgm", "png", "ppm", "tif",
                 "tiff", "webp")
)  # fmt: skip
SOUNDS = frozenset(
    f".{name}" for name in ("aif", "aiff", "au", "flac", "mp3", "ogg", "opus", "wav")
)
CLIPS = frozenset(f".{name}" for name in ("avi", "gif", "m4v", "mkv", "mov", "mp4", "webm"))
# What a folder is searched for. A file that is named is taken whatever its suffix.
SUFFIXES: dict[Modality, frozenset[str]] = {
    "image": IMAGES,
    "text": LINES,
    "audio": SOUNDS,
    "video": CLIPS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing to encode and where it came from.

    Attributes:
        value: A text, the path of a file, or what else a cell of a table holds, for the encoder to
            refuse.
        source: File, `-` for stdin, or `--text`.
        row: Line or record inside the source, from 1; None if the source is the item.
    """

    value: object
    source: str
    row: int | None = None

    def sha256(self) -> str | None:
        """Hash the file's bytes or the text's UTF-8; None for what cannot be read."""
        if isinstance(self.value, str):
            return hashlib.sha256(self.value.encode("utf-8", "surrogatepass")).hexdigest()
        if isinstance(self.value, bytes):
            return hashlib.sha256(self.value).hexdigest()
        if not isinstance(self.value, Path):
            return None
        try:
            with self.value.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return None  # the encoder says why, when it tries to read the file

    def place(self) -> str:
        """Say where it came from, for messages."""
        return self.source if self.row is None else f"{self.source}, row {self.row}"

    def blame(self, reason: str) -> str:
        """Say what is wrong with it; most reasons name a file already."""
        named = self.row is None and self.source in reason
        return reason if named else f"{self.place()}: {reason}"


def read_items(
    inputs: Sequence[str], *, modality: Modality, texts: Sequence[str] = (), column: str | None
) -> Iterator[Item]:
    """Yield items in the order of the arguments; nothing is opened before it is needed.

    Args:
        inputs: Files, folders, globs or `-`.
        modality: Of the model: for texts a line is an item, for images and sounds it is a path.
        texts: Literal texts, which come first.
        column: Column of a table that holds the items.

    Raises:
        InputError: Nothing is there, or a list cannot be read.
        OptionError: The options do not fit the inputs or the model.
    """
    if modality not in SUFFIXES:
        raise OptionError(
            f"`zoo embed` reads texts, images and sounds; this model encodes {modality}."
        )
    if texts and modality != "text":
        raise OptionError(f"--text needs a model for texts; this one encodes {modality}.")
    if column is not None and not any(Path(name).suffix.lower() in TABLES for name in inputs):
        raise OptionError(f"--column {column} needs a {', '.join(TABLES)} file among the inputs.")
    for row, text in enumerate(texts, start=1):
        yield Item(value=text, source=LITERAL, row=row)
    for name in inputs:
        if name == STDIN:
            try:
                yield from _lines(sys.stdin, name, Path(), modality)
            except UnicodeDecodeError as error:
                raise InputError(f"stdin is not text in UTF-8: {error}.") from error
            continue
        for path in _expand(name, modality):
            yield from _file(path, modality, column)


def _expand(name: str, modality: Modality) -> Iterator[Path]:
    """Yield the files that an argument stands for, in an order that does not change."""
    path = Path(os.path.expanduser(name))
    suffixes = SUFFIXES[modality]
    hint = f" A literal text goes after {LITERAL}." if modality == "text" else ""
    if os.path.isdir(path):  # unlike Path's, it bears names that cannot be, as a long text is one
        files: Iterable[Path] = _walk(path, suffixes)
        empty = (
            f"The folder {name!r} holds nothing that this model reads: "
            f"{', '.join(sorted(suffixes))}."
        )
    elif os.path.exists(path):  # before globs, because a file's name may hold a bracket
        files, empty = [path], ""
    elif glob.has_magic(name):
        files = _glob(str(path), suffixes.union(TABLES))
        empty = f"Nothing matches {name!r}.{hint}"
    else:
        files = []
        empty = f"There is no file or folder {name!r}.{hint}"
    found = False
    for file in files:
        found = True
        yield file
    if not found:
        raise InputError(empty)


def _walk(folder: Path, suffixes: frozenset[str]) -> Iterator[Path]:
    """Yield a folder's files, then those of its folders; at most one folder's names are held."""

    def refused(error: OSError) -> None:
        if Path(error.filename) == folder:
            raise InputError(f"{folder} cannot be read: {error.strerror}.") from error
        warnings.warn(f"{error.filename} is left out: {error.strerror}.", stacklevel=2)

    for parent, folders, names in os.walk(folder, onerror=refused):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            if path.suffix.lower() in suffixes and path.is_file():
                yield path


def _glob(pattern: str, suffixes: frozenset[str]) -> Iterator[Path]:
    for name in sorted(glob.glob(pattern, recursive=True)):
        path = Path(name)
        if path.suffix.lower() in suffixes and path.is_file():  # `**` matches folders too
            yield path


def _file(path: Path, modality: Modality, column: str | None) -> Iterator[Item]:
    suffix = path.suffix.lower()
    if suffix not in TABLES and suffix not in LINES and modality != "text":
        yield Item(value=path, source=_name(path))
        return
    if suffix in TABLES and column is None:
        raise OptionError(f"{path} is a table: say which column to encode with --column NAME.")
    if suffix == ".json":
        raise OptionError(
            f"{path} is JSON, which has no lines of its own. Write an object a line, as .jsonl, "
            "and name the field with --column."
        )
    try:
        if suffix in TABLES and column is not None:
            for row, cell in _cells(path, column):
                yield _listed(cell, _name(path), row, path.parent, modality)
        else:
            with path.open(encoding="utf-8-sig") as file:
                yield from _lines(file, _name(path), path.parent, modality)
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text in UTF-8, which is read here: {error}.") from error
    except (OSError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be read: {reason}.") from error


def _name(path: Path) -> str:
    """Return a path as text that every format can hold, also where its bytes are not UTF-8."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def _lines(lines: Iterable[str], source: str, folder: Path, modality: Modality) -> Iterator[Item]:
    """Yield an item a line; a blank line is a text of its own, but no path."""
    for row, line in enumerate(lines, start=1):
        text = line.removesuffix("\n")
        if text.strip() or modality == "text":
            yield _listed(text, source, row, folder, modality)


def _listed(cell: object, source: str, row: int, folder: Path, modality: Modality) -> Item:
    """Return the item that a line or a cell stands for; paths start at the list's folder."""
    if isinstance(cell, str) and modality != "text":
        cell = folder / os.path.expanduser(cell.strip())
    return Item(value=cell, source=source, row=row)


def _cells(path: Path, column: str) -> Iterator[tuple[int, object]]:
    """Yield the rows of a table, from 1, with what they hold in a column."""
    match path.suffix.lower():
        case ".parquet":
            return _parquet(path, column)
        case ".jsonl" | ".ndjson":
            return _json_lines(path, column)
        case suffix:
            return _delimited(path, column, "\t" if suffix == ".tsv" else ",")


def _expect_column(path: Path, column: str, names: Sequence[str]) -> None:
    if names.count(column) == 1:
        return
    if column in names:
        raise OptionError(f"{path} has {names.count(column)} columns {column!r}.")
    there = f"it has {', '.join(names)}" if names else "it is empty"
    raise OptionError(f"{path} has no column {column!r}; {there}.")


def _delimited(path: Path, column: str, delimiter: str) -> Iterator[tuple[int, object]]:
    csv.field_size_limit(LONGEST)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter=delimiter)
        _expect_column(path, column, reader.fieldnames or ())
        for row, record in enumerate(reader, start=1):
            yield row, record[column]  # None where the row ends before


def _json_lines(path: Path, column: str) -> Iterator[tuple[int, object]]:
    known = False
    with path.open(encoding="utf-8-sig") as file:
        for row, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError as error:
                raise InputError(f"{path}, row {row}: is not JSON: {error}") from error
            if not isinstance(record, dict):
                raise InputError(f"{path}, row {row}: is no JSON object.")
            if not known:  # later objects may lack it, as cells may be empty
                _expect_column(path, column, list(record))
                known = True
            yield row, record.get(column)


def _parquet(path: Path, column: str) -> Iterator[tuple[int, object]]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError as error:
        raise MissingExtraError("pyarrow", extra="embed") from error
    try:
        with ParquetFile(path) as file:
            _expect_column(path, column, file.schema_arrow.names)
            row = 0
            for batch in file.iter_batches(columns=[column]):
                for cell in batch.column(0):
                    row += 1
                    yield row, cell.as_py()
    except ArrowException as error:
        raise InputError(f"{path} cannot be read: {error}") from error
