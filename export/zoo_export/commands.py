"""`zoo export`. No torch, until there is something to export."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

import zoo
from zoo.cli.complete import model_names
from zoo.cli.lazy import example
from zoo.cli.options import weights_option
from zoo.cli.output import echo_json, size as in_bytes
from zoo.manifest import Precision
from zoo.records import to_plain
from zoo.targets import ONNX, EngineOptions, target_of
from zoo_export.binding import Size, Triple, profile_for
from zoo_export.engine_options import TargetType, engine_options
from zoo_export.precision_options import plan_line, precision_options


class _TripleType(click.ParamType[Triple]):
    """`MIN:TYP:MAX`, or one number for all three."""

    name = "MIN:TYP:MAX"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Triple:
        """Return three numbers."""
        words = str(value).split(":")
        if not all(word.isdecimal() for word in words) or len(words) not in (1, 3):
            self.fail(f"{value!r} must be one number, or three as in 1:8:32.", param, ctx)
        least, typical, most = map(int, words * 3 if len(words) == 1 else words)
        return least, typical, most


class _SizeType(click.ParamType[tuple[Size, Size, Size]]):
    """`HEIGHTxWIDTH` or one side, once or as `MIN:TYP:MAX`."""

    name = "HxW"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Size, Size, Size]:
        """Return three sizes."""
        sizes = []
        for word in str(value).split(":"):
            sides = word.split("x")
            if not all(side.isdecimal() for side in sides) or len(sides) > 2:
                self.fail(f"{value!r} must be as in 224, 224x448 or 224:224:448.", param, ctx)
            sizes.append((int(sides[0]), int(sides[-1])))
        if len(sizes) not in (1, 3):
            self.fail(f"{value!r} must be one size or three.", param, ctx)
        least, typical, most = sizes * 3 if len(sizes) == 1 else sizes
        return least, typical, most


@click.command(
    "export",
    short_help="Export a model as a bundle, and prove it.",
    epilog=example(
        "zoo export all-minilm-l6-v2 --out dist/minilm",
        "zoo export dinov2-b14 --out dist/dinov2 --size 518 --batch 1:1:4 --outputs pooled",
        "zoo export dinov2-b14 --out dist/dinov2-fp16 --precision fp16",
        "zoo export dinov2-b14 --out dist/dinov2-rtx --to tensorrt-rtx --sm 89,120",
    ),
)
@click.argument("name", shell_complete=model_names)
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path, file_okay=False),
              help="Folder of the bundle; of a joint space, of one bundle a tower.")  # fmt: skip
@click.option("--to", "target", type=TargetType(), default=ONNX, show_default=True,
              help="onnx, tensorrt, tensorrt-rtx, or a plugin's.")  # fmt: skip
@precision_options
@click.option("--batch", type=_TripleType(), help="Samples. Default 1:1:8.")
@click.option(
    "--length", type=_TripleType(), help="Tokens, samples, frames. Default 1:128:512, or the row's."
)
@click.option(
    "--size", type=_SizeType(), metavar="HxW", help="Pixels of images. Default the row's own size."
)
@click.option("--outputs", help="Of pooled, tokens, prefix, pyramid. Default pooled,tokens.")
@weights_option
@click.option("--thorough", is_flag=True, help="Prove the costliest cases too.")
@click.option("--overwrite", is_flag=True, help="Replace a bundle that is there.")
@click.option("--json", "as_json", is_flag=True, help="What was made, as JSON.")
@engine_options
def export(
    name: str,
    target: str,
    out: Path,
    batch: Triple | None,
    length: Triple | None,
    size: tuple[Size, Size, Size] | None,
    outputs: str | None,
    precision: Precision,
    keep: tuple[str, ...],
    fix: bool,
    weights: str | None,
    thorough: bool,
    overwrite: bool,
    as_json: bool,
    options: EngineOptions,
) -> None:
    """Export the model NAME as a bundle that runs without torch, and prove it.

    The graph is held against the network in float64 over the shapes that it is made for. What is
    not proven is not written to the folder, but beside it, with the report; exit code 3.
    """
    if not str(out).isprintable():  # a name that is not UTF-8, or a line feed
        raise click.UsageError(f"{str(out)!r} cannot be the name of a bundle's folder.")
    rows = zoo.resolve(name)
    built = []
    for row in rows:
        profile = profile_for(row, batch=batch, length=length, size=size)
        if not as_json:
            click.echo(f"{row.name} is exported and held against float64 ...", err=True)
        from zoo_export.build import build_bundle  # brings in torch

        done = build_bundle(
            row,
            out if len(rows) == 1 else out / row.name,
            profile=profile,
            outputs=None if outputs is None else [word.strip() for word in outputs.split(",")],
            precision=precision,
            keep=keep,
            fix=fix,
            weights=weights,
            thorough=thorough,
            overwrite=overwrite,
            target=target_of(target),
            options=replace(options, progress=not as_json),
        )
        built.append(done)
        if not as_json:
            total = sum(file.size for file in done.manifest.files.values())
            click.echo(done.report.line())
            if done.manifest.plan is not None:
                click.echo(plan_line(done.manifest.plan))
            if done.manifest.engine is not None:
                click.echo(done.manifest.engine.verdict.line)
                counts = done.manifest.engine.facts.get("precisions", {}).items()
                click.echo(", ".join(f"{count} layers in {dtype}" for dtype, count in counts))
            click.echo(f"{done.path}: {in_bytes(total)}, {done.nodes} nodes")
    if as_json:
        echo_json([
            {
                "model": done.manifest.facts.name,
                "target": target,
                "precision": done.manifest.graph.dtype,
                "path": str(done.path),
                "verdict": done.manifest.verdict.line,
                "engine": to_plain(done.manifest.engine),
                "nodes": done.nodes,
                "bytes": sum(file.size for file in done.manifest.files.values()),
                "seconds": dict(done.seconds),
            }
            for done in built
        ])  # fmt: skip
