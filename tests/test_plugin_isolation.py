"""Distributions that misbehave, really installed: the rest of the zoo works beside each of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.distributions import installed, models, zoo

PLUGINS = {
    "guest-good": models("guest-good"),
    "guest-raises": "raise RuntimeError('no luck')",
    "guest-interrupt": "raise KeyboardInterrupt",
    "guest-deep": "def f(): f()\nf()",
    "guest-asks": "import zoo; zoo.info('resnet-50')",
    "guest-endless": models("x").replace("return [row('x')]", "while True: yield row('x')"),
    "guest-needs": "import not_installed_anywhere",
    "guest-signal": "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)",
    "guest-exits": "import sys; sys.exit(3)",
    "guest-hangs": "import time\nwhile True: time.sleep(60)",
    "guest-prints": "print('hello from the plugin')" + models("guest-prints"),
    "guest-syntax": "def broken(:",
    "guest-torch": "import torch" + models("guest-torch"),
    "guest-first": models("guest-same", "guest-first"),
    "guest-second": models("guest-same", "guest-second"),
    "guest-shadow": models("resnet-50"),
    "guest-ghost": None,
    "guest-newer": models("guest-newer") + "\n@hookimpl\ndef zoo_future():\n    return []\n",
}


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which pip has installed all of PLUGINS."""
    return installed(tmp_path_factory, PLUGINS)


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("guest-raises", "RuntimeError: no luck"),
        ("guest-exits", "SystemExit: 3"),
        ("guest-interrupt", "KeyboardInterrupt"),
        ("guest-deep", "RecursionError"),
        ("guest-asks", "a plugin cannot ask for the zoo's models while plugins are loaded"),
        ("guest-endless", "zoo_models returned more than 100,000 of ModelSpec"),
        ("guest-needs", "No module named 'not_installed_anywhere'"),
        ("guest-signal", "signal only works in main thread"),
        ("guest-hangs", "it was not done after 5 s; ZOO_PLUGIN_SECONDS gives it longer"),
        ("guest-syntax", "SyntaxError"),
        ("guest-ghost", "ModuleNotFoundError: No module named 'guest_ghost'"),
        ("guest-newer", "it implements zoo_future, which this encoder-zoo does not have"),
    ],
)
def test_a_plugin_that_fails_costs_one_warning_that_names_it(
    site: Path, name: str, cause: str
) -> None:
    patience = 5 if name == "guest-hangs" else 30
    ran = zoo(site, "list", "--json", plugins=f"vision, guest-good, {name}", seconds=patience)

    assert ran.code == 0
    assert {"resnet-50", "guest-good"} <= ran.names
    assert name not in ran.names
    assert ran.err.count("Warning:") == 1
    assert f"Skipped plugin '{name}' of {name} 1.0" in ran.err
    assert cause in ran.err


def test_what_a_plugin_prints_does_not_end_up_in_the_output(site: Path) -> None:
    ran = zoo(site, "list", "--json", plugins="vision, guest-prints")

    assert {"resnet-50", "guest-prints"} <= ran.names
    assert "hello" not in ran.out


def test_a_plugin_that_imports_torch_works_and_is_named(site: Path) -> None:
    listed = zoo(site, "list", "--json", plugins="vision, guest-torch")
    shown = zoo(site, "plugins", plugins="guest-good, guest-torch")

    assert {"resnet-50", "guest-torch"} <= listed.names
    line = next(line for line in shown.out.splitlines() if line.startswith("guest-torch"))
    assert "imports torch" in line
    assert shown.out.count("imports torch") == 1


def test_a_name_of_two_plugins_is_refused_with_both_and_reached_through_each(site: Path) -> None:
    plugins = "guest-first, guest-second"
    plain = zoo(site, "info", "guest-same", plugins=plugins)
    other = zoo(site, "info", "guest-second", plugins=plugins)
    qualified = zoo(site, "info", "guest-same@guest-second", plugins=plugins)

    assert plain.code == 1
    assert "'guest-same' is claimed by guest-first, guest-second" in plain.err
    assert "Traceback" not in plain.err
    assert other.code == qualified.code == 0


def test_a_plugin_cannot_take_a_first_party_name(site: Path) -> None:
    plugins = "vision, guest-shadow"
    plain = zoo(site, "info", "resnet-50", plugins=plugins)
    ours = zoo(site, "info", "--json", "resnet-50@encoder-zoo", plugins=plugins)
    theirs = zoo(site, "info", "--json", "resnet-50@guest-shadow", plugins=plugins)
    others = zoo(site, "info", "resnet-101", plugins=plugins)

    assert plain.code == 1
    assert "claimed by encoder-zoo, guest-shadow" in plain.err
    assert json.loads(ours.out)["family"]["name"] == "resnet"
    assert json.loads(theirs.out)["family"]["name"] == "guest"
    assert others.code == 0


def test_no_plugin_at_all_is_a_zoo_without_models(site: Path) -> None:
    ran = zoo(site, "list", "--json", plugins="")

    assert ran.code == 0
    assert ran.names == set()


def test_patience_that_is_no_number_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from zoo.errors import PluginError
    from zoo.plugins import discover

    monkeypatch.setenv("ZOO_PLUGIN_SECONDS", "soon")

    with pytest.raises(PluginError, match="ZOO_PLUGIN_SECONDS='soon' is no number of seconds"):
        discover(limit="vision")


def test_a_shell_that_completes_hears_no_warnings() -> None:
    asked = {"_ZOO_COMPLETE": "bash_complete", "COMP_WORDS": "zoo info x", "COMP_CWORD": "2"}
    ran = subprocess.run(
        [sys.executable, "-m", "zoo"],
        env={**os.environ, **asked, "ZOO_PLUGINS": "nobody"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.stdout.split() == ["file,x"]
    assert ran.stderr == ""
