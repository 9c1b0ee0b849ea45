"""JSON objects written by strangers, read field by field with their types checked. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from zoo.errors import FormatError
from zoo.hookspecs import RepoFiles


class Table:
    """A JSON object; a field that is missing or null takes its default.

    Args:
        name: Of the file, for messages.
        values: Its parsed content.
    """

    def __init__(self, name: str, values: Mapping[str, Any]) -> None:
        self.name = name
        self.values = values

    def text(self, field: str, default: str = "") -> str:
        """Return a string."""
        value = self._get(field, default)
        if not isinstance(value, str):
            raise self.wrong(field, "a string")
        return value

    def flag(self, field: str, default: bool) -> bool:
        """Return true or false."""
        value = self._get(field, default)
        if not isinstance(value, bool):
            raise self.wrong(field, "true or false")
        return value

    def count(self, field: str, default: int | None = None, *, least: int = 1, most: int) -> int:
        """Return a whole number within bounds; without a default it must be there."""
        value = self._get(field, default)
        if type(value) is not int or not least <= value <= most:
            raise self.wrong(field, f"a whole number from {least} to {most}")
        return value

    def positive(self, field: str, default: float) -> float:
        """Return a positive number."""
        value = self._get(field, default)
        if type(value) not in (int, float) or not 0 < value < math.inf:
            raise self.wrong(field, "a positive number")
        return float(value)

    def wrong(self, field: str, wanted: str) -> FormatError:
        """Return the error that says what a field should be."""
        value = repr(self.values.get(field))
        shown = value if len(value) <= 80 else value[:80] + "..."
        return FormatError(f"{self.name}: {field!r} should be {wanted}, not {shown}.")

    def _get(self, field: str, default: Any) -> Any:  # noqa: ANN401  JSON is what it is
        value = self.values.get(field)
        return default if value is None else value


def read_table(files: RepoFiles, name: str) -> Table | None:
    """Return a repository's JSON object, or None if there is no such file.

    Raises:
        FormatError: It is not JSON, or no object.
    """
    values = files.json(name)
    if values is None and name not in files.names():
        return None
    if not isinstance(values, dict):
        raise FormatError(f"{name} holds {type(values).__name__}, not an object.")
    return Table(name, values)


def read_optional(files: RepoFiles, name: str) -> Table:
    """Return a repository's JSON object, empty if there is no such file."""
    return read_table(files, name) or Table(name, {})
