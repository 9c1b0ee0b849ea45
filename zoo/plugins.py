"""Find plugins by entry point, import them one by one, and keep one bad plugin from hurting others.

pluggy's own `load_setuptools_entrypoints` raises what a plugin raises, so one broken plugin would
take every command down; this loader warns once, naming the distribution, and goes on. What a
plugin prints is kept away from stdout, and one that does not come back is left behind.
"""

from __future__ import annotations

import os
import re
import threading
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import pluggy

from zoo import hookspecs
from zoo.contract import namespaces_of, places_of, rows_of
from zoo.errors import PluginError, ZooError
from zoo.guarded import Outcome, guarded, is_guarded
from zoo.hookspecs import Namespace, RepoFiles
from zoo.spec import ModelSpec

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

GROUP = "zoo"
LIMIT = "ZOO_PLUGINS"
PATIENCE = "ZOO_PLUGIN_SECONDS"
SECONDS = 10.0  # that a plugin may take; the first-party ones take 0.02
ADVICE = "Update or uninstall {}; ZOO_PLUGINS=a,b loads the plugins a and b alone."
NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(slots=True, kw_only=True)
class Plugin:
    """One entry point: who brought it, what it gave and what went wrong.

    Attributes:
        distribution: Name on the package index, as the index spells it: `acme-encoder`.
        version: Of the distribution.
        name: Name of the entry point.
        module: Dotted path that the entry point names.
        seconds: Time to import it and to ask it for its rows.
        rows: Its models.
        namespaces: Its prefixes: word to namespace.
        commands: Its commands: name to `module:attribute`.
        targets: Its backends: name to `module:attribute`.
        readers: Of weights files: ending to `module:attribute`.
        error: Why it was skipped, or None.
        printed: What it wrote to stdout meanwhile.
        changed: What of the process it changed meanwhile; put back as it was.
        threads: That it started and left running.
        heavy: Whether it imported torch, which every command then waits for.
    """

    distribution: str
    version: str
    name: str
    module: str
    seconds: float = 0.0
    rows: tuple[ModelSpec, ...] = ()
    namespaces: Mapping[str, Namespace] = field(default_factory=lambda: NOTHING)
    commands: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    targets: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    readers: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    error: str | None = None
    printed: str = ""
    changed: tuple[str, ...] = ()
    threads: tuple[threading.Thread, ...] = ()
    heavy: bool = False
    manager: pluggy.PluginManager = field(repr=False, default_factory=lambda: _manager())

    @property
    def maker(self) -> str:
        """Distribution and version."""
        return f"{self.distribution} {self.version}".strip()

    @property
    def remarks(self) -> list[str]:
        """What is wrong with it, or strange, each in a few words."""
        if self.error is not None:
            return [self.error]
        strange = {
            "imports torch, which every command waits for; import it inside build()": self.heavy,
            f"prints {self.printed[:40]!r} while it is imported": self.printed,
            f"changes {' and '.join(self.changed)} while it is imported": self.changed,
            "leaves a thread running, which keeps Python from ending": self.threads,
            "brings nothing: mark its functions with zoo.hookimpl": not self._brings,
        }
        return [what for what, so in strange.items() if so]

    @property
    def _brings(self) -> bool:
        """Whether it implements any hook."""
        return any(self.manager.get_hookcallers(each) for each in self.manager.get_plugins())

    def checkpoint(self, files: RepoFiles) -> tuple[ModelSpec, ...]:
        """Ask the plugin whether it knows a repository; no rows if not, or if it fails.

        Raises:
            ZooError: The plugin refuses the repository, and says why.
        """
        if self.error is not None:
            return ()
        for asked in self.manager.hook.zoo_checkpoint.get_hookimpls():
            try:
                found = asked.function(files)
                return () if found is None else rows_of("zoo_checkpoint", found)
            except ZooError:
                raise
            except Exception as error:  # another plugin may know the repository
                warnings.warn(
                    f"Plugin {self.name!r} of {self.maker} failed at {files.source}: "
                    f"{explain(error)}. {ADVICE.format(self.distribution)}",
                    stacklevel=4,
                )
        return ()


def discover(points: Iterable[EntryPoint] | None = None, limit: str | None = None) -> list[Plugin]:
    """Import all installed plugins, sorted by distribution and name.

    Args:
        points: Entry points to look at; by default those of the group `zoo`.
        limit: Comma-separated distributions or entry points to load, and no other; empty loads
            none. By default the variable ZOO_PLUGINS, or all.

    Raises:
        PluginError: A plugin asks for it while it is itself being loaded.
    """
    if is_guarded():
        raise PluginError(
            "a plugin cannot ask for the zoo's models while plugins are loaded; import the row "
            "from the module where it stands"
        )
    if points is None:
        points = _installed()
    if limit is None:
        limit = os.environ.get(LIMIT)
    found = sorted(((*_identity(point.dist), point) for point in points),
                   key=lambda each: (each[0], each[2].name))  # fmt: skip
    if limit is not None:
        words = {word.strip() for word in limit.split(",") if word.strip()}
        known = {name for distribution, _, point in found for name in (distribution, point.name)}
        for word in sorted(words):
            if not {word, normal(word)} & known:
                warnings.warn(
                    f"{LIMIT} names {word!r}, which is no installed plugin. There are: "
                    f"{', '.join(sorted(known))}.",
                    stacklevel=2,
                )
        words |= {normal(word) for word in words}
        found = [each for each in found if {each[0], each[2].name} & words]
    return [_load(point, distribution, version) for distribution, version, point in found]


def _installed() -> Iterable[EntryPoint]:
    """Return the entry points of the group `zoo`."""
    from importlib import metadata  # 20 ms that `import zoo` does not need

    try:
        return metadata.entry_points(group=GROUP)
    except Exception:  # one distribution's file that cannot be parsed: do without it
        found: dict[tuple[str, str], EntryPoint] = {}
        for distribution in metadata.distributions():
            try:
                for point in distribution.entry_points.select(group=GROUP):
                    found.setdefault((_identity(distribution)[0], point.name), point)
            except Exception as error:
                name = _identity(distribution)[0]
                warnings.warn(
                    f"The entry points of {name} cannot be read: {explain(error)}. Install {name} "
                    "again.",
                    stacklevel=3,
                )
        return found.values()


def normal(name: str) -> str:
    """Return the name of a distribution as the package index spells it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _identity(distribution: Distribution | None) -> tuple[str, str]:
    """Return name and version; what was half uninstalled may have neither."""
    try:
        assert distribution is not None
        return normal(distribution.name), distribution.version or ""
    except Exception:  # importlib.metadata raises what its parsers raise
        return "unknown", ""


def _load(point: EntryPoint, distribution: str, version: str) -> Plugin:
    plugin = Plugin(distribution=distribution, version=version, name=point.name, module=point.value)
    outcome = guarded(lambda: _ask(point, replace(plugin)), seconds=patience(SECONDS))
    if outcome.error is None:
        plugin = cast(Plugin, outcome.value)
    else:
        plugin.error = failure(outcome)
        warnings.warn(
            f"Skipped plugin {point.name!r} of {plugin.maker} ({point.value}): {plugin.error}. "
            f"{ADVICE.format(distribution)}",
            stacklevel=3,
        )
    plugin.seconds = outcome.seconds
    plugin.printed, plugin.changed = outcome.printed, outcome.changed
    plugin.threads = outcome.threads
    plugin.heavy = "torch" in outcome.imported
    return plugin


def _ask(point: EntryPoint, plugin: Plugin) -> Plugin:
    """Import a plugin and ask it for all that it brings; runs guarded."""
    plugin.manager.register(point.load(), name=f"{plugin.distribution}:{plugin.name}")
    plugin.manager.check_pending()  # a hook that this version does not have
    hooks = plugin.manager.hook
    for asked in hooks.zoo_models.get_hookimpls():
        plugin.rows += rows_of("zoo_models", asked.function())
    for asked in hooks.zoo_namespaces.get_hookimpls():
        plugin.namespaces = namespaces_of(asked.function())
    for asked in hooks.zoo_commands.get_hookimpls():
        plugin.commands = places_of("zoo_commands", asked.function())
    for asked in hooks.zoo_targets.get_hookimpls():
        plugin.targets = places_of("zoo_targets", asked.function())
    for asked in hooks.zoo_weight_readers.get_hookimpls():
        plugin.readers = places_of("zoo_weight_readers", asked.function())
    return plugin


def patience(seconds: float) -> float:
    """Return the seconds that a plugin's code may take to be imported.

    Args:
        seconds: Unless the variable says another number.

    Raises:
        PluginError: The variable holds no number.
    """
    value = os.environ.get(PATIENCE, "")
    try:
        seconds = float(value or seconds)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise PluginError(f"{PATIENCE}={value!r} is no number of seconds.")
    return min(seconds, threading.TIMEOUT_MAX)


def failure(outcome: Outcome) -> str:
    """Return why a guarded call failed, in one line."""
    assert outcome.error is not None, "it failed"
    why = explain(outcome.error)
    late = isinstance(outcome.error, TimeoutError)
    return f"{why}; {PATIENCE} gives it longer" if late else why


def explain(error: BaseException) -> str:
    """Return what a plugin raised, in one line."""
    try:
        text = " ".join(str(error).split()).rstrip(".")
    except Exception:  # the error itself is the plugin's code
        text = ""
    if isinstance(error, pluggy.PluginValidationError) and "unknown hook" in text:
        hook = text.partition("unknown hook ")[2].split()[0].strip("'")
        return f"it implements {hook}, which this encoder-zoo does not have"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    return manager
