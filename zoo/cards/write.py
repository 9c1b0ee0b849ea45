"""Write cards from rows and stored results; measure only what is not stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from zoo.cards.card import ModelCard, card_of
from zoo.cards.measured import Measured, digest_of, measure
from zoo.cards.render import INDEX, MARK, index, markdown
from zoo.cards.results import RowResults, read_results, write_results
from zoo.errors import OptionError
from zoo.spec import ModelSpec
from zoo.weights.cache import disk_errors, write_whole

NO_RESULTS = RowResults()


def make_card(row: ModelSpec, results: RowResults = NO_RESULTS) -> ModelCard:
    """Return the card of a row; its network is measured if the stored numbers are another's."""
    return card_of(row, _measured(row, results), results)


def write_all(rows: Sequence[ModelSpec], folder: Path) -> list[Path]:
    """Write a card a row, the index, and the numbers that were measured for it.

    Cards of rows that are gone are deleted; no other file is.

    Args:
        rows: All of them.
        folder: Where the cards are, and the stored results.

    Returns:
        What was written or deleted, those that were right already left out.

    Raises:
        OptionError: The folder has an index that is not one of cards.
    """
    _refuse_other_folders(folder)
    stored = read_results(folder)
    cards = [make_card(row, stored.get(row.name, NO_RESULTS)) for row in rows]
    texts = {f"{card.row.name}.md": markdown(card) for card in cards}
    texts[INDEX] = index(cards)
    kept = {card.row.name: replace(card.results, measured=card.measured) for card in cards}
    changed = []
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            path = folder / name
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                write_whole(path, text.encode())
                changed.append(path)
        for path in (folder / f"{name}.md" for name in sorted(stored.keys() - kept.keys())):
            if path.is_file():
                path.unlink()
                changed.append(path)
    if kept != stored:
        write_results(folder, kept)
    return changed


def _refuse_other_folders(folder: Path) -> None:
    """See to it that no other project's README is overwritten."""
    index_there = folder / INDEX
    with disk_errors(index_there):
        if index_there.is_file() and MARK not in index_there.read_text(encoding="utf-8"):
            raise OptionError(
                f"{index_there} is not an index of cards and would be overwritten. Give a folder "
                "of its own with --out."
            )


def _measured(row: ModelSpec, results: RowResults) -> Measured:
    if results.measured is not None and results.measured.digest == digest_of(row):
        return results.measured
    return measure(row)
