"""`zoo similarity`: how alike some texts or images are."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

import zoo
from zoo.bundle import is_bundle
from zoo.cli.complete import model_names
from zoo.cli.inputs import CLIPS, IMAGES, SOUNDS
from zoo.cli.lazy import example
from zoo.cli.models import load_row, open_model
from zoo.cli.options import opening_options, role_options
from zoo.cli.output import echo_json, matrix
from zoo.errors import InputError

if TYPE_CHECKING:
    from zoo.encoder import Encoder
    from zoo.preprocess import Array


@click.command(
    "similarity",
    short_help="Compare texts, images or sounds.",
    epilog=example(
        'zoo similarity all-minilm-l6-v2 "a cat" "a kitten" "a rocket"',
        'zoo similarity clip-b16 cat.jpg "a photo of a cat"',
        "zoo similarity dist/dinov2 cat.jpg kitten.jpg",
    ),
)
@click.argument("name", metavar="NAME|DIR", shell_complete=model_names)
@click.argument("items", nargs=-1)
@role_options
@opening_options
@click.option("--json", "as_json", is_flag=True, help="Items and matrix as JSON.")
def command(
    name: str,
    items: tuple[str, ...],
    role: str | None,
    prompt: str | None,
    prompt_name: str | None,
    device: str | None,
    runtime: str | None,
    dtype: str | None,
    weights: str | None,
    as_json: bool,
) -> None:
    """Compare ITEMS, texts or paths of files, by the model NAME, or the bundle in DIR.

    With a joint space, an item that is the path of a file is an image and any other a text.
    """
    if len(items) < 2:
        raise click.UsageError("Give at least two items to compare.")

    def encode(encoder: Encoder, chosen: Sequence[str]) -> Array:
        try:
            found: Array = encoder.encode(
                list(chosen), role=role, prompt=prompt, prompt_name=prompt_name
            )
        except InputError as error:
            if error.index is None or chosen[error.index] in error.reason:
                raise InputError(error.reason) from error
            raise InputError(f"{chosen[error.index]!r}: {error.reason}") from error
        return found

    rows = () if is_bundle(name) else zoo.resolve(name)
    if len(rows) < 2:
        encoder = open_model(name, device=device, dtype=dtype, weights=weights, runtime=runtime)
        vectors = encode(encoder, items)
        scores = encoder.similarity(vectors, vectors)
    else:
        by_tower: dict[int, Any] = {}
        for row in rows:
            mine = [
                i for i, item in enumerate(items) if _names_file(item) is (row.modality != "text")
            ]
            if mine:
                encoder = load_row(
                    row, device=device, dtype=dtype, weights=weights, runtime=runtime
                )
                found = encode(encoder, [items[i] for i in mine])
                by_tower |= dict(zip(mine, found, strict=True))
        together = [by_tower[i] for i in range(len(items))]
        scores = encoder.similarity(together, together)
    values = [[float(score) for score in line] for line in scores]
    if as_json:
        echo_json({"model": name, "items": list(items), "similarity": values})
    else:
        click.echo(matrix(items, values))


def _names_file(item: str) -> bool:
    """Whether an item is a file, or misses one: nobody means a text by `cat.jpg`."""
    return os.path.isfile(item) or item.lower().endswith(tuple(IMAGES | SOUNDS | CLIPS))
