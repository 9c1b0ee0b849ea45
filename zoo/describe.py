"""Rows as plain dictionaries, for `--json` and for whoever wants to print a row. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import PurePath
from typing import Any

from zoo.keys import KeyMap
from zoo.spec import ModelSpec, Space, WeightsSpec


def row_to_dict(row: ModelSpec) -> dict[str, Any]:
    """Return every field of a row, and what it derives from them, as JSON-able values.

    A record inside the row becomes a dictionary whose `type` names the record's class. Key maps
    are given by name only: their rules are code for the loader, not facts about the model.
    """
    derived = {"modality": row.modality, "dim": row.dim, "pooling": row.pooling}
    return {"name": row.name, "aliases": list(row.aliases), **derived, **_record(row)}


def space_to_dict(space: Space, rows: Sequence[ModelSpec]) -> dict[str, Any]:
    """Return a joint space with its towers' rows in place of their names.

    Args:
        space: The space.
        rows: Its towers.
    """
    towers = {row.modality: row_to_dict(row) for row in rows}
    return {**_record(space), "type": "Space", "towers": towers}


def _record(value: Any) -> dict[str, Any]:  # noqa: ANN401  any dataclass
    plain = {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, WeightsSpec):
        plain["repo"] = value.repo
    return plain


def _plain(value: Any) -> Any:  # noqa: ANN401  whatever a record holds
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, KeyMap):
        return value.name
    if is_dataclass(value) and not isinstance(value, type):
        return {"type": type(value).__name__, **_record(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Sequence):
        return [_plain(item) for item in value]
    raise TypeError(f"A row holds a {type(value).__name__}; JSON has nothing for it.")
