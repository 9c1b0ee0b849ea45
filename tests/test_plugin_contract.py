"""What hooks return is looked at when a plugin is loaded: a wrong record costs its plugin alone."""

from __future__ import annotations

import logging
import os
import sys
import threading
from dataclasses import replace
from typing import Any

import pytest

from tests.toys import ToyConfig, toy
from zoo import doors
from zoo.contract import namespaces_of, places_of, rows_of
from zoo.errors import AmbiguousNameError, PluginError
from zoo.guarded import guarded
from zoo.plugins import Plugin
from zoo.registry import Registry
from zoo.spec import ModelSpec, WeightsSpec


class Space:
    """A namespace that is right."""

    prefix = "guest"
    summary = "guests"

    def resolve(self, rest: str) -> tuple[ModelSpec, ...]:
        return (toy(rest),)

    def search(self, pattern: str) -> list[str]:
        return [pattern]


class Dimless(ToyConfig):
    """A config that fails when it is asked."""

    @property
    def dim(self) -> int:
        raise RuntimeError("no dim")


SMELLS = replace(toy().family, modality="smell")  # type: ignore[arg-type]  # there is no such


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (None, "zoo_models returned NoneType, not a list of ModelSpec"),
        ("abc", "zoo_models returned str, not a list"),
        ({"a": 1}, "zoo_models returned dict, not a list"),
        ([toy(), 3], "zoo_models returned int, not ModelSpec"),
    ],
)
def test_what_is_no_list_of_rows_is_refused(found: Any, problem: str) -> None:
    with pytest.raises(TypeError, match=problem):
        rows_of("zoo_models", found)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"year": "2020"}, "year of the row 'toy-a' is '2020', not int"),
        ({"name": None}, "name of the row None is None, not str"),
        ({"config": None}, "dim of the row 'toy-a' cannot be read: AttributeError"),
        ({"config": Dimless()}, "dim of the row 'toy-a' cannot be read: RuntimeError: no dim"),
        ({"aliases": (1,)}, "aliases of the row 'toy-a' are"),
        ({"inputs": ("pixels",)}, "inputs of the row 'toy-a' are"),
        ({"space": "clip"}, "space of the row 'toy-a' is 'clip', not Space"),
        ({"family": SMELLS}, "modality of the row 'toy-a' is 'smell'"),
    ],
)
def test_a_row_with_a_wrong_field_is_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises((TypeError, ValueError), match=problem):
        rows_of("zoo_models", [replace(toy(), **changes)])


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"prefix": "guest:"}, "prefix 'guest:'; it must be a word in small letters"),
        ({"prefix": 3}, "the prefix 3"),
        ({"prefix": "hf"}, "'hf', which is the zoo's own"),
    ],
)
def test_a_prefix_that_cannot_be_typed_is_refused(changes: dict[str, Any], problem: str) -> None:
    space = Space()
    space.__dict__.update(changes)

    with pytest.raises(ValueError, match=problem):
        namespaces_of([space])


def test_a_namespace_is_what_resolves_and_searches() -> None:
    with pytest.raises(TypeError, match="returned str without prefix"):
        namespaces_of(["guest"])
    assert list(namespaces_of([Space()])) == ["guest"]


@pytest.mark.parametrize(
    ("hook", "found", "problem"),
    [
        ("zoo_commands", ["hello"], "returned list, not a mapping"),
        ("zoo_commands", {"hello": len}, "must be 'module:attribute'"),
        ("zoo_commands", {"hello": "a.b"}, "must be 'module:attribute'"),
        ("zoo_commands", {3: "a:b"}, "the name 3; it must be a word"),
        ("zoo_targets", {"two words": "a:b"}, "'two words'; it must be a word"),
        ("zoo_weight_readers", {"": "a:b"}, "''; it must be an ending, such as"),
        ("zoo_weight_readers", {"bin": "a:b"}, "'bin'; it must be an ending"),
        ("zoo_weight_readers", {".bin": "a:b"}, "'.bin', which the zoo reads itself"),
        ("zoo_weight_readers", {".safetensors": "a:b"}, "which the zoo reads itself"),
        ("zoo_weight_readers", {"/pytorch_model.bin": "a:b"}, "which the zoo reads itself"),
    ],
)
def test_places_of_another_kind_are_refused(hook: str, found: Any, problem: str) -> None:
    with pytest.raises((TypeError, ValueError), match=problem):
        places_of(hook, found)


def guest(distribution: str, **doors: Any) -> Plugin:
    return Plugin(distribution=distribution, version="1", name="x", module="x", **doors)


def test_of_two_readers_of_one_ending_none_is_taken() -> None:
    readers = {".gguf": "os:getcwd"}
    registry = Registry([guest("one", readers=readers), guest("two", readers=readers)])

    with pytest.raises(AmbiguousNameError, match=r"reader of '.gguf' is claimed by one and two"):
        registry.reader("model.gguf")
    assert registry.reader("model.npz") is None


def test_the_longest_ending_that_fits_reads_a_file() -> None:
    registry = Registry(
        [guest("one", readers={".npy": "os:sep"}), guest("two", readers={".v.npy": "os:getcwd"})]
    )

    found: Any = registry.reader("words.v.npy")

    assert found == (os.getcwd, "two-1")
    with pytest.raises(PluginError, match="of one 1 failed: TypeError: it is a str"):
        registry.reader("words.npy")


def test_two_entry_points_of_one_distribution_do_not_clash() -> None:
    plugins = [guest("one", targets={"a": "os:sep"}), guest("one", targets={"a": "os:sep"})]

    assert doors.owner(plugins, "targets", "a") is plugins[0]


def test_a_bare_repository_is_our_row_where_we_have_one() -> None:
    weights = WeightsSpec(source="hf:org/repo")
    rows = {"acme": toy("theirs", weights=weights), "encoder-zoo": toy("ours", weights=weights)}
    registry = Registry([guest(name, rows=(row,)) for name, row in rows.items()])

    assert registry.find("org/repo") is rows["encoder-zoo"]


def test_a_row_that_clashes_leaves_no_name_behind() -> None:
    registry = Registry()
    registry.add(toy("one"), distribution="acme")

    with pytest.raises(AmbiguousNameError, match="acme adds the name 'one' twice"):
        registry.add(toy("two", aliases=("one",)), distribution="acme")
    assert registry.names() == ["one"]


def test_a_call_that_does_not_come_back_is_left_behind() -> None:
    outcome = guarded(threading.Event().wait, seconds=0.1)

    assert isinstance(outcome.error, TimeoutError)
    assert str(outcome.error) == "it was not done after 0.1 s"


def test_calls_at_one_time_leave_stdout_as_it_was() -> None:
    before = sys.stdout
    begun, done = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        done.wait(300)

    calls = [
        threading.Thread(target=lambda: guarded(wait, seconds=300)),
        threading.Thread(target=lambda: guarded(lambda: None, seconds=300)),
    ]
    calls[0].start()
    begun.wait(300)
    calls[1].start()
    calls[1].join(0.2)
    waited = calls[1].is_alive()  # for the first, which would else take stdout for its own
    done.set()
    for call in calls:
        call.join(300)

    assert waited
    assert sys.stdout is before


def test_logging_is_put_back() -> None:
    before = logging.getLogger().level

    outcome = guarded(lambda: logging.getLogger().setLevel(before + 1), seconds=5)

    assert outcome.changed == ("logging",)
    assert logging.getLogger().level == before


def test_a_process_without_stdout_can_load_plugins() -> None:
    kept = os.dup(1)
    try:
        os.close(1)
        outcome = guarded(lambda: 3, seconds=5)
    finally:
        os.dup2(kept, 1)
        os.close(kept)

    assert outcome.value == 3
