"""The whole contract between the zoo and a plugin. Keep it on one screen.

A plugin is a module named by an entry point of the group `zoo`. It marks functions with
`zoo.hookimpl`. Importing it must not import torch.

What a hook returns is looked at when the plugin is loaded (zoo.contract). What the zoo brings
itself is not replaced: its commands, targets, readers and prefixes come first. What two other
distributions bring under one name is refused, naming both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pluggy

from zoo.spec import ModelSpec

if TYPE_CHECKING:
    import torch

hookspec = pluggy.HookspecMarker("zoo")
hookimpl = pluggy.HookimplMarker("zoo")


class RepoFiles(Protocol):
    """The small files of a repository or folder, read on demand; never executed."""

    @property
    def source(self) -> str:
        """`hf:org/repo` or the folder's path."""
        ...

    @property
    def revision(self) -> str | None:
        """The commit, for a repository."""
        ...

    def names(self) -> frozenset[str]:
        """Return the names of all files, with forward slashes."""
        ...

    def json(self, name: str) -> Any:  # noqa: ANN401  JSON is what it is
        """Return a parsed JSON file, or None if there is none.

        Raises:
            FormatError: The file is not JSON.
        """
        ...

    def header(self, name: str) -> Mapping[str, tuple[int, ...]]:
        """Return names and shapes of the tensors of a local or fetched weights file."""
        ...


class Namespace(Protocol):
    """A prefix such as `timm:` behind which another library's models stand."""

    prefix: str
    summary: str

    def resolve(self, rest: str) -> tuple[ModelSpec, ...]:
        """Return the rows for `prefix:rest`: one, or one a tower of a joint space."""
        ...

    def search(self, pattern: str) -> list[str]:
        """Return names, without the prefix, that match a pattern; none if they are endless."""
        ...


class ReadTensors(Protocol):
    """Reads the tensors of a weights file of a kind that the zoo does not know."""

    def __call__(self, path: Path, *, entry: str) -> Mapping[str, torch.Tensor]:
        """Return tensors by name; nothing in the file may be executed.

        Args:
            path: The file.
            entry: `WeightsSpec.entry`: which part is meant, where there are several.

        Raises:
            FormatError: It cannot be read.
        """
        ...


@hookspec
def zoo_models() -> Iterable[ModelSpec]:
    """Return the rows that this plugin adds. Called once, at the first lookup."""
    raise NotImplementedError  # a specification; pluggy never calls it


@hookspec
def zoo_namespaces() -> Iterable[Namespace]:
    """Return prefixes whose names this plugin resolves. Must be lazy: nothing is listed."""
    raise NotImplementedError  # a specification; pluggy never calls it


@hookspec
def zoo_commands() -> Mapping[str, str]:
    """Return commands of `zoo`: name to `module:attribute` of a click command.

    The module is imported when the command is asked for.
    """
    raise NotImplementedError  # a specification; pluggy never calls it


@hookspec
def zoo_targets() -> Mapping[str, str]:
    """Return runtimes of bundles: name to `module:attribute` of a `zoo.targets.Target`.

    It is what `zoo export --to NAME` makes and `zoo.load(backend=NAME)` runs. The module is
    imported when it is asked for.
    """
    raise NotImplementedError  # a specification; pluggy never calls it


@hookspec
def zoo_weight_readers() -> Mapping[str, str]:
    """Return readers of weights files: ending (`.gguf`) to `module:attribute` of a `ReadTensors`.

    What is read is kept as safetensors in the cache, under the hash of the file's bytes and the
    version of the plugin. safetensors and PyTorch's own files are the zoo's.
    """
    raise NotImplementedError  # a specification; pluggy never calls it


@hookspec
def zoo_checkpoint(files: RepoFiles) -> tuple[ModelSpec, ...] | None:
    """Recognise a repository by its configuration files, or return None.

    Called for `hf:org/repo` and for local folders, ours before others'. Several rows are the
    towers of one space.

    Raises:
        UnsupportedCheckpointError: The repository is of a known kind, but asks for something that
            is not supported; the text says what.
    """
    raise NotImplementedError  # a specification; pluggy never calls it
