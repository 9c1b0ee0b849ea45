"""`zoo pull`: bring a model's files here."""

from __future__ import annotations

import click

import zoo
from zoo.cli.complete import model_names
from zoo.cli.lazy import example


@click.command(
    "pull",
    short_help="Fetch the files of models and verify them.",
    epilog=example("zoo pull all-minilm-l6-v2 clip-b16", "zoo pull all-minilm-l6-v2 --verify"),
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=model_names)
@click.option("--verify", is_flag=True, help="Hash all files again, also those that are here.")
def command(names: tuple[str, ...], verify: bool) -> None:
    """Fetch the files of models, verify them and remember them.

    Prints the sha256 and the path of each file, as sha256sum does. What is here already is not
    fetched again; afterwards the models load without any network. A joint space is pulled with all
    its towers.
    """
    from zoo import weights

    for name in names:
        for row in zoo.resolve(name):
            if row.weights.source == "none":
                click.echo(f"{row.name} has no files: {row.weights.reason}.", err=True)
                continue
            fetched = weights.pull(row, verify=verify, progress=True)
            for file, path in fetched.files.items():
                click.echo(f"{fetched.sha256[file]}  {path}")
