"""What ONNX Runtime takes of eager's time: `python -m benchmarks.latency [--only NAME]`.

Full size, random weights, one sample of the size at which the cards state FLOPs. Both run in one
process with one thread; runs alternate, and the processor's time counts, so that what else the
machine does counts little. Networks that differ in weights only are run once. Results go beside the
cards (model_cards/results.json) as each is done: a run that is cut short goes on where it stopped,
the smallest first. A row is run again when its network or a version has changed, or with --again.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from importlib.metadata import version
from pathlib import Path
from typing import cast

import click

from zoo import machine
from zoo.cards.measured import digest_of, typical_shapes
from zoo.cards.results import Latency, RowResults, read_results, write_results
from zoo.clocks import CpuClock
from zoo.noise import noise
from zoo.records import from_plain, to_plain
from zoo.registry import default_registry
from zoo.spec import ModelSpec

PACKAGES = ("torch", "onnxruntime")
SECONDS = 1.0  # measured, of each
LEAST_RUNS = 3
LARGEST = 7e8  # parameters: two copies, and what an export holds, in 16 GB


@click.command()
@click.option("--only", multiple=True, default=("*",), help="Rows of these names or patterns.")
@click.option("--cards", type=Path, default=Path("model_cards"), help="Where results are stored.")
@click.option("--largest", default=LARGEST, help="Parameters of the largest network that is run.")
@click.option("--again", is_flag=True, help="Run what has been run with these versions too.")
@click.option("--here", "row_here", hidden=True, help="Run this row in this process and print it.")
def main(
    only: tuple[str, ...], cards: Path, largest: float, again: bool, row_here: str | None
) -> None:
    """Measure the rows that have no latency yet, each in a process of its own."""
    if row_here is not None:
        click.echo(json.dumps(to_plain(measure(default_registry().row(row_here)))))
        return
    rows = [row for row in default_registry() if row.export == "torch"]
    chosen = [
        row
        for row in sorted(rows, key=lambda row: row.params)
        if row.params <= largest and any(fnmatchcase(row.name, pattern) for pattern in only)
    ]
    for row in chosen:
        stored = read_results(cards)
        if again or not _holds(row, stored):
            own = stored.get(row.name, RowResults())
            found = (None if again else _twin(row, rows, stored)) or _run(row)
            if found is not None:
                write_results(cards, {**read_results(cards), row.name: replace(own, latency=found)})
                click.echo(f"{row.name}  {found.ratio:.2f}  {found.eager:.1f} ms", err=True)


def measure(row: ModelSpec) -> Latency:
    """Export a row's network, and time both on one sample."""
    import torch

    from zoo.backends.eager import EagerBackend
    from zoo.runtime.onnx import OnnxBackend
    from zoo.runtime.session import open_session
    from zoo_export.draft import Clock, traced
    from zoo_export.parity import default_profile

    batch = noise(row, typical_shapes(row))
    alone = row.pooling != "none"
    with tempfile.TemporaryDirectory() as folder:
        draft = traced(
            row,
            Path(folder),
            profile=default_profile(row),
            outputs=("pooled",) if alone else None,
            weights="random",
            seed=0,
            progress=False,
            streamed=False,
            clock=Clock(),
        )
        torch.set_num_threads(1)
        cpu, kind = torch.device("cpu"), torch.float32
        eager = EagerBackend(draft.row, draft.module, device=cpu, dtype=kind)
        session = open_session(draft.exported.path, threads=1)
        graph = OnnxBackend(session, draft.facts, draft.graph)
        times = alternate(
            {
                "eager": lambda: eager.run(batch, normalize=row.normalize, pooled_only=alone),
                "onnx": lambda: graph.run(batch, normalize=row.normalize, pooled_only=alone),
            }
        )
    return Latency(
        digest=digest_of(row),
        of=row.name,
        eager=round(times["eager"], 2),
        onnx=round(times["onnx"], 2),
        processor=machine.processor(),
        versions=versions(),
    )


def alternate(runs: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Return the median milliseconds of each; runs alternate, the first warms up."""
    clock = CpuClock()
    times: dict[str, list[float]] = {name: [] for name in runs}
    while True:
        for name, run in runs.items():
            times[name].append(clock(run))
        done = [sum(taken[1:]) > SECONDS * 1e3 for taken in times.values()]
        if all(done) and min(map(len, times.values())) > LEAST_RUNS:
            return {name: statistics.median(taken[1:]) for name, taken in times.items()}


def versions() -> dict[str, str]:
    """Return the versions of what is timed."""
    return {package: version(package) for package in PACKAGES}


def _holds(row: ModelSpec, stored: Mapping[str, RowResults]) -> bool:
    found = stored.get(row.name, RowResults()).latency
    return (
        found is not None
        and found.digest == digest_of(row)
        and dict(found.versions) == versions()
        and found.processor == machine.processor()
    )


def _twin(
    row: ModelSpec, rows: Sequence[ModelSpec], stored: Mapping[str, RowResults]
) -> Latency | None:
    """Return what was measured of a row whose network is the same."""
    for other in rows:
        same = (other.config, other.inputs, other.normalize) == (
            row.config,
            row.inputs,
            row.normalize,
        )
        if same and other.name != row.name and _holds(other, stored):
            return replace(cast(Latency, stored[other.name].latency), digest=digest_of(row))
    return None


def _run(row: ModelSpec) -> Latency | None:
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.latency", "--here", row.name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        click.echo(f"{row.name}: {done.stderr.strip()[-200:]}", err=True)
        return None
    return from_plain(Latency, json.loads(done.stdout.splitlines()[-1]), row.name)


if __name__ == "__main__":
    main()
