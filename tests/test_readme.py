"""README says what is so: its commands, its Python and its lists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest

import zoo
from tests.hub import Hub
from tests.minilm import minilm as minilm
from zoo.cli import cli

HERE = Path(__file__).parent.parent
README = (HERE / "README.md").read_text()
PARITY = (HERE / "docs" / "parity.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_it_begins_with_exactly_two_commands() -> None:
    assert blocks("sh")[0].splitlines() == [
        'python -m pip install -c constraints.txt -e ".[demo]" && zoo demo',
        'python -m pip install -c constraints.txt -e ".[dev]" && python -m pytest',
    ]


@pytest.mark.parametrize("line", blocks("sh")[1].splitlines())
def test_every_command_line_parses(line: str) -> None:
    program, name, *words = shlex.split(line)
    assert program == "zoo"
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    context = command.make_context(name, words, resilient_parsing=False)
    if "name" in context.params:
        assert zoo.resolve(context.params["name"])
    if name == "list":
        assert zoo.list(context.params["pattern"], license=context.params["license_"])


def test_it_names_every_family() -> None:
    table = README.partition("| encodes | families |")[2].partition("| runs on |")[0]
    assert set(re.findall(r"`([\w.-]+)`", table)) == {row.family.name for row in zoo.list()}


def test_it_counts_what_is_here() -> None:
    families = {row.family.name for row in zoo.list()}
    assert f"{len(zoo.list())} checkpoints of {len(families)} families" in README


def test_it_counts_the_injected_bugs() -> None:
    total = re.search(r"^\| all \| (\d+) \| (\d+) .* (\d+) / \d+ \|$", PARITY, flags=re.MULTILINE)
    assert total is not None
    pairs, refused, seen_by_cosine = map(int, total.groups())
    assert refused == pairs
    assert f"refuses all of {pairs} injected bugs" in README
    assert f"lets {pairs - seen_by_cosine} of them pass" in README


def test_its_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)", README)
    assert links
    assert [link for link in links if not (HERE / link).exists()] == []


@pytest.mark.weights
def test_its_python_works(
    hub: Hub, minilm: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = zoo.resolve("all-minilm-l6-v2")[0].weights
    files = {name: (minilm / name).read_bytes() for name in ("model.safetensors", "tokenizer.json")}
    assert weights.repo is not None
    assert weights.revision is not None
    hub.add_repo(weights.repo, files, commit=weights.revision)
    found: dict[str, Any] = {}

    exec(compile(blocks("python")[0], "README.md", "exec"), found)

    assert found["vectors"].shape == (2, 384)
    assert float(found["vectors"][0] @ found["vectors"][1]) == pytest.approx(0.404559, abs=2e-6)
    assert "(6, 3780)" in capsys.readouterr().out
