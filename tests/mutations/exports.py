"""No false alarm: right graphs through the gate, a line of JSON each.

    python -m tests.mutations.exports FILE.jsonl [--seeds 20] [--full NAME ...]

Every distinct tiny configuration of the zoo, or named models at full size, is exported with other
random weights for each seed, run on ONNX Runtime and judged. What the file holds already is not run
again.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import torch

from tests.mutations.bench import float_outputs
from tests.tiny_rows import distinct_rows
from zoo.errors import ExportError
from zoo.loading import random_module
from zoo.preprocess import preprocessor_for
from zoo.registry import default_registry
from zoo.spec import ModelSpec
from zoo_export.binding import bind
from zoo_export.onnx import export_graph
from zoo_export.parity import OnnxCandidate, default_profile, judge


def judged(row: ModelSpec, seed: int, folder: Path) -> dict[str, Any]:
    """Export a tiny row with the weights of a seed and judge the graph."""
    module, profile = random_module(row, seed=seed), default_profile(row)
    row = bind(row, profile)
    outputs = float_outputs(row, module)
    path = folder / "model.onnx"
    start = time.perf_counter()
    try:
        graph = export_graph(row, module, path, outputs=outputs, facts={})
    except ExportError as error:
        return {"row": row.name, "seed": seed, "verdict": "not exported", "line": str(error)}
    middle = time.perf_counter()
    report = judge(
        row,
        module,
        {"onnx": OnnxCandidate(path, scopes=graph.scopes)},
        profile=profile,
        outputs=outputs,
        preprocessor=preprocessor_for(row),
    )
    return {
        "row": row.name,
        "seed": seed,
        "verdict": report.verdict,
        "line": report.line(),
        "not_run": len(report.not_run),
        "ratios": [
            (output.elements, output.ratio, output.worst)
            for candidate in report.candidates
            for output in candidate.outputs
        ],
        "export": round(middle - start, 2),
        "gate": round(time.perf_counter() - middle, 2),
    }


def repeats(
    rows: Sequence[ModelSpec], seeds: Sequence[int], done: Sequence[dict[str, Any]] = ()
) -> Iterator[dict[str, Any]]:
    """Yield a result for every row and seed that is not done yet."""
    there = {(result["row"], result["seed"]) for result in done}
    for seed in seeds:
        for row in rows:
            if (row.name, seed) not in there:
                with tempfile.TemporaryDirectory() as folder:
                    yield judged(row, seed, Path(folder))


def read(file: Path) -> list[dict[str, Any]]:
    """Return the results of a file."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--seeds", default=20, show_default=True)
@click.option("--full", multiple=True, help="A model at full size, in place of the tiny ones.")
def main(file: Path, seeds: int, full: tuple[str, ...]) -> None:
    """Write what every right graph measures to FILE, and say how many were refused."""
    torch.set_num_threads(1)
    rows = [default_registry().row(name) for name in full] or distinct_rows()
    with file.open("a") as stream:
        for result in repeats(rows, range(seeds), read(file)):
            stream.write(json.dumps(result) + "\n")
            stream.flush()
            if result["verdict"] != "passed":
                click.echo(result["line"])
    results = read(file)
    passed = sum(result["verdict"] == "passed" for result in results)
    click.echo(f"{passed} of {len(results)} passed")


if __name__ == "__main__":
    main()
