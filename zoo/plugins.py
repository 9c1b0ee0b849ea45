"""Find plugins by entry point, import them one by one, and keep one bad plugin from hurting others.

pluggy's own `load_setuptools_entrypoints` raises what a plugin raises, so one broken plugin would
take every command down; this loader warns once, naming the distribution, and goes on. What a
plugin prints is kept away from stdout, and one that does not come back is left behind.
"""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import pluggy

from zoo import hookspecs
from zoo.errors import PluginError
from zoo.guarded import guarded
from zoo.hookspecs import Namespace, RepoFiles
from zoo.spec import ModelSpec

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "zoo"
LIMIT = "ZOO_PLUGINS"
PATIENCE = "ZOO_PLUGIN_SECONDS"
SECONDS = 10.0  # that a plugin may take; the first-party ones take 0.02
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(slots=True, kw_only=True)
class Plugin:
    """One entry point: who brought it, what it gave and what went wrong.

    Attributes:
        distribution: Name on the package index.
        version: Of the distribution.
        name: Name of the entry point.
        module: Dotted path that the entry point names.
        seconds: Time to import it and to ask it for its rows.
        rows: Its models.
        namespaces: Its prefixes.
        commands: Its commands: name to `module:attribute`.
        targets: Its backends: name to `module:attribute`.
        readers: Of weights files: ending to `module:attribute`.
        error: Why it was skipped, or None.
        printed: What it wrote to stdout meanwhile.
        heavy: Whether it imported torch, which every command then waits for.
    """

    distribution: str
    version: str
    name: str
    module: str
    seconds: float = 0.0
    rows: tuple[ModelSpec, ...] = ()
    namespaces: tuple[Namespace, ...] = ()
    commands: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    targets: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    readers: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    error: str | None = None
    printed: str = ""
    heavy: bool = False
    manager: pluggy.PluginManager = field(repr=False, default_factory=lambda: _manager())

    @property
    def remark(self) -> str:
        """What is wrong with it, or strange, in a few words; else empty."""
        if self.error is not None:
            return self.error
        strange = ["imports torch, which every command waits for"] if self.heavy else []
        strange += ["prints while it is imported"] if self.printed else []
        return "; ".join(strange)

    def checkpoint(self, files: RepoFiles) -> tuple[ModelSpec, ...] | None:
        """Ask the plugin whether it knows a repository."""
        for implementation in self.manager.hook.zoo_checkpoint.get_hookimpls():
            found = cast("tuple[ModelSpec, ...] | None", implementation.function(files))
            if found:
                return found
        return None


def discover(points: Iterable[EntryPoint] | None = None, limit: str | None = None) -> list[Plugin]:
    """Import all installed plugins, sorted by distribution and name.

    Args:
        points: Entry points to look at; by default those of the group `zoo`.
        limit: Comma-separated distributions or entry points to load, and no other; empty loads
            none. By default the variable ZOO_PLUGINS, or all.
    """
    if points is None:
        from importlib.metadata import entry_points  # 20 ms that `import zoo` does not need

        points = entry_points(group=GROUP)
    if limit is None:
        limit = os.environ.get(LIMIT)
    wanted = None if limit is None else {word.strip() for word in limit.split(",") if word.strip()}
    plugins = []
    for point in sorted(points, key=lambda point: (_distribution(point)[0], point.name)):
        distribution, version = _distribution(point)
        if wanted is None or {distribution, point.name} & wanted:
            plugins.append(_load(point, distribution, version))
    return plugins


def _distribution(point: EntryPoint) -> tuple[str, str]:
    if point.dist is None:
        return "unknown", ""
    return point.dist.name, point.dist.version


def _load(point: EntryPoint, distribution: str, version: str) -> Plugin:
    plugin = Plugin(distribution=distribution, version=version, name=point.name, module=point.value)
    outcome = guarded(lambda: _ask(point, replace(plugin)), seconds=_patience())
    if outcome.error is None:
        plugin = cast(Plugin, outcome.value)
    else:
        plugin.error = _explain(outcome.error)
        warnings.warn(
            f"Skipped plugin {point.name!r} of {f'{distribution} {version}'.strip()} "
            f"({point.value}): "
            f"{plugin.error}. Update or uninstall {distribution}, or leave it out with {LIMIT}.",
            stacklevel=2,
        )
    plugin.seconds = outcome.seconds
    plugin.printed = outcome.printed
    plugin.heavy = "torch" in outcome.imported
    return plugin


def _ask(point: EntryPoint, plugin: Plugin) -> Plugin:
    """Import a plugin and ask it for all that it brings; runs guarded."""
    plugin.manager.register(point.load(), name=f"{plugin.distribution}:{plugin.name}")
    plugin.manager.check_pending()  # a hook that this version does not have
    plugin.rows = _call_models(plugin)
    plugin.namespaces = _call_namespaces(plugin)
    plugin.commands = _call_places(plugin, "zoo_commands")
    plugin.targets = _call_places(plugin, "zoo_targets")
    plugin.readers = _call_places(plugin, "zoo_weight_readers")
    return plugin


def _patience() -> float:
    """Return the seconds that a plugin may take.

    Raises:
        PluginError: The variable holds no number.
    """
    value = os.environ.get(PATIENCE, "")
    try:
        seconds = float(value or SECONDS)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise PluginError(f"{PATIENCE}={value!r} is no number of seconds.")
    return seconds


def _explain(error: BaseException) -> str:
    """Return why a plugin was skipped, in one line."""
    text = " ".join(str(error).split())
    if isinstance(error, pluggy.PluginValidationError) and "unknown hook" in text:
        hook = text.partition("unknown hook ")[2].split()[0].strip("'")
        return f"it implements {hook}, which this encoder-zoo does not have"
    return f"{type(error).__name__}: {text}"


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    return manager


def _call_models(plugin: Plugin) -> tuple[ModelSpec, ...]:
    rows: list[ModelSpec] = []
    for implementation in plugin.manager.hook.zoo_models.get_hookimpls():
        rows.extend(cast("Iterable[ModelSpec]", implementation.function()))
    for row in rows:
        if not isinstance(row, ModelSpec):
            raise PluginError(f"zoo_models returned {type(row).__name__}, not ModelSpec.")
    return tuple(rows)


def _call_namespaces(plugin: Plugin) -> tuple[Namespace, ...]:
    namespaces: list[Namespace] = []
    for implementation in plugin.manager.hook.zoo_namespaces.get_hookimpls():
        namespaces.extend(cast("Iterable[Namespace]", implementation.function()))
    return tuple(namespaces)


def _call_places(plugin: Plugin, hook: str) -> Mapping[str, str]:
    places: dict[str, str] = {}
    for implementation in getattr(plugin.manager.hook, hook).get_hookimpls():
        places.update(cast("Mapping[str, str]", implementation.function()))
    for name, place in places.items():
        if not isinstance(place, str) or place.count(":") != 1:
            raise PluginError(
                f"{hook} gives {place!r} for {name!r}; it must be 'module:attribute'."
            )
    return MappingProxyType(places)


def import_place(place: str) -> Any:  # noqa: ANN401  whatever stands there
    """Return what `module:attribute` names."""
    module, _, attribute = place.partition(":")
    return getattr(importlib.import_module(module), attribute)
