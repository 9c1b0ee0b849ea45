"""Look models up by name, alias, repository or filter. No torch.

A name leads to exactly one row or space; a name that two distributions claim is refused unless
asked for as `name@distribution`.
"""

from __future__ import annotations

import difflib
import fnmatch
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, cast, get_args

from zoo import doors
from zoo.errors import AmbiguousNameError, OptionError, UnknownModelError
from zoo.hookspecs import Namespace, ReadTensors
from zoo.plugins import Plugin, discover, normal
from zoo.spec import Modality, ModelSpec, Space

if TYPE_CHECKING:
    from zoo.targets import Target

NOTEBOOK = "notebook"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A row or a space, and the distribution that brought it."""

    value: ModelSpec | Space
    distribution: str


class Registry:
    """All rows of all plugins.

    Args:
        plugins: As `zoo.plugins.discover` found them.
    """

    def __init__(self, plugins: Sequence[Plugin] = ()) -> None:
        self.plugins = tuple(plugins)
        self._names: dict[str, list[Claim]] = {}
        self._rows: list[Claim] = []
        for plugin in plugins:
            for row in plugin.rows:
                try:
                    self.add(row, distribution=plugin.distribution)
                except AmbiguousNameError as error:  # one clash must not hide the other rows
                    warnings.warn(f"Skipped model {row.name!r}: {error}", stacklevel=2)

    def add(self, row: ModelSpec, *, distribution: str = NOTEBOOK) -> None:
        """Add one row, its aliases and its space.

        Raises:
            AmbiguousNameError: The same distribution has the name already.
        """
        claim = Claim(value=row, distribution=distribution)
        claims = [(name, claim) for name in (row.name, *row.aliases)]
        if row.space is not None:
            space = Claim(value=row.space, distribution=distribution)
            names = (row.space.name, *row.space.aliases)
            claims += [(name, space) for name in names if space not in self._names.get(name, ())]
        seen = set()
        for name, _ in claims:  # all of them before any is added
            if name in seen or distribution in self.owners(name):
                raise AmbiguousNameError(
                    f"{distribution} adds the name {name!r} twice. Give one of them another name."
                )
            seen.add(name)
        for name, each in claims:
            self._names.setdefault(name, []).append(each)
        self._rows.append(claim)

    def __iter__(self) -> Iterator[ModelSpec]:
        """Iterate over all rows, sorted by name."""
        rows = (claim.value for claim in self._rows)
        yield from sorted(
            (row for row in rows if isinstance(row, ModelSpec)), key=lambda row: row.name
        )

    def names(self) -> list[str]:
        """Return every name and alias."""
        return sorted(self._names)

    def owners(self, name: str) -> list[str]:
        """Return the distributions that claim a name, sorted."""
        return sorted({claim.distribution for claim in self._names.get(name, ())})

    def namespaces(self) -> list[Namespace]:
        """Return what stands behind prefixes, sorted by prefix."""
        spaces = {
            name: space for plugin in self.plugins for name, space in plugin.namespaces.items()
        }
        return [spaces[name] for name in sorted(spaces)]

    def namespace(self, prefix: str) -> tuple[Namespace, Plugin]:
        """Return what stands behind a prefix, without its colon, and who brought it.

        Raises:
            UnknownModelError: No plugin brings it.
            AmbiguousNameError: Several do.
        """
        plugin = doors.owner(self.plugins, "namespaces", prefix)
        if plugin is None:
            known = ["hf", *doors.names(self.plugins, "namespaces")]
            raise UnknownModelError(
                f"No plugin brings names that begin with '{prefix}:'. There are: "
                f"{', '.join(f'{name}:' for name in known)}"
            )
        return plugin.namespaces[prefix], plugin

    def reader(self, name: str) -> tuple[ReadTensors, str] | None:
        """Return what reads a weights file, and who brought it.

        Args:
            name: Of the file; the longest ending that fits is taken. One that begins with `/` fits
                a whole name alone.

        Raises:
            AmbiguousNameError: Several distributions read that ending.
            PluginError: The reader cannot be used.
        """
        endings = doors.names(self.plugins, "readers")
        ending = max((end for end in endings if f"/{name}".endswith(end)), key=len, default="")
        plugin = doors.owner(self.plugins, "readers", ending)
        if plugin is None:
            return None
        return doors.opened(plugin, "readers", ending), f"{plugin.distribution}-{plugin.version}"

    def targets(self) -> list[str]:
        """Return what bundles can be made for, sorted."""
        return doors.names(self.plugins, "targets")

    def target(self, name: str) -> Target:
        """Return a target.

        Raises:
            OptionError: No plugin has that backend.
            AmbiguousNameError: Several have.
            PluginError: It cannot be used.
        """
        plugin = doors.owner(self.plugins, "targets", name)
        if plugin is None:
            known = ", ".join(["eager", "compile", *self.targets()])
            raise OptionError(f"There is no backend {name!r}. There are {known}.")
        return cast("Target", doors.opened(plugin, "targets", name))

    def find(self, name: str) -> ModelSpec | Space:
        """Return the row or the space of that name, alias, `name@distribution` or repository.

        Raises:
            UnknownModelError: Nothing has that name; the text offers near matches.
            AmbiguousNameError: Several distributions have it.
        """
        return self._find(name).value

    def rows(self, name: str) -> tuple[ModelSpec, ...]:
        """Return the row of that name, or the towers of the space; errors as for `find`.

        A tower is that of the space's own distribution, whoever else has its name.
        """
        claim = self._find(name)
        if isinstance(claim.value, ModelSpec):
            return (claim.value,)
        return tuple(self._tower(each, claim.distribution) for each in claim.value.towers.values())

    def _tower(self, name: str, distribution: str) -> ModelSpec:
        for claim in self._names.get(name, []):
            if claim.distribution == distribution and isinstance(claim.value, ModelSpec):
                return claim.value
        return self.row(name)

    def _find(self, name: str) -> Claim:
        plain, _, distribution = name.partition("@")
        claims = self._names.get(plain, [])
        if distribution:
            claims = [claim for claim in claims if claim.distribution == normal(distribution)]
        if not claims and not distribution:
            claims = self._by_repo(name)
        if not claims:
            raise UnknownModelError(self._unknown(name))
        if len(claims) > 1:
            owners = self.owners(plain)
            ways = " or ".join(f"{plain}@{owner}" for owner in owners)
            raise AmbiguousNameError(
                f"{plain!r} is claimed by {', '.join(owners)}. Ask for {ways}."
            )
        return claims[0]

    def row(self, name: str) -> ModelSpec:
        """Return the row of that name.

        Raises:
            OptionError: The name is a space's; the text names its towers.
        """
        value = self.find(name)
        if isinstance(value, Space):
            towers = ", ".join(value.towers.values())
            raise OptionError(f"{name!r} is a joint space of several encoders: {towers}. Name one.")
        return value

    def search(
        self,
        pattern: str = "*",
        *,
        modality: str | None = None,
        family: str | None = None,
        license: str | None = None,
        objective: str | None = None,
        dim: int | None = None,
        year: int | None = None,
    ) -> list[ModelSpec]:
        """Return the rows that match all filters, sorted by name.

        Args:
            pattern: Shell pattern on names and aliases; a plain word matches anywhere in a name.
            modality: `image`, `text`, `audio` or `video`.
            family: Name of a family, or a pattern.
            license: SPDX identifier, in any case, or a pattern.
            objective: Word of the training objective.
            dim: Width of the vector.
            year: Of publication.

        Raises:
            OptionError: There is no such modality.
        """
        if modality is not None and modality not in get_args(Modality):
            known = ", ".join(get_args(Modality))
            raise OptionError(f"There is no modality {modality!r}. There are {known}.")
        if not set(pattern) & set("*?["):
            pattern = f"*{pattern}*"

        def matches(row: ModelSpec) -> bool:
            names = [row.name, *row.aliases]
            if row.space is not None:
                names += [row.space.name, *row.space.aliases]
            return (
                any(fnmatch.fnmatchcase(name, pattern.lower()) for name in names)
                and modality in (None, row.modality)
                and (family is None or fnmatch.fnmatch(row.family.name, family.lower()))
                and (license is None or fnmatch.fnmatch(row.license.lower(), license.lower()))
                and (objective is None or objective.lower() in row.objective.lower())
                and dim in (None, row.dim)
                and year in (None, row.year)
            )

        return [row for row in self if matches(row)]

    def _by_repo(self, name: str) -> list[Claim]:
        """Return the space or the row whose weights are a repository's."""
        repo = name.removeprefix("hf:")
        if "/" not in repo:
            return []
        for claim in sorted(self._rows, key=lambda claim: claim.distribution != doors.OWN):
            row = claim.value
            if isinstance(row, ModelSpec) and row.weights.repo == repo:
                return [claim if row.space is None else replace(claim, value=row.space)]
        return []

    def _unknown(self, name: str) -> str:
        if name.count("/") == 1 and ":" not in name:
            return (
                f"No model is called {name!r}. If it is a repository of the Hub, ask for "
                f"'hf:{name}'; if it is a folder, './{name}'."
            )
        near = nearest(name, self._names)
        hint = f"Did you mean {' or '.join(map(repr, near))}?" if near else "See `zoo list`."
        return f"No model is called {name!r}. {hint}"


def nearest(word: str, choices: Iterable[str], *, most: int = 3) -> list[str]:
    """Return up to `most` choices that look like the word, best first."""
    return difflib.get_close_matches(word.lower(), list(choices), n=most, cutoff=0.72)


@cache
def default_registry(find_plugins: Callable[[], list[Plugin]] = discover) -> Registry:
    """Return the registry of everything that is installed; made at the first call."""
    return Registry(find_plugins())
