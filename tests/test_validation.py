"""`zoo plugins validate` and `zoo.testing.check_row` find what is wrong with a row."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.distributions import hook, install, models, wheel
from tests.toys import FAMILY, toy
from zoo.keys import KeyMap, move
from zoo.registry import default_registry
from zoo.spec import ModelSpec, WeightsSpec
from zoo.testing import check_family, check_row
from zoo.validation import fact_problems, network_problems

SOUND = default_registry().row("resnet-18")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"name": "Wrong Name"}, "is not lower case"),
        ({"aliases": ("UPPER",)}, "'UPPER' is not lower case"),
        ({"license": ""}, "it has no licence"),
        ({"objective": ""}, "what the training optimised"),
        ({"year": 20}, "the year 20"),
        ({"inputs": ()}, "it has no inputs"),
        ({"outputs": ("vectors",)}, "are not among"),
        ({"source": ""}, "where its numbers were copied from"),
        ({"weights": WeightsSpec(source="none")}, "no weights and gives no reason"),
        ({"weights": replace(SOUND.weights, revision="main")}, "no commit of 40 hex digits"),
        ({"weights": replace(SOUND.weights, sha256={"a.bin": "12"})}, "sha256 of a.bin"),
        ({"family": replace(SOUND.family, title="")}, "no title"),
        ({"family": replace(SOUND.family, arxiv="", url="")}, "neither an arXiv entry nor a URL"),
        ({"family": replace(SOUND.family, arxiv="cs/1")}, "'cs/1' is no arXiv identifier"),
        ({"family": replace(SOUND.family, authors="He et al.")}, "as BibTeX has them"),
        ({"languages": ("English",)}, "'English' is neither an ISO 639-1 code"),
    ],
)
def test_a_fact_that_is_missing_or_wrong_is_named(changes: dict[str, Any], problem: str) -> None:
    assert fact_problems(SOUND) == []

    problems = fact_problems(replace(SOUND, **changes))

    assert len(problems) == 1
    assert problem in problems[0]


def broken(**changes: Any) -> ModelSpec:
    return replace(toy(params=0), **changes)


def test_a_network_that_does_not_build_is_named() -> None:
    class Broken(type(SOUND.config)):  # type: ignore[misc]  # a config that cannot be built
        def build(self) -> None:
            raise RuntimeError("no such layer")

    config = Broken(**{name: getattr(SOUND.config, name) for name in SOUND.config.__slots__})

    assert network_problems(replace(SOUND, config=config)) == [
        "its network cannot be built: RuntimeError: no such layer"
    ]


def test_a_wrong_number_of_parameters_is_named() -> None:
    problems = network_problems(replace(SOUND, params=5))

    assert problems == ["it says 5 parameters; its network has 11,176,512"]


def test_keys_without_a_rule_are_named() -> None:
    family = replace(
        FAMILY, keymaps=(KeyMap(name="short", rules=(move("e.weight", "embedding.weight"),)),)
    )
    row = replace(toy(), family=family)

    problems = network_problems(row)

    assert any("no rule of the layout 'short' fills blocks.0.weight" in text for text in problems)
    assert any(
        "has no key map" in text
        for text in network_problems(replace(row, family=replace(family, keymaps=())))
    )


def test_a_sound_row_passes_and_a_wrong_one_says_all_at_once() -> None:
    check_row(SOUND)

    with pytest.raises(AssertionError, match=r"no licence.*; it says 5 parameters"):
        check_row(replace(SOUND, license="", params=5))


def test_two_rows_of_one_name_are_refused() -> None:
    with pytest.raises(AssertionError, match="two rows are called resnet-18"):
        check_family([SOUND, SOUND])


def test_validate_finds_what_plugins_do_wrong(tmp_path: Path) -> None:
    slow = "import time; time.sleep(0.4)" + models("guest-slow")
    codes = {
        "guest-good": models("guest-good"),
        "guest-raises": "raise RuntimeError('no luck')",
        "guest-torch": "import torch" + models("guest-torch"),
        "guest-prints": "print('hello')" + models("guest-prints"),
        "guest-slow": slow,
        "guest-first": models("guest-same"),
        "guest-second": models("guest-same"),
        "guest-facts": models("guest-facts").replace('license="mit"', 'license=""'),
        "guest-keys": models("guest-keys").replace("Identity()", "Linear(2, 2)")
        + "\nfrom zoo.keys import KeyMap, move"
        "\nKEYS = KeyMap(name='authors', rules=(move('w', 'weight'),))"
        "\nFAMILY = replace(FAMILY, keymaps=(KEYS,))",
        "guest-build": models("guest-build").replace("torch.nn.Identity()", "1 / 0"),
        "guest-leaves": models("guest-leaves").replace("import torch", "raise SystemExit(3)"),
        "guest-odd": models("guest-odd").replace("torch.nn.Identity()", "None"),
        "guest-tower": models("guest-tower")
        .replace("params=0", "params=0, space=Space(name='pair', towers={'image': 'guest-gone'})")
        .replace("import BATCH", "import Space, BATCH"),
        "guest-name": models("Guest Name"),
        "guest-moves": "import os; os.chdir('/')" + models("guest-moves"),
        "guest-warns": "import os; os.write(2, b'driver too old')" + models("guest-warns"),
        "guest-nothing": "def zoo_models(): return []",
        "guest-command": hook("zoo_commands", "{'export': 'os:sep', 'x': 'guest_gone:x'}"),
    }
    (tmp_path / "site").mkdir()
    install([wheel(tmp_path, name, code) for name, code in codes.items()], tmp_path / "site")

    done = subprocess.run(
        [sys.executable, "-m", "zoo", "plugins", "validate", "--json"],
        env={
            **os.environ,
            "PYTHONPATH": str(tmp_path / "site"),
            "ZOO_PLUGINS": ",".join([*codes, "export"]),
            "ZOO_PLUGIN_SECONDS": "300",  # of which torch takes more than ten on a busy machine
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )

    assert done.returncode == 1
    found = {(p["distribution"], p["problem"]) for p in json.loads(done.stdout)}

    def says(distribution: str, words: str) -> bool:
        return any(owner == distribution and words in text for owner, text in found)

    assert says("guest-raises", "it is skipped: RuntimeError: no luck")
    assert says("guest-torch", "imports torch, which every command waits for")
    assert says("guest-prints", "prints 'hello")
    assert says("guest-slow", "s; 0.25 is slow")
    assert says("guest-first", "claimed by guest-first and guest-second")
    assert says("guest-second", "claimed by guest-first and guest-second")
    assert says("guest-facts", "it has no licence")
    assert says("guest-good", "neither an arXiv entry nor a URL")
    assert says("guest-good", "the family 'guest' names no authors")
    assert not says("guest-good", "import")
    assert says("guest-keys", "no rule of the layout 'authors' fills bias")
    assert says("guest-keys", "it says 0 parameters; its network has 6")
    assert says("guest-build", "its network cannot be built: ZeroDivisionError")
    assert says("guest-leaves", "its network cannot be built: SystemExit: 3")
    assert says("guest-odd", "it cannot be checked: AttributeError: 'NoneType'")
    assert says("guest-tower", "its space 'pair' names 'guest-gone', which is no row")
    assert says("guest-name", "'Guest Name' is not lower case")
    assert says("guest-moves", "changes the working folder")
    assert says("guest-warns", "writes 'driver too old' to stderr")
    assert says("guest-nothing", "brings nothing")
    assert says("guest-command", "the command 'export' stays that of encoder-zoo")
    assert says("guest-command", "'x' (guest_gone:x) of guest-command 1.0 failed: ModuleNotFound")
    assert {owner for owner, _ in found} <= set(codes)
