"""A group of commands that imports a command's module when the command is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

from zoo.errors import ZooError


def example(*lines: str) -> str:
    """Return the end of a command's help: lines that can be copied."""
    return "\n".join(["\b", "Example:", *(f"  {line}" for line in lines)])


class LazyGroup(click.Group):
    """A click group over commands that stand in modules of their own, or in plugins.

    Plugins are looked for only when a command is asked for that is not among `lazy`.

    Args:
        lazy: Command's name to the module that defines it as `command`.
        options: As click.Group.
    """

    def __init__(self, *, lazy: Mapping[str, str], **options: Any) -> None:  # noqa: ANN401  click's
        super().__init__(**options)
        self._lazy = dict(lazy)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, sorted."""
        return sorted({*self._lazy, *_from_plugins(), *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, or None if there is none of that name."""
        command: click.Command
        if cmd_name in self._lazy:
            command = importlib.import_module(self._lazy[cmd_name]).command
            return command
        from zoo import doors
        from zoo.registry import default_registry

        try:
            plugin = doors.owner(default_registry().plugins, "commands", cmd_name)
            if plugin is None:
                return super().get_command(ctx, cmd_name)
            command = doors.opened(plugin, "commands", cmd_name)
        except ZooError as error:  # `zoo --help` lists the other commands all the same
            return _Unusable(cmd_name, error)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments ask for; offer a near match if there is none."""
        word = args[0]
        if not word.startswith("-") and word not in self._lazy:
            from zoo.registry import nearest

            names = self.list_commands(ctx)  # without importing what they are
            near = [] if word in names else nearest(word, names, most=1)
            if near:
                ctx.fail(f"There is no command {word!r}. Did you mean {near[0]!r}?")
        return super().resolve_command(ctx, args)


class _Unusable(click.Command):
    """Stands for a plugin's command that cannot be imported; says so when it is run."""

    def __init__(self, name: str, error: ZooError) -> None:
        super().__init__(name, help=str(error), short_help="(cannot be used: run it to see why)")
        self._error = error

    def make_context(self, *_: Any, **__: Any) -> click.Context:  # noqa: ANN401  click's
        """Raise what went wrong, whatever the arguments are."""
        raise self._error


def _from_plugins() -> list[str]:
    """Return the names of plugins' commands."""
    from zoo import doors
    from zoo.registry import default_registry

    return doors.names(default_registry().plugins, "commands")
