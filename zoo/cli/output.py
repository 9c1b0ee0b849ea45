"""What several commands print: tables, JSON, numbers for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

GAP = "  "


def echo_json(value: Any) -> None:  # noqa: ANN401  whatever JSON can hold
    """Print a value as JSON that people can read too."""
    unicode = getattr(sys.stdout, "encoding", "utf-8").lower().startswith("utf")
    click.echo(json.dumps(value, indent=2, ensure_ascii=not unicode))


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, right: str = "") -> str:
    """Return rows under a header, in columns that a pipe can cut at two spaces.

    Args:
        header: Names of the columns.
        rows: Cells.
        right: Names of columns, space-separated, that are aligned to the right.
    """
    lines = [list(header), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    to_right = [name in right.split() for name in header]
    return "\n".join(
        GAP.join(
            cell.rjust(width) if at_right else cell.ljust(width)
            for cell, width, at_right in zip(line, widths, to_right, strict=True)
        ).rstrip()
        for line in lines
    )


def listing(pairs: Iterable[tuple[str, str]]) -> str:
    """Return `name  value` lines, values aligned; pairs without a value are left out."""
    kept = [(name, value) for name, value in pairs if value]
    width = max((len(name) for name, _ in kept), default=0)
    return "\n".join(f"{name.ljust(width)}{GAP}{value}" for name, value in kept)


def count(number: float) -> str:
    """Return a count as people say it: 22.7M."""
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:g}"


def size(number_of_bytes: float) -> str:
    """Return a number of bytes in decimal units, as disks are sold: 90.9 MB."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number_of_bytes >= factor:
            return f"{number_of_bytes / factor:.1f} {unit}"
    return f"{number_of_bytes:g} B"


def plural(number: int, word: str) -> str:
    """Return a number of things: 1 vector, 1,024 vectors."""
    return f"{number:,} {word}" + ("" if number == 1 else "s")


def matrix(labels: Sequence[str], values: Sequence[Sequence[float]], *, width: int = 40) -> str:
    """Return a square matrix of numbers; rows are labelled, columns numbered.

    Args:
        labels: One a row.
        values: Numbers.
        width: Longest label that is shown whole, characters.
    """
    shown = [label if len(label) <= width else label[: width - 3] + "..." for label in labels]
    header = ["", "", *(str(i) for i in range(1, len(shown) + 1))]
    rows = [
        [str(i), label, *(f"{value:.4f}" for value in line)]
        for i, (label, line) in enumerate(zip(shown, values, strict=True), start=1)
    ]
    return table(header, rows, right=" ".join(header[2:]))
