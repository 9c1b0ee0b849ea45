"""What is wrong with the installed plugins."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from zoo.doors import clashes, obstacles
from zoo.errors import OptionError, PluginError
from zoo.plugins import LIMIT, Plugin, explain, normal
from zoo.registry import Registry, default_registry
from zoo.validation import fact_problems, network_problems

SLOW = 0.25  # seconds; all first-party plugins together take 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that a plugin's author should mend.

    Attributes:
        row: The model that it is about, if it is about one.
        text: In words.
    """

    distribution: str
    entry_point: str
    row: str = ""
    text: str


def validate_plugins(distribution: str | None = None) -> list[Problem]:
    """Check all plugins, or those of one distribution.

    Each distribution is imported in a process of its own, so that what one imports is not put down
    to another.

    Raises:
        OptionError: No such distribution is installed.
    """
    registry = default_registry()
    plugins = [
        plugin
        for plugin in registry.plugins
        if distribution is None or normal(distribution) == plugin.distribution
    ]
    if not plugins:
        known = ", ".join(sorted({plugin.distribution for plugin in registry.plugins}))
        raise OptionError(f"No plugin of {distribution!r} is installed. There are: {known}.")
    alone = {
        (found["distribution"], found["entry_point"]): found
        for name in dict.fromkeys(plugin.distribution for plugin in plugins)
        for found in _alone(name)
    }
    return [
        Problem(distribution=plugin.distribution, entry_point=plugin.name, row=row, text=text)
        for plugin in plugins
        for row, text in _problems(plugin, alone[plugin.distribution, plugin.name], registry)
    ]


def _problems(
    plugin: Plugin, alone: dict[str, Any], registry: Registry
) -> Iterator[tuple[str, str]]:
    if plugin.error is not None:
        yield "", f"it is skipped: {plugin.error}"
        return
    for text in (*alone["remarks"], *clashes(plugin, registry.plugins), *obstacles(plugin)):
        yield "", text
    if alone["seconds"] > SLOW and not alone["imports_torch"]:
        yield "", f"importing it takes {alone['seconds']:.2f} s; {SLOW} is slow"
    if alone["stderr"]:
        yield "", f"writes {alone['stderr'][:40]!r} to stderr while it is imported"
    for name in dict.fromkeys(row.family.name for row in plugin.rows if not row.family.authors):
        yield "", f"the family {name!r} names no authors, so its cards cite none"
    for row in plugin.rows:
        for name in (row.name, *row.aliases):
            owners = registry.owners(name)
            if len(owners) > 1:
                yield row.name, f"the name {name!r} is claimed by {' and '.join(owners)}"
        if row.space is not None:
            for tower in row.space.towers.values():
                if plugin.distribution not in registry.owners(tower):
                    yield row.name, f"its space {row.space.name!r} names {tower!r}, which is no row"
        try:
            yield from ((row.name, text) for text in (*fact_problems(row), *network_problems(row)))
        except Exception as error:  # a record that the checks themselves cannot read
            yield row.name, f"it cannot be checked: {explain(error)}"


def _alone(distribution: str) -> list[dict[str, Any]]:
    """Return what is said of a distribution that is loaded alone; see `_listed`.

    One that was slow gets a second chance: the first import compiles, and the machine may be busy.
    """
    found = _listed(distribution)
    if any(each["seconds"] > SLOW and not each["imports_torch"] for each in found):
        for each, again in zip(found, _listed(distribution), strict=True):
            each["seconds"] = min(each["seconds"], again["seconds"])
    return found


def _listed(distribution: str) -> list[dict[str, Any]]:
    """Return what `zoo plugins list --json` says where only one distribution is loaded.

    Under `stderr` stands what its plugins wrote there, or to stdout past Python.
    """
    done = subprocess.run(
        [sys.executable, "-m", "zoo", "plugins", "list", "--json"],
        env={**os.environ, LIMIT: distribution},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise PluginError(f"{distribution} cannot be loaded by itself: {done.stderr.strip()}")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    skipped = any(each["error"] for each in found)  # then the zoo's own warning is there
    return [{**each, "stderr": "" if skipped else done.stderr.strip()} for each in found]
