"""A repository's or folder's small files, for recognising what it holds. Nothing is executed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.errors import RepoNotFoundError
from zoo.weights.convert import readable
from zoo.weights.fetch import Source, open_source
from zoo.weights.jsonfile import read_json
from zoo.weights.lock import Entry
from zoo.weights.readers import read_header


class Repo:
    """Implements `zoo.hookspecs.RepoFiles` over any source.

    Attributes:
        source: `hf:org/repo`, or the folder's path.
    """

    def __init__(self, source: Source) -> None:
        self._source = source

    @property
    def source(self) -> str:
        """`hf:org/repo`, or the folder's path."""
        return self._source.source

    @property
    def revision(self) -> str | None:
        """The commit, for a repository."""
        return self._source.revision

    def names(self) -> frozenset[str]:
        """Return the names of all files, with forward slashes."""
        return self._source.names()

    def json(self, name: str) -> Any:  # noqa: ANN401  JSON is what it is
        """Return a parsed JSON file, or None if there is none.

        Raises:
            FormatError: The file is not JSON.
        """
        entry = self._source.get(name)
        return None if entry is None else read_json(Path(entry.path), name)

    def path(self, name: str) -> Path:
        """Return a file's path, verified and kept.

        Raises:
            RepoNotFoundError: There is no such file.
        """
        return Path(self._entry(name).path)

    def header(self, name: str) -> Mapping[str, tuple[int, ...]]:
        """Return names and shapes of the tensors of a weights file, which is fetched for it.

        Raises:
            RepoNotFoundError: There is no such file.
            FormatError: It is not a weights file.
        """
        header = read_header(readable(self._entry(name), name))
        return {tensor: shape for tensor, (shape, _) in header.items()}

    def _entry(self, name: str) -> Entry:
        entry = self._source.get(name)
        if entry is None:
            raise RepoNotFoundError(f"{self.source} has no file {name!r}.")
        return entry


def open_repo(source: str) -> Repo:
    """Open `hf:org/repo`, `hf:org/repo@revision` or a folder.

    Raises:
        WeightsError: It is not there, or cannot be reached.
    """
    return Repo(open_source(source))
