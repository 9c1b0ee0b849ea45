"""`zoo similarity`: how alike some texts or images are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

import zoo
from zoo.cli.lazy import example
from zoo.cli.output import echo_json, matrix

if TYPE_CHECKING:
    from zoo.encoder import Encoder
    from zoo.preprocess import Array
    from zoo.spec import ModelSpec


@click.command(
    "similarity",
    epilog=example(
        'zoo similarity all-minilm-l6-v2 "a cat" "a kitten" "a rocket"',
        'zoo similarity clip-b16 cat.jpg "a photo of a cat"',
    ),
)
@click.argument("name")
@click.argument("items", nargs=-1)
@click.option("--role", help="query or document.")
@click.option("--prompt", help="Literal text put before each item.")
@click.option("--prompt-name", help="Name of a stored prompt; see `zoo info NAME`.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, mps.")
@click.option("--dtype", default="float32", show_default=True, help="float32, bfloat16, ...")
@click.option("--weights", help="A folder or file in place of the model's own, or `random`.")
@click.option("--json", "as_json", is_flag=True, help="Items and matrix as JSON.")
def command(
    name: str,
    items: tuple[str, ...],
    role: str | None,
    prompt: str | None,
    prompt_name: str | None,
    device: str,
    dtype: str,
    weights: str | None,
    as_json: bool,
) -> None:
    """Compare ITEMS, texts or paths of images, by the model NAME.

    With a joint space, an item that is the path of a file is an image and any other a text.
    """
    if len(items) < 2:
        raise click.UsageError("Give at least two items to compare.")
    rows = zoo.resolve(name)

    def encode(row: ModelSpec, chosen: list[str]) -> tuple[Encoder, Array]:
        encoder = cast("Encoder", zoo.load(row, device=device, dtype=dtype, weights=weights))
        return encoder, encoder.encode(chosen, role=role, prompt=prompt, prompt_name=prompt_name)

    if len(rows) == 1:
        encoder, vectors = encode(rows[0], list(items))
        scores = encoder.similarity(vectors, vectors)
    else:
        by_tower: dict[int, Any] = {}
        for row in rows:
            mine = [i for i, item in enumerate(items) if Path(item).is_file() is _of_files(row)]
            if mine:
                encoder, found = encode(row, [items[i] for i in mine])
                by_tower |= dict(zip(mine, found, strict=True))
        together = [by_tower[i] for i in range(len(items))]
        scores = encoder.similarity(together, together)
    values = [[float(score) for score in line] for line in scores]
    if as_json:
        echo_json({"model": name, "items": list(items), "similarity": values})
    else:
        click.echo(matrix(items, values))


def _of_files(row: ModelSpec) -> bool:
    return row.modality != "text"
