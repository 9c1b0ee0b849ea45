"""A row's preprocessor, with the files that its weights come with. No torch."""

from __future__ import annotations

from pathlib import Path

from zoo.preprocess import Preprocessor, preprocessor_for
from zoo.spec import ModelSpec, TermPreprocess, TextPreprocess, WeightsSpec, WordPreprocess
from zoo.weights import Fetched, fetch_first


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
        home: Where its tokenizer lies if it is neither beside the weights nor at a home of its own.
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
        return _tokenizer(spec, recipe, fetched, recipe.tokenizer_home or home, progress=progress)
    if isinstance(recipe, TermPreprocess):
        return fetch_first(fetched.pinned(spec.weights), (recipe.vocabulary,))
    if isinstance(recipe, WordPreprocess):
        if recipe.vocabulary:
            return fetch_first(fetched.pinned(spec.weights), recipe.vocabulary, progress=progress)
        return fetched.parts.get("vocab.", fetched.weights[0])  # a part of the checkpoint
    return None


def _tokenizer(
    spec: ModelSpec,
    recipe: TextPreprocess,
    fetched: Fetched,
    home: WeightsSpec | None,
    *,
    progress: bool,
) -> Path:
    """Return the path of the first tokenizer file that is there.

    A folder of the user's comes before any other home of the tokenizer.
    """
    folder = Path(spec.weights.source, spec.weights.subfolder)
    if home is None or any((folder / name).is_file() for name in recipe.tokenizer):
        home = fetched.pinned(spec.weights)
    return fetch_first(home, recipe.tokenizer, progress=progress)
