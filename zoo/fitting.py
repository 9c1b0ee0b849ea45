"""Encoders that learn from the user's own items: fit, save, what an unfitted one says. No torch.

A fitted encoder is a folder:

    zoo.json             which row it was, and the configuration and preprocessing it has now
    model.safetensors    what was learnt
    terms.json           for text: the terms, in the order of their columns
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from zoo.errors import FormatError, OptionError
from zoo.hookspecs import RepoFiles
from zoo.records import from_plain, to_plain
from zoo.spec import ArchConfig, ModelSpec, Preprocess, TermPreprocess, WeightsSpec

if TYPE_CHECKING:
    from zoo.encoder import Encoder
    from zoo.preprocess import Array, Preprocessor

FITTED = "zoo.json"
STATE = "model.safetensors"
TERMS = "terms.json"
_FORMAT, SCHEMA = "zoo-fitted", 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What was learnt.

    Attributes:
        config: With the sizes that came out.
        tensors: Names of the network's state dict to arrays.
        terms: For text: in the order of their columns.
    """

    config: ArchConfig
    tensors: Mapping[str, Array]
    terms: tuple[str, ...] | None = None


@runtime_checkable
class Fittable(Protocol):
    """A config whose network is fitted before it encodes."""

    @property
    def fitted(self) -> bool:
        """Whether that has been done."""
        ...

    def fit(self, items: Iterable[Any], preprocessor: Preprocessor) -> Fit:
        """Learn from raw items.

        Raises:
            InputError: An item is bad, or there are too few.
        """
        ...


def unfitted(name: str) -> OptionError:
    """Return what an encoder that has not been fitted has to say."""
    return OptionError(
        f"{name} has not been fitted: it learns from your own items. Call encoder.fit(items) and "
        "encoder.save(folder); from then on zoo.load(folder)."
    )


def fit_encoder(encoder: Encoder, items: Iterable[Any]) -> None:
    """Fit an encoder in place.

    Raises:
        OptionError: It is not one that is fitted.
        InputError: An item is bad, or there are too few.
    """
    spec = encoder.spec
    if not isinstance(spec, ModelSpec) or not isinstance(spec.config, Fittable):
        raise OptionError(f"{spec.name} is not fitted: it comes as it is.")
    found = spec.config.fit(items, encoder.preprocessor)
    from zoo.loading import fitted_parts  # brings in torch

    encoder.spec, encoder.preprocessor, encoder.backend = fitted_parts(
        fitted_row(spec, found.config), found, encoder.backend
    )


def fitted_row(spec: ModelSpec, config: ArchConfig) -> ModelSpec:
    """Return a row as it is after fitting."""
    recipe = spec.preprocess
    if isinstance(recipe, TermPreprocess):
        recipe = replace(recipe, vocabulary=TERMS)
    params: int = getattr(config, "params")  # noqa: B009  of configs that are fitted
    return replace(spec, config=config, preprocess=recipe, params=params, export="torch")


def save_encoder(encoder: Encoder, folder: Path) -> None:
    """Write a fitted encoder, from which `zoo.load(folder)` makes it again.

    Raises:
        OptionError: It has not been fitted.
    """
    from safetensors.numpy import save_file

    from zoo.weights.cache import disk_errors

    spec = encoder.spec
    if not isinstance(spec, ModelSpec) or not isinstance(spec.config, Fittable):
        raise OptionError(f"{spec.name} is not fitted, so there is nothing to save.")
    if not spec.config.fitted:
        raise unfitted(spec.name)
    value = {
        "format": _FORMAT,
        "schema": SCHEMA,
        "family": spec.family.name,
        "name": spec.name,
        "config": to_plain(spec.config),
        "preprocess": to_plain(spec.preprocess),
    }
    state = {name: encoder.backend.numpy(t) for name, t in encoder.module.state_dict().items()}
    terms = getattr(encoder.preprocessor, "terms", None)
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        save_file(state, folder / STATE)
        if terms is not None:
            (folder / TERMS).write_text(json.dumps(list(terms), ensure_ascii=False) + "\n", "utf-8")
        (folder / FITTED).write_text(json.dumps(value, indent=1) + "\n", "utf-8")


def read_fitted(files: RepoFiles, rows: Iterable[ModelSpec]) -> ModelSpec | None:
    """Return the row of a folder that `save_encoder` wrote, or None for any other.

    Args:
        files: Of the folder.
        rows: Of the plugin that is asked; a folder made of another's row is not its own.

    Raises:
        FormatError: The folder is damaged, or of a newer version.
    """
    if FITTED not in files.names():
        return None
    value = files.json(FITTED)
    if not isinstance(value, dict) or value.get("format") != _FORMAT:
        return None
    if value.get("schema") != SCHEMA:
        raise FormatError(f"{FITTED} is of schema {value.get('schema')!r}; {SCHEMA} is read.")
    base = next((row for row in rows if row.name == value.get("name")), None)
    if base is None:
        return None
    config = from_plain(type(base.config), value.get("config"), f"{FITTED}: config")
    preprocess: Preprocess | None = from_plain(
        type(base.preprocess), value.get("preprocess"), f"{FITTED}: preprocess"
    )
    row = replace(fitted_row(base, config), preprocess=preprocess)
    return replace(
        row,
        aliases=(),
        weights=WeightsSpec(
            source=files.source, files=(STATE,), revision=files.revision, layout="zoo"
        ),
    )
