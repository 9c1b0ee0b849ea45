"""`zoo bench`: how fast a model or a bundle is here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.complete import model_names
from zoo.cli.lazy import example
from zoo.cli.options import weights_option
from zoo.cli.output import echo_json, table
from zoo.errors import ZooError

if TYPE_CHECKING:
    from zoo.bench import Result


class _Words(click.ParamType[tuple[str, ...]]):
    """Words between commas."""

    name = "WORD,..."

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the words."""
        words = tuple(word.strip() for word in str(value).split(","))
        if not all(words):
            self.fail(f"{value!r} must be words between commas.", param, ctx)
        return words


class _Numbers(click.ParamType[tuple[int, ...]]):
    """Whole numbers between commas."""

    name = "N,..."

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Return the numbers."""
        if isinstance(value, tuple):
            return value
        words = str(value).split(",")
        if not all(word.isdecimal() and int(word) for word in words):
            self.fail(f"{value!r} must be numbers between commas, as in 1,8.", param, ctx)
        return tuple(map(int, words))


@click.command(
    "bench",
    short_help="Time a model or a bundle on every backend.",
    epilog=example(
        "zoo bench all-minilm-l6-v2 --batch 1,8,32 --length 128",
        "zoo bench dinov2-b14 --backend eager,compile --precision fp32,bf16 --json",
        "zoo bench dist/minilm --threads 1",
    ),
)
@click.argument("name", metavar="NAME|DIR", shell_complete=model_names)
@click.option(
    "--backend",
    "backends",
    type=_Words(),
    help="Of eager, compile, onnx, ... Default all; of a bundle, those it is for.",
)
@click.option(
    "--precision",
    "precisions",
    type=_Words(),
    help="Of fp32, fp16, bf16. Default fp32; of a bundle, its own.",
)
@click.option(
    "--batch", "batches", type=_Numbers(), default="1,8", show_default=True, help="Samples."
)
@click.option("--length", type=click.IntRange(min=1), help="Tokens of a text. Default typical.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=2.0,
    show_default=True,
    help="Measured of each setting, after a quarter to warm up.",
)
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1.")
@click.option("--threads", type=click.IntRange(min=1), help="Of the processor. Default all cores.")
@click.option(
    "--cpu-time",
    is_flag=True,
    help="Count processor time: steadier where others work too; best with --threads 1.",
)
@weights_option
@click.option("--json", "as_json", is_flag=True, help="As a JSON object, with every run's time.")
def command(
    name: str,
    backends: tuple[str, ...] | None,
    precisions: tuple[str, ...] | None,
    batches: tuple[int, ...],
    length: int | None,
    seconds: float,
    device: str,
    threads: int | None,
    cpu_time: bool,
    weights: str | None,
    as_json: bool,
) -> None:
    """Time the model NAME, or the bundle in DIR, on every backend that there is.

    Latencies are those of a batch of arrays, without preprocessing. What cannot run here is listed
    with the reason; exit code 1 if nothing can. A bundle needs no torch.
    """
    from zoo import bench
    from zoo.targets import PRECISIONS

    known: dict[str, str] = {**PRECISIONS, **{name: name for name in PRECISIONS.values()}}
    unknown = [word for word in precisions or () if word not in known]
    if unknown:
        raise click.UsageError(f"{unknown[0]!r} is none of {', '.join(PRECISIONS)}.")
    plan = bench.Plan(
        backends=backends or (),
        precisions=tuple(known[word] for word in precisions or ()),
        batches=batches,
        length=length,
        seconds=seconds,
        device=device,
        threads=threads,
        cpu_time=cpu_time,
        weights=weights,
    )
    results = bench.bench(name, plan, lambda line: click.echo(line, err=True))
    facts = bench.facts_of_machine(plan)
    if as_json:
        echo_json({"machine": facts, "results": [_to_plain(result) for result in results]})
    else:
        click.echo(show(results))
        click.echo(f"\n{machine_line(facts)}")
    if not any(result.milliseconds for result in results):
        raise ZooError("Nothing could be run here; the reasons stand above.")


def show(results: Sequence[Result]) -> str:
    """Return a table, and below it what could not be run."""
    ran = [result for result in results if result.milliseconds]
    header = ("model", "backend", "precision", "batch", "sample", "p50_ms", "p99_ms", "per_second",
              "runs", "clock")  # fmt: skip
    cells = (
        (result.model, result.backend, result.precision, str(result.batch),
         "x".join(map(str, result.sample)),
         f"{result.percentile(50):.2f}", f"{result.percentile(99):.2f}",
         f"{result.per_second:.1f}", str(len(result.milliseconds)), result.clock)
        for result in ran
    )  # fmt: skip
    lines = (
        [table(header, cells, right="batch sample p50_ms p99_ms per_second runs")] if ran else []
    )
    reasons = dict.fromkeys(
        f"{result.backend}, {result.precision}: {result.reason}"
        for result in results
        if not result.milliseconds
    )
    return "\n\n".join([*lines, *(["Not run:\n" + "\n".join(reasons)] if reasons else [])])


def machine_line(facts: dict[str, Any]) -> str:
    """Return what the figures depend on, in a line."""
    threads = facts["threads"] or "each runtime's own choice of"
    line = f"{facts['processor']}, {facts['cores']} cores, {threads} threads"
    for gpu in facts["gpus"]:
        line += (
            f"; {gpu['name']}, driver {gpu['driver']}, at {gpu['clock_mhz']} of "
            f"{gpu['highest_clock_mhz']} MHz, memory {gpu['memory_clock_mhz']} MHz, "
            f"{gpu['watts']} W, {gpu['celsius']} C"
        )
    return line


def _to_plain(result: Result) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "model": result.model,
        "backend": result.backend,
        "precision": result.precision,
        "batch": result.batch,
    }
    if not result.milliseconds:
        return plain | {"reason": result.reason}
    return plain | {
        "sample": list(result.sample),
        "p50_ms": result.percentile(50),
        "p99_ms": result.percentile(99),
        "per_second": result.per_second,
        "clock": result.clock,
        "runs_ms": list(result.milliseconds),
    }
