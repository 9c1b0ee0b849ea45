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
    """A click group over modules that each hold one `command`.

    Args:
        lazy: Command's name to the module that defines it as `command`.
        options: As click.Group.
    """

    def __init__(self, *, lazy: Mapping[str, str], **options: Any) -> None:  # noqa: ANN401  click's
        super().__init__(**options)
        self._lazy = dict(lazy)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, sorted."""
        return sorted({*self._lazy, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, or None if there is none of that name."""
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        command: click.Command = importlib.import_module(self._lazy[cmd_name]).command
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
