"""Stored results of coverage runs as docs/coverage.md."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from zoo.cards.results import Check, RowResults
from zoo.spec import ModelSpec

OUTPUTS, KEYS, PREPROCESSING = "outputs", "weights of full size", "preparation"
GRAPH, ENGINE = "ONNX graph", "TensorRT-RTX engine"
HEAD = """\
# What has been shown of each row

Written by `python -m benchmarks.coverage --table` from what `python -m benchmarks.coverage` stored
in model_cards/results.json; nothing here is written by hand.

- **float64, float32**: largest relative error of a tiny network with live weights, saved by the
  reference library and loaded as a user would; bounds 1e-10 and 2e-6.
- **keys**: every name and shape of the library's own network of full size, on the meta device, has
  its place in ours, both ways; the number of layouts.
- **prepared**: pixels, tokens or samples beside the library's own.
- **ONNX**: the tiny row's graph through the gate on ONNX Runtime: signal to noise, and its error as
  a part of eager's at the output that comes closest to a limit. float16 runs emulated on a CPU.
- **RTX**: `built`: TensorRT-RTX made one engine for sm_80, sm_86, sm_89 and sm_120. None was run.
- **graph of**: row whose graphs these are, where its tiny configuration is the same.
- **s**: processor seconds of the row's run.

Numbers in brackets lead to the notes below the table.
"""
LABELS = {
    f"{OUTPUTS} in float64": "float64",
    f"{OUTPUTS} in float32": "float32",
    KEYS: "keys",
    PREPROCESSING: "prepared",
    f"{GRAPH} in float32": "ONNX float32",
    f"{ENGINE} in float32": "RTX float32",
    f"{GRAPH} in float16": "ONNX float16",
    f"{ENGINE} in float16": "RTX float16",
}


def markdown(rows: Sequence[ModelSpec], results: Mapping[str, RowResults]) -> str:
    """Return the page."""
    notes: dict[str, int] = {}
    head = ("row", "reference", *LABELS.values(), "graph of", "s")
    lines, missing = [_line(head), _line(["---"] * len(head))], []
    for row in sorted(rows, key=lambda row: row.name):
        found = results.get(row.name, RowResults())
        if not found.checks:
            missing.append(row.name)
            continue
        checks = {check.name: check for check in found.checks}
        cells = [_cell(checks[name], notes) if name in checks else "not run" for name in LABELS]
        last = (found.graphs_of or "-", f"{found.seconds:.1f}")
        lines.append(_line([row.name, found.reference or "-", *cells, *last]))
    parts = [HEAD, *lines, "", f"Rows not run: {', '.join(missing) or 'none'}.", "", "## Notes", ""]
    return "\n".join([*parts, *(f"{number}. {note}" for note, number in notes.items())]) + "\n"


def _cell(check: Check, notes: dict[str, int]) -> str:
    """Return a figure, or the outcome with the number of a note."""
    if check.outcome == "built":
        return check.outcome
    if check.outcome == "passed" and check.name != PREPROCESSING:
        return re.split(r" of | \(", check.detail)[0].removeprefix("error ")
    note = check.detail.replace("|", "/")
    return f"{check.outcome} [{notes.setdefault(note, len(notes) + 1)}]"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
