"""Results that coverage runs stored, row by row, for model cards. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from zoo.cards.measured import Measured
from zoo.errors import FormatError
from zoo.records import from_plain, to_plain
from zoo.weights.jsonfile import read_json

FILE = "results.json"  # beside the cards
NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was run.

    Attributes:
        name: `float64 error`, `ONNX parity`, ...
        outcome: `yes` or `no`.
        detail: A figure, or the reason of a `no`.
    """

    name: str
    outcome: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RowResults:
    """What was found out about one row.

    Attributes:
        reference: Library and version that it was held against.
        checks: What was run.
        versions: Of what ran it.
        seconds: Processor time of the run.
        graphs_of: Row whose graphs and engines were judged, where its tiny configuration is the
            same; empty if the row's own.
        measured: Numbers of the network.
    """

    reference: str = ""
    checks: tuple[Check, ...] = ()
    versions: Mapping[str, str] = field(default_factory=lambda: NONE)
    seconds: float = 0.0
    graphs_of: str = ""
    measured: Measured | None = None


def read_results(folder: Path) -> dict[str, RowResults]:
    """Return row to results; nothing where there is no file.

    Raises:
        FormatError: The file is broken.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    value = read_json(path, FILE, unique=True)
    if not isinstance(value, dict):
        raise FormatError(f"{path} holds no object.")
    return {name: from_plain(RowResults, entry, name) for name, entry in value.items()}


def write_results(folder: Path, results: Mapping[str, RowResults]) -> None:
    """Write all results, sorted by row."""
    import json

    from zoo.weights.cache import disk_errors, whole

    plain = {name: to_plain(results[name]) for name in sorted(results)}
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with whole(folder / FILE) as temporary:
            temporary.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
