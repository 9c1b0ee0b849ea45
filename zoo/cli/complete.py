"""What a shell offers where a model is to be named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def model_names(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the names that begin so; where there is none, let the shell offer files."""
    from click.shell_completion import CompletionItem

    from zoo.registry import default_registry

    names = [name for name in default_registry().names() if name.startswith(incomplete)]
    return [CompletionItem(name) for name in names] or [CompletionItem(incomplete, type="file")]
