"""What a plugin's hooks may return; anything else is an error that says which and what. No torch.

It is looked at when the plugin is loaded, so that a wrong record costs its plugin and not whoever
lists, sorts or filters models later.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Any, get_args

from zoo.hookspecs import Namespace
from zoo.sources import PICKLES, SAFETENSORS
from zoo.spec import Family, Modality, ModelSpec, Space, TensorSpec, WeightsSpec

MOST = 100_000  # rows that one plugin may bring; a generator may have no end
# What is read of every row to list, sort and filter it.
_FIELDS: Mapping[str, type] = MappingProxyType(
    {
        "name": str,
        "aliases": tuple,
        "family": Family,
        "weights": WeightsSpec,
        "inputs": tuple,
        "outputs": tuple,
        "params": int,
        "license": str,
        "objective": str,
        "year": int,
        "note": str,
        "source": str,
        "modality": str,
        "dim": int,
        "pooling": str,
        "normalize": bool,
    }
)
_PREFIX = re.compile(r"[a-z][a-z0-9.+-]*")
_ENDING = re.compile(r"[./].+")
_PLACE = re.compile(r"\w+(\.\w+)*:\w+")
_NAME = re.compile(r"[\w.+-]+")
_OURS = (SAFETENSORS, *PICKLES, "/pytorch_model.bin")  # files that no plugin reads in our place


def rows_of(hook: str, found: object) -> tuple[ModelSpec, ...]:
    """Return what a hook found, if these are rows."""
    rows = _several(hook, found, "ModelSpec")
    for row in rows:
        if not isinstance(row, ModelSpec):
            raise TypeError(f"{hook} returned {type(row).__name__}, not ModelSpec")
        _check_row(row)
    return rows


def namespaces_of(found: object) -> Mapping[str, Namespace]:
    """Return namespaces by their prefixes."""
    spaces: dict[str, Namespace] = {}
    for space in _several("zoo_namespaces", found, "Namespace"):
        for name in ("prefix", "summary", "resolve", "search"):
            if not hasattr(space, name):
                raise TypeError(f"zoo_namespaces returned {type(space).__name__} without {name}")
        if not isinstance(space.prefix, str) or not _PREFIX.fullmatch(space.prefix):
            raise ValueError(
                f"zoo_namespaces gives the prefix {space.prefix!r}; it must be a word in small "
                "letters, without its colon"
            )
        if space.prefix == "hf":
            raise ValueError("zoo_namespaces gives the prefix 'hf', which is the zoo's own")
        spaces[space.prefix] = space
    return MappingProxyType(spaces)


def places_of(hook: str, found: object) -> Mapping[str, str]:
    """Return places, `module:attribute`, by name."""
    if not isinstance(found, Mapping):
        raise TypeError(f"{hook} returned {type(found).__name__}, not a mapping")
    named = _ENDING if hook == "zoo_weight_readers" else _NAME
    for name, place in found.items():
        if not isinstance(place, str) or not _PLACE.fullmatch(place):
            raise ValueError(f"{hook} gives {place!r} for {name!r}; it must be 'module:attribute'")
        if not isinstance(name, str) or not named.fullmatch(name):
            what = "an ending, such as '.gguf'" if named is _ENDING else "a word"
            raise ValueError(f"{hook} gives the name {name!r}; it must be {what}")
        if named is _ENDING and name in _OURS:
            raise ValueError(f"{hook} gives a reader of {name!r}, which the zoo reads itself")
    return MappingProxyType(dict(found))


def _several(hook: str, found: object, of: str) -> tuple[Any, ...]:
    if not isinstance(found, Iterable) or isinstance(found, str | Mapping):
        raise TypeError(f"{hook} returned {type(found).__name__}, not a list of {of}")
    several = tuple(islice(found, MOST + 1))
    if len(several) > MOST:
        raise ValueError(f"{hook} returned more than {MOST:,} of {of}")
    return several


def _check_row(row: ModelSpec) -> None:
    for name, kind in _FIELDS.items():
        try:
            value = getattr(row, name)
        except Exception as error:  # `dim` and the like ask the config, which is the plugin's
            raise ValueError(
                f"{name} of the row {row.name!r} cannot be read: {type(error).__name__}: {error}"
            ) from error
        if not isinstance(value, kind):
            raise TypeError(f"{name} of the row {row.name!r} is {value!r}, not {kind.__name__}")
    if row.modality not in get_args(Modality):
        raise ValueError(f"modality of the row {row.name!r} is {row.modality!r}")
    if not isinstance(row.space, Space | None):
        raise TypeError(f"space of the row {row.name!r} is {row.space!r}, not Space")
    if not all(isinstance(name, str) for name in row.aliases):
        raise TypeError(f"aliases of the row {row.name!r} are {row.aliases!r}, not words")
    if not all(isinstance(tensor, TensorSpec) for tensor in row.inputs):
        raise TypeError(f"inputs of the row {row.name!r} are {row.inputs!r}, not TensorSpec")
