"""Doors beside models: the plugin that a command, target, reader or prefix leads to. No torch.

What the zoo brings itself is never replaced; what two other distributions bring under one name is
refused, naming both.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from zoo.errors import AmbiguousNameError, PluginError, ZooError
from zoo.guarded import guarded, is_guarded
from zoo.plugins import ADVICE, Plugin, explain, failure, patience

OWN = "encoder-zoo"
SECONDS = 60.0  # that a door may take to be imported: it may import torch, from a cold disk
Kind = Literal["commands", "targets", "readers", "namespaces"]
# What is said of each, and what must be callable of a thing that stands behind it.
WORDS: dict[Kind, str] = {"commands": "command", "targets": "target", "readers": "reader of",
                          "namespaces": "prefix"}  # fmt: skip
_CALLED: dict[Kind, tuple[str, ...]] = {
    "commands": ("make_context", "invoke"),
    "targets": ("check", "build", "bundle", "obstacle", "identity", "open"),
    "readers": ("__call__",),
}


def names(plugins: Sequence[Plugin], kind: Kind) -> list[str]:
    """Return the names of a kind of door, sorted."""
    return sorted({name for plugin in plugins for name in getattr(plugin, kind)})


def owner(plugins: Sequence[Plugin], kind: Kind, name: str) -> Plugin | None:
    """Return the plugin that a name leads to, or None.

    Raises:
        AmbiguousNameError: Two distributions bring it, neither of them the zoo.
    """
    claiming = [plugin for plugin in plugins if name in getattr(plugin, kind)]
    ours = [plugin for plugin in claiming if plugin.distribution == OWN]
    several = sorted({plugin.distribution for plugin in claiming})
    if not ours and len(several) > 1:
        raise AmbiguousNameError(
            f"The {WORDS[kind]} {name!r} is claimed by {' and '.join(several)}. Uninstall one of "
            "them; ZOO_PLUGINS=a,b loads the plugins a and b alone."
        )
    return next(iter(ours or claiming), None)


def opened(plugin: Plugin, kind: Kind, name: str) -> Any:  # noqa: ANN401  whatever stands there
    """Import what a plugin's command, target or reader is.

    Another's is imported as plugins are: it can neither hang, nor end the process, nor print.

    Raises:
        PluginError: It is not there, or not what it should be, or it does not come back.
    """
    place = getattr(plugin, kind)[name]
    what = f"the {WORDS[kind]} {name!r} ({place})"
    if plugin.distribution == OWN or is_guarded():  # a door may lead to another
        with blamed(plugin, what):
            return _checked(place, kind)
    outcome = guarded(lambda: _checked(place, kind), seconds=patience(SECONDS))
    if isinstance(outcome.error, ZooError):
        raise outcome.error
    if outcome.error is not None:
        raise _failed(plugin, what, failure(outcome)) from outcome.error
    return outcome.value


def _checked(place: str, kind: Kind) -> Any:  # noqa: ANN401  whatever stands there
    """Import what stands at a place, and see whether it can be what it is said to be."""
    found = import_place(place)
    missing = [word for word in _CALLED[kind] if not callable(getattr(found, word, None))]
    if missing:
        raise TypeError(f"it is a {type(found).__name__}, without {', '.join(missing)}")
    return found


@contextmanager
def blamed(plugin: Plugin, what: str) -> Iterator[None]:
    """Turn whatever a plugin's code raises, other than a ZooError, into one that names the plugin.

    Raises:
        PluginError: It failed.
    """
    try:
        yield
    except ZooError:
        raise
    except (Exception, SystemExit) as error:
        raise _failed(plugin, what, explain(error)) from error


def _failed(plugin: Plugin, what: str, why: str) -> PluginError:
    return PluginError(
        f"{what[0].upper()}{what[1:]} of {plugin.maker} failed: {why}. "
        f"{ADVICE.format(plugin.distribution)}"
    )


def import_place(place: str) -> Any:  # noqa: ANN401  whatever stands there
    """Return what `module:attribute` names."""
    module, _, attribute = place.partition(":")
    return getattr(importlib.import_module(module), attribute)


def clashes(plugin: Plugin, plugins: Sequence[Plugin]) -> Iterator[str]:
    """Yield what is wrong with the names of a plugin's doors: others have them too."""
    for kind in WORDS:
        for name in getattr(plugin, kind):
            try:
                user = owner(plugins, kind, name)
            except AmbiguousNameError as error:
                yield str(error)
            else:
                if user is not plugin and user is not None:
                    yield f"the {WORDS[kind]} {name!r} stays that of {user.distribution}"


def obstacles(plugin: Plugin) -> Iterator[str]:
    """Yield why doors of a plugin cannot be used; imports what stands behind them."""
    for kind in _CALLED:
        for name in getattr(plugin, kind):
            try:
                opened(plugin, kind, name)
            except ZooError as error:
                yield str(error)
