"""Results that coverage runs stored, row by row, for model cards. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from zoo.cards.measured import Measured
from zoo.errors import FormatError
from zoo.frozen import FrozenMap
from zoo.records import from_plain, to_plain
from zoo.weights.cache import disk_errors, whole
from zoo.weights.jsonfile import read_json

FILE = "results.json"  # beside the cards
Outcome = Literal["passed", "failed", "built", "not run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was run, or was to be run.

    Attributes:
        name: `outputs in float64`, `ONNX graph in float32`, ...
        outcome: `built` of an engine that was made and not run.
        detail: A figure, or why there is none.
    """

    name: str
    outcome: Outcome
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """How long one sample takes in float32, with one thread of a processor.

    Attributes:
        digest: Of the network, as in `Measured`.
        of: Row that was run; its network is the same.
        eager: Milliseconds in PyTorch.
        onnx: Milliseconds of its graph on ONNX Runtime.
        processor: That ran both.
        versions: Of both.
    """

    digest: str
    of: str
    eager: float
    onnx: float
    processor: str
    versions: Mapping[str, str]

    @property
    def ratio(self) -> float:
        """What the graph takes of eager's time."""
        return self.onnx / self.eager


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
        latency: Of the full-size network, where it was run.
    """

    reference: str = ""
    checks: tuple[Check, ...] = ()
    versions: Mapping[str, str] = FrozenMap()
    seconds: float = 0.0
    graphs_of: str = ""
    measured: Measured | None = None
    latency: Latency | None = None


def read_results(folder: Path) -> dict[str, RowResults]:
    """Return the results of each row; none where there is no file.

    Raises:
        FormatError: The file is broken.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    value = read_json(path, FILE, unique=True)
    if not isinstance(value, dict):
        raise FormatError(f"{path} holds no object.")
    return {
        name: from_plain(RowResults, entry, f"{name} in {path}") for name, entry in value.items()
    }


def write_results(folder: Path, results: Mapping[str, RowResults]) -> None:
    """Write all results, sorted by row."""
    plain = {name: to_plain(results[name]) for name in sorted(results)}
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with whole(folder / FILE) as temporary:
            temporary.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
