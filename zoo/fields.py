"""Read a repository's configuration: values of the right type and size, or a clear error. No torch.

A configuration comes from strangers: each number has a bound, so that none can make a network of a
billion layers.
"""

from __future__ import annotations

import math
from typing import Any

from zoo.errors import FormatError, UnsupportedCheckpointError
from zoo.hookspecs import RepoFiles

LARGEST = 10_000_000  # of any integer in a configuration; the largest vocabularies have 1,000,000
DEEPEST = 1_000  # of numbers of layers
_WEIGHTS = tuple(
    name + index
    for name in ("model.safetensors", "pytorch_model.bin")
    for index in ("", ".index.json")
)


class Fields:
    """The fields of one JSON object; a field that is null is as good as missing.

    Args:
        value: Parsed JSON.
        file: Where it stands, for messages.

    Raises:
        FormatError: It is no object.
    """

    def __init__(self, value: object, file: str) -> None:
        if not isinstance(value, dict):
            raise FormatError(f"{file} holds {type(value).__name__}, not a JSON object.")
        self._values: dict[str, Any] = value
        self.file = file

    def __contains__(self, key: str) -> bool:
        return self._values.get(key) is not None

    def get(self, key: str) -> Any:  # noqa: ANN401  JSON is what it is
        """Return a value as it stands, or None."""
        return self._values.get(key)

    def inner(self, key: str) -> Fields:
        """Return an object inside this one; an empty one if it is missing."""
        value = self.get(key)
        return Fields({} if value is None else value, f"{self.file}, {key}")

    def integer(
        self, key: str, default: int | None = None, *, least: int = 1, most: int = LARGEST
    ) -> int:
        """Return an integer within bounds."""
        value = self._present(key, default)
        if type(value) is not int or not least <= value <= most:
            raise self.wrong(key, f"an integer from {least} to {most}")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """Return a finite number."""
        value = self._present(key, default)
        if type(value) not in (int, float) or not math.isfinite(value):
            raise self.wrong(key, "a number")
        return float(value)

    def positive(self, key: str, default: float | None = None) -> float:
        """Return a finite number above zero."""
        value = self.number(key, default)
        if value <= 0:
            raise self.wrong(key, "a positive number")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """Return a string."""
        value = self._present(key, default)
        if not isinstance(value, str):
            raise self.wrong(key, "a string")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """Return true or false."""
        value = self._present(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false")
        return value

    def numbers(self, key: str, default: tuple[float, ...]) -> tuple[float, ...]:
        """Return finite numbers, as many as in the default."""
        value = self._present(key, default)
        if (
            not isinstance(value, list | tuple)
            or len(value) != len(default)
            or any(type(one) not in (int, float) or not math.isfinite(one) for one in value)
        ):
            raise self.wrong(key, f"{len(default)} numbers")
        return tuple(map(float, value))

    def integers(
        self, key: str, default: tuple[int, ...], *, most: int = LARGEST
    ) -> tuple[int, ...]:
        """Return positive integers, as many as in the default."""
        value = self._present(key, default)
        if (
            not isinstance(value, list | tuple)
            or len(value) != len(default)
            or any(type(one) is not int or not 0 < one <= most for one in value)
        ):
            raise self.wrong(key, f"{len(default)} integers from 1 to {most}")
        return tuple(value)

    def require(self, key: str, *allowed: object) -> None:
        """Refuse every value but these; a missing field is always fine.

        Raises:
            UnsupportedCheckpointError: It has another value.
        """
        value = self.get(key)
        if value is not None and not any(type(value) is type(a) and value == a for a in allowed):
            ways = " or ".join(map(repr, allowed)) or "no value"
            raise UnsupportedCheckpointError(
                f"{self.file} has {key} = {str(value)[:80]!r}; supported is {ways}."
            )

    def wrong(self, key: str, wanted: str) -> FormatError:
        """Return the error that says what a field must be."""
        value = repr(self.get(key))
        shown = value if len(value) <= 80 else f"{value[:80]}..."
        return FormatError(f"{self.file}: {key!r} must be {wanted}, not {shown}.")

    def _present(self, key: str, default: object) -> Any:  # noqa: ANN401  JSON is what it is
        value = self.get(key)
        if value is None:
            value = default
        if value is None:
            raise FormatError(f"{self.file} has no {key!r}.")
        return value


def read_fields(files: RepoFiles, name: str) -> Fields | None:
    """Return a repository's JSON object, or None if there is no such file.

    Raises:
        FormatError: It is not JSON, or no object.
    """
    value = files.json(name)
    return None if value is None and name not in files.names() else Fields(value, name)


def read_optional(files: RepoFiles, name: str) -> Fields:
    """Return a repository's JSON object, empty if there is no such file."""
    return read_fields(files, name) or Fields({}, name)


def weight_files(files: RepoFiles, folder: str = "") -> tuple[str, ...]:
    """Return the files of weights that a repository has under their usual names, best first.

    Args:
        files: The repository.
        folder: Where they lie; the names that are returned are those inside it.

    Raises:
        UnsupportedCheckpointError: There are none.
    """
    there = tuple(
        name for name in _WEIGHTS if (f"{folder}/{name}" if folder else name) in files.names()
    )
    if not there:
        raise UnsupportedCheckpointError(
            f"{files.source} has neither safetensors nor PyTorch weights"
            f"{f' in {folder!r}' if folder else ''}."
        )
    return there
