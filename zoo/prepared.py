"""A row's preprocessor, with the files that its weights come with. No torch."""

from __future__ import annotations

from pathlib import Path

from zoo.preprocess import Preprocessor, preprocessor_for
from zoo.spec import ModelSpec, TermPreprocess, TextPreprocess, WeightsSpec, WordPreprocess
from zoo.weights import Fetched, fetch_first, fetch_weights
from zoo.weights.readers import read_header


def fetched_preprocessor(
    spec: ModelSpec,
    fetched: Fetched | None,
    *,
    home: WeightsSpec | None = None,
    progress: bool,
) -> Preprocessor:
    """Return a row's preprocessor.

    Args:
        spec: The row.
        fetched: Its weights; without, texts get a stand-in of a tokenizer, which needs no network.
        home: Where its tokenizer or vocabulary lies if it is neither beside the weights nor at a
            home of its own.
        progress: Whether downloads show a bar.

    Raises:
        WeightsError: A file that it needs cannot be fetched or verified.
    """
    file = None if fetched is None else _file(spec, fetched, home, progress=progress)
    return preprocessor_for(spec, file)


def _file(
    spec: ModelSpec, fetched: Fetched, home: WeightsSpec | None, *, progress: bool
) -> Path | None:
    """Return the file of the words that a row of texts knows, or None."""
    recipe = spec.preprocess
    if isinstance(recipe, TextPreprocess):
        names, home = recipe.tokenizer, recipe.tokenizer_home or home
    elif isinstance(recipe, TermPreprocess):
        names = (recipe.vocabulary,)
    elif isinstance(recipe, WordPreprocess):
        names = recipe.vocabulary
        if not names:
            return _words(fetched, home, progress=progress)
    else:
        return None
    # A folder of the user's comes before any other home.
    folder = Path(spec.weights.source, spec.weights.subfolder)
    if home is None or any((folder / name).is_file() for name in names):
        home = fetched.pinned(spec.weights)
    return fetch_first(home, names, progress=progress)


def _words(fetched: Fetched, home: WeightsSpec | None, *, progress: bool) -> Path:
    """Return the part of a checkpoint that holds words, which a state dict does not."""
    file = fetched.parts.get("vocab.", fetched.weights[0])
    if home is None or any(name.removeprefix("vocab.") == "words" for name in read_header(file)):
        return file
    return _words(fetch_weights(home, progress=progress), None, progress=progress)
