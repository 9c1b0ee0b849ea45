"""`zoo plugins`: what is installed and what went wrong."""

from __future__ import annotations

import click

from zoo.cli.lazy import example
from zoo.cli.output import echo_json, table
from zoo.plugins import Plugin
from zoo.registry import default_registry

COLUMNS = ("distribution", "version", "entry point", "module", "models", "seconds", "remark")


@click.command(
    "plugins",
    epilog=example(
        "zoo plugins",
        "ZOO_PLUGINS=text zoo plugins --json",
    ),
)
@click.option("--json", "as_json", is_flag=True, help="As a JSON list.")
def command(as_json: bool) -> None:
    """List the installed plugins, broken ones with the reason.

    ZOO_PLUGINS, a comma-separated list of distributions or entry points, limits what is loaded.
    """
    plugins = default_registry().plugins
    if as_json:
        echo_json([plugin_to_dict(plugin) for plugin in plugins])
        return
    cells = (
        (
            plugin.distribution,
            plugin.version,
            plugin.name,
            plugin.module,
            str(len(plugin.rows)),
            f"{plugin.seconds:.3f}",
            _remark(plugin),
        )
        for plugin in plugins
    )
    click.echo(table(COLUMNS, cells, right="models seconds"))


def _remark(plugin: Plugin) -> str:
    """Return what is wrong with a plugin, or strange, in a few words."""
    if plugin.error is not None:
        return plugin.error
    strange = ["imports torch, which every command waits for"] if plugin.heavy else []
    strange += ["prints while it is imported"] if plugin.printed else []
    return "; ".join(strange)


def plugin_to_dict(plugin: Plugin) -> dict[str, object]:
    """Return what is known about a plugin as JSON-able values."""
    return {
        "distribution": plugin.distribution,
        "version": plugin.version,
        "entry_point": plugin.name,
        "module": plugin.module,
        "models": [row.name for row in plugin.rows],
        "namespaces": [namespace.prefix for namespace in plugin.namespaces],
        "seconds": round(plugin.seconds, 6),
        "error": plugin.error,
        "imports_torch": plugin.heavy,
        "prints": plugin.printed,
    }
