"""Commands, targets and readers that would hurt, really installed: ours stay, the zoo goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.distributions import hook, installed, zoo

THIEF = """
import click
@click.command()
def command():
    click.echo("stolen")
"""


def door(code: str) -> str:
    """Return the code of a plugin's module that runs when `command` is fetched from it."""
    return f"""
import sys
import click
def __getattr__(name):
    if name != "command":
        raise AttributeError(name)
    {code}
"""


PLUGINS = {
    "guest-thief": hook(
        "zoo_commands", "{'export': 'guest_thief:command', 'list': 'guest_thief:command'}", THIEF
    ),
    "guest-target": hook("zoo_targets", "{'onnx': 'guest_target:TARGET'}", "TARGET = None"),
    "guest-elsewhere": hook("zoo_commands", "{'away': 'guest_nowhere:x', 'number': 'os:sep'}"),
    "guest-runtime": hook("zoo_targets", "{'runtime': 'os:sep'}"),
    "guest-command-hangs": hook("zoo_commands", "{'wait': 'guest_hangs:command'}"),
    "guest-target-hangs": hook("zoo_targets", "{'wait': 'guest_hangs:TARGET'}"),
    "guest-reader-hangs": hook("zoo_weight_readers", "{'.wait': 'guest_hangs:read'}"),
    "guest-quits": hook("zoo_commands", "{'quit': 'guest_quits:command'}")
    + door("raise KeyboardInterrupt"),
    "guest-exits": hook("zoo_commands", "{'exit': 'guest_exits:command'}") + door("sys.exit(0)"),
    "guest-talks": hook("zoo_commands", "{'talk': 'guest_talks:command'}")
    + door("print('chatter')\n    return click.Command('talk', callback=lambda: click.echo('hi'))"),
    "guest-leads": hook("zoo_commands", "{'lead': 'guest_leads:command'}")
    + "@hookimpl\ndef zoo_weight_readers():\n    return {'.led': 'os:getcwd'}\n"
    + door(
        "from zoo.registry import default_registry\n"
        "    default_registry().reader('weights.led')\n"
        "    return click.Command('lead', callback=lambda: click.echo('led'))"
    ),
    "guest-hangs": "import time\nwhile True: time.sleep(60)",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which pip has installed all of PLUGINS."""
    return installed(tmp_path_factory, PLUGINS)


def test_a_command_of_ours_is_not_replaced(site: Path) -> None:
    plugins = "encoder-zoo, guest-thief"
    exported = zoo(site, "export", "--help", plugins=plugins)
    listed = zoo(site, "list", "resnet-50", plugins=plugins)
    shown = zoo(site, "plugins", plugins=plugins)

    assert "stolen" not in exported.out + listed.out
    assert "proven" in exported.out
    assert "the command 'export' stays that of encoder-zoo" in shown.out


def test_a_target_of_ours_is_not_replaced(site: Path) -> None:
    script = "from zoo.targets import target_of; print(type(target_of('onnx')).__module__)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(site), "ZOO_PLUGINS": "export, guest-target"},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )

    assert done.stdout.strip() == "zoo_export.targets"


def test_a_command_that_leads_nowhere_costs_that_command(site: Path) -> None:
    plugins = "export, guest-elsewhere"
    helped = zoo(site, "--help", plugins=plugins)
    away = zoo(site, "away", "--now", plugins=plugins)
    number = zoo(site, "number", plugins=plugins)

    assert helped.code == 0
    assert {"list", "export", "away"} <= {line.split()[0] for line in helped.out.splitlines()
                                          if line.startswith("  ")}  # fmt: skip
    assert away.code == number.code == 1
    assert "'away' (guest_nowhere:x) of guest-elsewhere 1.0 failed: ModuleNotFound" in away.err
    assert "it is a str, without make_context, invoke" in number.err
    assert "Traceback" not in away.err + number.err


def test_a_target_that_is_none_names_its_plugin(site: Path, tmp_path: Path) -> None:
    words = ("export", "hog", "--to", "runtime", "--out", str(tmp_path / "bundle"))
    ran = zoo(site, *words, plugins="classic, export, guest-runtime")

    assert ran.code == 1
    assert "The target 'runtime' (os:sep) of guest-runtime 1.0 failed" in ran.err
    assert "Update or uninstall guest-runtime" in ran.err


def test_a_command_that_hangs_while_it_is_imported_is_left_behind(site: Path) -> None:
    ran = zoo(site, "wait", plugins="export, guest-command-hangs", seconds=5)
    helped = zoo(site, "--help", plugins="export, guest-command-hangs", seconds=5)

    assert ran.code == 1
    assert "The command 'wait' (guest_hangs:command) of guest-command-hangs 1.0 failed" in ran.err
    assert "it was not done after 5 s; ZOO_PLUGIN_SECONDS gives it longer" in ran.err
    assert ran.err.count("\n") == 1
    assert helped.code == 0
    assert "export" in helped.out


@pytest.mark.parametrize(
    ("plugin", "asked"),
    [("guest-target-hangs", "target('wait')"), ("guest-reader-hangs", "reader('weights.wait')")],
)
def test_a_target_or_reader_that_hangs_while_it_is_imported_is_left_behind(
    site: Path, plugin: str, asked: str
) -> None:
    script = f"""
from zoo.errors import PluginError
from zoo.registry import default_registry
try:
    default_registry().{asked}
except PluginError as error:
    print(error)
print(default_registry().target("onnx").name)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={
            **os.environ,
            "PYTHONPATH": str(site),
            "ZOO_PLUGINS": f"export, {plugin}",
            "ZOO_PLUGIN_SECONDS": "5",
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )

    said, ours = done.stdout.splitlines()
    assert f"of {plugin} 1.0 failed: TimeoutError: it was not done after 5 s" in said
    assert ours == "onnx"


@pytest.mark.parametrize(
    ("name", "cause"), [("quit", "KeyboardInterrupt"), ("exit", "SystemExit: 0")]
)
def test_a_command_that_ends_while_it_is_imported_does_not_end_the_zoo(
    site: Path, name: str, cause: str
) -> None:
    ran = zoo(site, name, plugins=f"guest-{name}s")
    helped = zoo(site, "--help", plugins=f"guest-{name}s")

    assert ran.code == 1
    assert f"of guest-{name}s 1.0 failed: {cause}" in ran.err
    assert "plugins" in helped.out


def test_a_command_prints_when_it_runs_and_not_before(site: Path) -> None:
    ran = zoo(site, "talk", plugins="guest-talks")

    assert (ran.out, ran.err) == ("hi\n", "")


def test_what_stands_behind_a_door_may_open_another(site: Path) -> None:
    ran = zoo(site, "lead", plugins="guest-leads")

    assert (ran.out, ran.err) == ("led\n", "")
