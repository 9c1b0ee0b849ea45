"""One bad plugin must not hurt the others."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from zoo.plugins import discover
from zoo.registry import Registry

GOOD = """
from zoo import hookimpl
from tests.toys import toy

@hookimpl
def zoo_models():
    return [toy("{name}")]
"""
Make = Callable[[str, str], EntryPoint]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Return a function that writes a plugin module and gives its entry point."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, code: str) -> EntryPoint:
        (tmp_path / f"plug_{name}.py").write_text(code)
        sys.modules.pop(f"plug_{name}", None)
        return EntryPoint(name=name, value=f"plug_{name}", group="zoo")

    return write


def test_a_plugin_adds_its_rows(make: Make) -> None:
    plugins = discover([make("good", GOOD.format(name="toy-good"))], limit=None)

    assert [row.name for row in Registry(plugins)] == ["toy-good"]
    assert plugins[0].seconds > 0


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("raise RuntimeError('no luck')", "RuntimeError: no luck"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("def broken(:", "SyntaxError"),
        ("import not_installed_anywhere", "ModuleNotFoundError"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("def f(): f()\nf()", "RecursionError"),
        ("raise MemoryError", "MemoryError"),
        ("class E(Exception):\n  def __str__(self): 1/0\nraise E", "E"),
        (GOOD.format(name="x").replace("[toy", "[3, toy"), "returned int, not ModelSpec"),
        (GOOD.format(name="x").replace("[toy", "1/0, [toy"), "ZeroDivisionError"),
        (GOOD.format(name="x").replace("models()", "models(surprise)"), "surprise"),
    ],
    ids=[
        "raises",
        "exits",
        "syntax",
        "import",
        "interrupt",
        "recursion",
        "memory",
        "str",
        "wrong type",
        "hook raises",
        "wrong argument",
    ],
)
def test_a_broken_plugin_is_skipped_with_one_warning(make: Make, code: str, cause: str) -> None:
    points = [make("bad", code), make("good", GOOD.format(name="toy-good"))]

    with pytest.warns(UserWarning, match=f"Skipped plugin 'bad'.*{cause}") as warned:
        plugins = discover(points)

    assert len(warned) == 1
    assert [row.name for row in Registry(plugins)] == ["toy-good"]
    assert cause in str(next(plugin for plugin in plugins if plugin.name == "bad").error)


def test_an_entry_point_to_nothing_is_skipped(make: Make) -> None:
    point = EntryPoint(name="ghost", value="plug_of_nobody", group="zoo")

    with pytest.warns(UserWarning, match="Skipped plugin 'ghost'"):
        assert Registry(discover([point])).names() == []


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(None, ["toy-a", "toy-b"]), ("", []), ("b", ["toy-b"]), (" a ,", ["toy-a"])],
)
def test_a_limit_says_what_loads(make: Make, limit: str | None, expected: list[str]) -> None:
    points = [make(name, GOOD.format(name=f"toy-{name}")) for name in "ab"]

    assert Registry(discover(points, limit=limit)).names() == expected


def test_the_variable_limits_what_loads(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    points = [make(name, GOOD.format(name=f"toy-{name}")) for name in "ab"]
    monkeypatch.setenv("ZOO_PLUGINS", "a")

    assert Registry(discover(points)).names() == ["toy-a"]


def test_a_name_claimed_twice_by_one_distribution_hides_no_other_row(make: Make) -> None:
    points = [
        make("one", GOOD.format(name="same")),
        make("two", GOOD.format(name="same").replace("[toy", "[toy('other'), toy")),
    ]

    with pytest.warns(
        UserWarning, match="Skipped model 'same': unknown adds the name 'same' twice"
    ):
        assert Registry(discover(points)).names() == ["other", "same"]
