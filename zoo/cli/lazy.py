"""A group of commands that imports a command's module when the command is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click


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
        place = _from_plugins().get(cmd_name)
        if place is None:
            return super().get_command(ctx, cmd_name)
        from zoo.plugins import import_place

        command = import_place(place)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments ask for; offer a near match if there is none."""
        word = args[0]
        if not word.startswith("-") and self.get_command(ctx, word) is None:
            from zoo.registry import nearest

            near = nearest(word, self.list_commands(ctx), most=1)
            if near:
                ctx.fail(f"There is no command {word!r}. Did you mean {near[0]!r}?")
        return super().resolve_command(ctx, args)


def _from_plugins() -> dict[str, str]:
    """Return commands of plugins: name to `module:attribute`."""
    from zoo.registry import default_registry

    return {name: place for plugin in default_registry().plugins
            for name, place in plugin.commands.items()}  # fmt: skip
