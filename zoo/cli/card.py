"""`zoo card`: a model's card, computed."""

from __future__ import annotations

from pathlib import Path

import click

import zoo
from zoo.cli.complete import model_names
from zoo.cli.lazy import example
from zoo.errors import ZooError

CARDS = Path("model_cards")


@click.command(
    "card",
    short_help="Write the card of a model, or all cards.",
    epilog=example(
        "zoo card dinov2-b14",
        "zoo card dinov2-b14 --html --out dinov2.html",
        "zoo card --all --out model_cards",
    ),
)
@click.argument("name", required=False, shell_complete=model_names)
@click.option("--all", "everything", is_flag=True, help="Every model; --out names a folder.")
@click.option("--html", "as_html", is_flag=True, help="A page in place of Markdown.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="File, or folder with --all.")
@click.option("--check", is_flag=True, help="With --all: exit 1 if a card was not up to date.")
@click.option("--results", type=click.Path(path_type=Path, file_okay=False, exists=True),
              help=f"Folder with the results of coverage runs. Default {CARDS}.")  # fmt: skip
def command(
    name: str | None,
    everything: bool,
    as_html: bool,
    out: Path | None,
    check: bool,
    results: Path | None,
) -> int:
    """Write the card of the model NAME, or all of them.

    Facts come from the row, numbers from its network on the meta device, results from the last
    coverage run. Nothing is written by hand.
    """
    if everything == (name is not None):
        raise click.UsageError("Give the NAME of a model, or --all.")
    if check and not everything:
        raise click.UsageError("--check belongs to --all.")
    if name is not None and out is not None and out.is_dir():
        raise click.UsageError(f"--out {out} is a folder; a card is a file.")
    if everything:
        if as_html:
            raise click.UsageError("--all writes Markdown; --html is for one model.")
        if results is not None:
            raise click.UsageError("--all reads the results in the folder of --out.")
        return _all(out or CARDS, check)
    from zoo.cards.render import markdown, page
    from zoo.cards.results import RowResults, read_results
    from zoo.cards.write import make_card
    from zoo.weights.cache import write_whole

    stored = read_results(results or CARDS)
    cards = [make_card(row, stored.get(row.name, RowResults())) for row in zoo.resolve(str(name))]
    text = page(cards) if as_html else "\n".join(map(markdown, cards))
    if out is None:
        click.echo(text)
    else:
        write_whole(out, text.encode())
    return 0


def _all(folder: Path, check: bool) -> int:
    from zoo.cards.write import write_all

    changed = write_all(zoo.list(), folder)
    for path in changed:
        click.echo(str(path))
    if check and changed:
        raise ZooError(f"{len(changed)} cards were not up to date. Commit what was written.")
    return 0
