"""`zoo plugins`: what is installed, what is wrong with it, and how to begin one."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from zoo.cli.lazy import example
from zoo.cli.output import echo_json, table
from zoo.doors import clashes
from zoo.plugins import Plugin
from zoo.registry import default_registry

COLUMNS = ("distribution", "version", "entry point", "module", "models", "seconds", "remark")


@click.group(
    "plugins",
    invoke_without_command=True,
    epilog=example(
        "zoo plugins list",
        "zoo plugins new acme-encoder",
        "zoo plugins validate acme-encoder",
    ),
)
@click.option("--json", "as_json", is_flag=True, help="The list, as JSON.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """List, check and begin plugins.

    ZOO_PLUGINS, a comma-separated list of distributions or entry points, limits what is loaded;
    ZOO_PLUGIN_SECONDS is how long one may take to be imported, 10 by default, and 60 what stands
    behind its commands, targets and readers.
    """
    if context.invoked_subcommand is None:
        _list(as_json)


@command.command("list", epilog=example("zoo plugins list", "ZOO_PLUGINS=text zoo plugins list"))
@click.option("--json", "as_json", is_flag=True, help="As a JSON list.")
def list_(as_json: bool) -> None:
    """List the installed plugins, broken ones with the reason."""
    _list(as_json)


@command.command(
    "validate",
    short_help="Check plugins.",
    epilog=example("zoo plugins validate", "zoo plugins validate acme-encoder --json"),
)
@click.argument("distribution", required=False)
@click.option("--json", "as_json", is_flag=True, help="As a JSON list.")
def validate(distribution: str | None, as_json: bool) -> int:
    """Check every installed plugin, or those of one DISTRIBUTION.

    Finds plugins that do not load or bring nothing; those that import torch, print, change the
    process or are slow while they are imported; names that clash; facts and licences that are
    missing, networks that do not build, keys without a rule, and commands, targets and readers
    that cannot be imported. Exit code 1 if there is anything.
    """
    from zoo.validate_plugins import validate_plugins

    problems = validate_plugins(distribution)
    if as_json:
        echo_json([
            {"distribution": p.distribution, "entry_point": p.entry_point, "row": p.row,
             "problem": p.text}
            for p in problems
        ])  # fmt: skip
    elif problems:
        click.echo(
            table(
                ("distribution", "entry point", "row", "problem"),
                ((p.distribution, p.entry_point, p.row, p.text) for p in problems),
            )
        )
    else:
        click.echo("Nothing is wrong.")
    return 1 if problems else 0


@command.command(
    "new",
    short_help="Write a plugin that works as it is.",
    epilog=example("zoo plugins new acme-encoder"),
)
@click.argument("name")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Folder. Default ./NAME.")
def new(name: str, out: Path | None) -> None:
    """Write a plugin distribution NAME that installs, passes its tests and exports as it is."""
    from zoo.scaffold import new_plugin

    folder = out or Path(name)
    for path in new_plugin(name, folder):
        click.echo(str(folder / path))
    place = shlex.quote(str(folder))
    click.echo(
        f"\nNext: cd {place} && python -m pip install -e '.[test]' && pytest\n"
        f"      zoo export {name}-s8 --weights random --out dist/{name}-s8"
    )


def _list(as_json: bool) -> None:
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
            "; ".join((*plugin.remarks, *clashes(plugin, plugins))),
        )
        for plugin in plugins
    )
    click.echo(table(COLUMNS, cells, right="models seconds"))


def plugin_to_dict(plugin: Plugin) -> dict[str, object]:
    """Return what is known about a plugin as JSON-able values."""
    return {
        "distribution": plugin.distribution,
        "version": plugin.version,
        "entry_point": plugin.name,
        "module": plugin.module,
        "models": [row.name for row in plugin.rows],
        "namespaces": list(plugin.namespaces),
        "commands": list(plugin.commands),
        "targets": list(plugin.targets),
        "readers": list(plugin.readers),
        "seconds": round(plugin.seconds, 6),
        "error": plugin.error,
        "imports_torch": plugin.heavy,
        "remarks": [*plugin.remarks, *clashes(plugin, default_registry().plugins)],
    }
