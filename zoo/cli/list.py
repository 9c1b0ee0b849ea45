"""`zoo list`: which models there are."""

from __future__ import annotations

import click

import zoo
from zoo.cli.complete import model_names
from zoo.cli.lazy import example
from zoo.cli.output import count, echo_json, table
from zoo.doors import blamed
from zoo.errors import OptionError
from zoo.registry import default_registry

COLUMNS = ("name", "modality", "dim", "params", "license", "year", "family")


@click.command(
    "list",
    short_help="List models, by name, modality, licence and more.",
    epilog=example(
        "zoo list",
        'zoo list "dino*" --modality image --license apache-2.0',
        'zoo list --json | jq -r ".[].name"',
    ),
)
@click.argument("pattern", default="*", shell_complete=model_names)
@click.option("--modality", type=click.Choice(["image", "text", "audio", "video"]),
              help="What is encoded.")  # fmt: skip
@click.option("--family", help="Name of a family, or a pattern.")
@click.option("--license", "license_", help="SPDX identifier, or a pattern.")
@click.option("--objective", help="Word of the training objective.")
@click.option("--dim", type=int, help="Width of the vector.")
@click.option("--year", type=int, help="Of publication.")
@click.option("--json", "as_json", is_flag=True, help="Every field of each row, as a JSON list.")
def command(
    pattern: str,
    modality: str | None,
    family: str | None,
    license_: str | None,
    objective: str | None,
    dim: int | None,
    year: int | None,
    as_json: bool,
) -> None:
    """List models whose name matches PATTERN.

    A plain word matches anywhere in a name; `*` and `?` are wildcards. A PATTERN such as
    `timm:convnext*` asks the plugin that brings these names.
    """
    prefix, colon, rest = pattern.partition(":")
    if colon:
        _names(prefix, rest, as_json=as_json)
        return
    rows = zoo.list(
        pattern,
        modality=modality,
        family=family,
        license=license_,
        objective=objective,
        dim=dim,
        year=year,
    )
    if as_json:
        from zoo.describe import row_to_dict

        echo_json([row_to_dict(row) for row in rows])
        return
    cells = (
        (
            row.name,
            row.modality,
            str(row.dim),
            count(row.params),
            row.license,
            str(row.year),
            row.family.name,
        )
        for row in rows
    )
    click.echo(table(COLUMNS, cells, right="dim params"))
    if not rows:
        click.echo("No model matches.", err=True)
    if pattern == "*":
        for space in default_registry().namespaces():
            click.echo(f"{space.prefix}:NAME  {space.summary}", err=True)


def _names(prefix: str, pattern: str, *, as_json: bool) -> None:
    """Print the names that a namespace knows."""
    if prefix == "hf":
        raise OptionError(
            "The Hub's repositories are not listed. `zoo info hf:org/repo` shows one."
        )
    space, plugin = default_registry().namespace(prefix)
    with blamed(plugin, f"'{prefix}:{pattern}'"):
        names = [f"{prefix}:{name}" for name in space.search(pattern)]
    if as_json:
        echo_json(names)
        return
    for name in names:
        click.echo(name)
    if not names:
        click.echo("No model matches.", err=True)
