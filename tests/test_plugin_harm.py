"""Distributions that would take from others, really installed: all else stays whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.distributions import ROW, hook, installed, models, zoo

NAMESPACE = """
class Space:
    prefix = "guest"
    summary = "guests"
    def resolve(self, rest):
        raise KeyError(rest)
    def search(self, pattern):
        return 3
"""
PLUGINS = {
    "guest-good": models("guest-good"),
    "guest-prefix": hook("zoo_namespaces", "[Space()]", NAMESPACE),
    "guest-prefixed": hook("zoo_namespaces", "[Space()]", NAMESPACE),
    "guest-checkpoint": hook("zoo_checkpoint", "1 / 0"),
    "guest-checked": hook("zoo_checkpoint", "3"),
    "guest-knows": hook("zoo_checkpoint", "[row('guest-known')]", ROW),
    "guest-network": models("guest-network").replace("torch.nn.Identity()", "1 / 0"),
    "guest-tower": models("clip-b16-image"),
    "guest-moves": "import os; os.chdir('/')" + models("guest-moves"),
    "guest-variables": "import os; os.environ['ZOO_PLUGIN_SECONDS'] = 'x'" + models("guest-env"),
    "guest-hush": "import warnings; warnings.simplefilter('ignore')" + models("guest-hush"),
    "guest-strict": "import warnings; warnings.simplefilter('error')" + models("guest-strict"),
    "guest-zealous": "raise RuntimeError('after the others')",
    "guest-child": "import os; os.system('echo from a child')" + models("guest-child"),
    "guest-closes": "import sys; sys.stdout.close()" + models("guest-closes"),
    "guest-thread": "import threading\n"
    "threading.Thread(target=threading.Event().wait, daemon=False).start()"
    + models("guest-thread"),
    "guest-hangs": "import pathlib, time\n"
    "pathlib.Path(__file__).with_suffix('.began').touch()\n"
    "while True: time.sleep(60)",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which pip has installed all of PLUGINS."""
    return installed(tmp_path_factory, PLUGINS)


# Models


def test_a_prefix_of_two_plugins_is_refused_with_both(site: Path) -> None:
    plugins = "vision, guest-prefix, guest-prefixed"
    asked = zoo(site, "info", "guest:x", plugins=plugins)
    listed = zoo(site, "list", "--json", plugins=plugins)

    assert asked.code == 1
    assert "'guest' is claimed by guest-prefix and guest-prefixed. Uninstall one" in asked.err
    assert "resnet-50" in listed.names


def test_a_namespace_that_fails_names_its_plugin(site: Path) -> None:
    asked = zoo(site, "info", "guest:x", plugins="guest-prefix")
    searched = zoo(site, "list", "guest:*", plugins="guest-prefix")

    assert asked.code == searched.code == 1
    assert "'guest:x' of guest-prefix 1.0 failed: KeyError: 'x'" in asked.err
    assert "'guest:*' of guest-prefix 1.0 failed: TypeError" in searched.err


@pytest.mark.parametrize("name", ["guest-checkpoint", "guest-checked"])
def test_a_plugin_that_fails_at_a_folder_does_not_keep_others_from_it(
    site: Path, name: str, tmp_path: Path
) -> None:
    ran = zoo(site, "info", "--json", str(tmp_path), plugins=f"{name}, guest-knows, text")

    assert json.loads(ran.out)["name"] == "guest-known"
    assert f"Plugin '{name}' of {name} 1.0 failed at {tmp_path}" in ran.err


def test_a_plugin_cannot_take_a_folder_that_we_know(site: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')

    ran = zoo(site, "info", str(tmp_path), plugins="guest-knows, text")

    assert "config.json has no 'hidden_size'" in ran.err
    assert "guest-known" not in ran.out


def test_a_network_that_cannot_be_built_names_its_plugin(site: Path, tmp_path: Path) -> None:
    words = ("embed", "guest-network", "--weights", "random", "--out", str(tmp_path / "x.npy"))
    ran = zoo(site, *words, __file__, plugins="guest-network")

    assert ran.code == 1
    assert "'guest-network', which guest-network brings, cannot be built: ZeroDivision" in ran.err
    assert "Traceback" not in ran.err


def test_a_tower_whose_name_another_claims_is_still_its_spaces(site: Path) -> None:
    plugins = "multimodal, guest-tower"
    space = zoo(site, "info", "--json", "clip-b16", plugins=plugins)
    tower = zoo(site, "info", "clip-b16-image", plugins=plugins)

    assert json.loads(space.out)["towers"]["image"]["family"]["name"] == "clip"
    assert "claimed by encoder-zoo, guest-tower" in tower.err


# Process and output


def test_what_a_plugin_changes_is_put_back_and_said(site: Path, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    plugins = "guest-moves, guest-variables, guest-good"
    asked = zoo(site, "info", "./here", plugins=plugins, cwd=tmp_path)
    shown = zoo(site, "plugins", plugins=plugins)

    assert "./here names no architecture" in asked.err
    assert "changes the working folder while it is imported" in shown.out
    assert "changes environment variables while it is imported" in shown.out
    assert shown.err == ""


@pytest.mark.parametrize("name", ["guest-hush", "guest-strict"])
def test_one_plugin_cannot_silence_what_is_said_of_the_next(site: Path, name: str) -> None:
    ran = zoo(site, "list", "--json", plugins=f"{name}, guest-zealous")

    assert ran.names == {name}
    assert "Skipped plugin 'guest-zealous'" in ran.err


def test_what_a_child_of_a_plugin_prints_stays_out_of_the_output(site: Path) -> None:
    ran = zoo(site, "list", "--json", plugins="guest-child, guest-closes")

    assert ran.names == {"guest-child", "guest-closes"}
    assert "from a child" in ran.err


def test_a_thread_that_goes_on_does_not_keep_a_command_from_ending(site: Path) -> None:
    ran = zoo(site, "list", "--json", plugins="guest-thread")
    shown = zoo(site, "plugins", plugins="guest-thread")

    assert ran.names == {"guest-thread"}
    assert "leaves a thread running" in shown.out


def test_an_interrupt_ends_a_command_that_waits_for_a_plugin(site: Path) -> None:
    began = site / "guest_hangs.began"
    began.unlink(missing_ok=True)
    environment = {
        **os.environ,
        "PYTHONPATH": str(site),
        "ZOO_PLUGINS": "guest-hangs",
        "ZOO_PLUGIN_SECONDS": "600",
    }
    running = subprocess.Popen(
        [sys.executable, "-m", "zoo", "list"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not began.exists():
        assert running.poll() is None, "it ended before it asked the plugin"
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)

    assert running.returncode == 130
    assert "Interrupted" in said


# Installation


def test_a_word_of_the_limit_that_names_no_plugin_is_said(site: Path) -> None:
    ran = zoo(site, "list", "--json", plugins="Guest_Good, guest-god")

    assert ran.names == {"guest-good"}
    assert "ZOO_PLUGINS names 'guest-god', which is no installed plugin. There are: " in ran.err


def test_what_is_half_uninstalled_or_cannot_be_read_takes_nothing_down(
    site: Path, tmp_path: Path
) -> None:
    (tmp_path / "left-1.0.dist-info").mkdir()
    (tmp_path / "left-1.0.dist-info" / "entry_points.txt").write_text("[zoo]\nleft = gone\n")
    (tmp_path / "odd-1.0.dist-info").mkdir()
    (tmp_path / "odd-1.0.dist-info" / "METADATA").write_text("Name: odd\nVersion: 1.0\n")
    (tmp_path / "odd-1.0.dist-info" / "entry_points.txt").write_text("[zoo]\nno equals sign\n")
    both = Path(f"{site}{os.pathsep}{tmp_path}")

    ran = zoo(both, "list", "--json", plugins="vision, guest-good, left")

    assert {"resnet-50", "guest-good"} <= ran.names
    assert "Skipped plugin 'left' of unknown (gone): ModuleNotFoundError" in ran.err
    assert "The entry points of odd cannot be read" in ran.err
    assert "Install odd again" in ran.err
