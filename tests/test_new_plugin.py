"""`zoo plugins new`: the distribution that it writes works without a line edited."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli_tools import Zoo
from zoo.errors import OptionError
from zoo.scaffold import SUFFIX, TEMPLATE, new_plugin

ROOT = Path(__file__).parent.parent
NAME = "acme-encoder"


@pytest.fixture
def zoo(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Zoo:
    return Zoo(capsys, monkeypatch)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("new") / NAME
    new_plugin(NAME, place)
    return place


@pytest.fixture(scope="module")
def site(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which pip has installed the distribution."""
    target = tmp_path_factory.mktemp("site")
    run(sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps",
        "--no-build-isolation", "--target", target, folder)  # fmt: skip
    return target


def run(*words: object, cwd: Path | None = None, site: Path | None = None) -> str:
    path = os.environ.get("PYTHONPATH", "")
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{path}" if site else path},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_nothing_of_the_template_is_left_in_it(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]

    assert len(files) == len(list(TEMPLATE.rglob(f"*{SUFFIX}")))
    for path in files:
        assert "example" not in path.name
        assert not re.search(r"example.plugin", path.read_text()), path


def test_what_is_written_is_clean(folder: Path) -> None:
    run(sys.executable, "-m", "ruff", "check", folder, cwd=folder)
    run(sys.executable, "-m", "ruff", "format", "--check", folder, cwd=folder)


@pytest.mark.slow
def test_its_tests_pass(folder: Path, site: Path) -> None:
    out = run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=folder, site=site)

    assert "5 passed" in out


@pytest.mark.slow
def test_it_is_valid_and_its_model_exports_through_the_gate(
    folder: Path, site: Path, tmp_path: Path
) -> None:
    place = tmp_path / "bundle"
    valid = run(sys.executable, "-m", "zoo", "plugins", "validate", NAME, site=site)
    words = ("export", f"{NAME}-s8", "--weights", "random", "--out", place)
    exported = run(sys.executable, "-m", "zoo", *words, site=site)
    run(sys.executable, "-m", "zoo", "verify", place, site=site)

    assert "Nothing is wrong" in valid
    assert "parity passed" in exported


@pytest.mark.parametrize(
    ("name", "offered"),
    [
        ("Acme", "acme"),
        ("two words", "two-words"),
        ("acme_x", "acme-x"),
        ("acme--x.", "acme-x"),
        ("../acme", "acme"),
        ("a\nb", "a-b"),
        ("a" * 80, "a" * 64),
        ("1acme", "acme-encoder"),
        ("", "acme-encoder"),
        ("\xe9", "acme-encoder"),
        ("if", "acme-encoder"),
    ],
)
def test_a_name_that_cannot_be_one_is_refused_with_one_that_can(
    name: str, offered: str, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=f"cannot be the name of a distribution.*: {offered}\\.$"):
        new_plugin(name, tmp_path / "there")

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["json", "torch", "zoo-text", "reference", "encoder-zoo"])
def test_a_name_that_would_hide_or_replace_something_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"already.* Choose another name"):
        new_plugin(name, tmp_path / "there")

    assert not list(tmp_path.iterdir())


def test_a_folder_with_a_space_is_quoted_in_what_comes_next(zoo: Zoo, tmp_path: Path) -> None:
    ran = zoo("plugins", "new", NAME, "--out", tmp_path / "two words")

    assert f"Next: cd '{tmp_path / 'two words'}' && " in ran.out


def test_a_folder_that_is_there_is_left_alone(zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")

    ran = zoo("plugins", "new", NAME, "--out", tmp_path / "mine")

    assert ran.code == 1
    assert "is there already" in ran.err
    assert (tmp_path / "mine").read_text() == "precious"


def test_a_disk_that_refuses_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", refuse)

    with pytest.raises(Exception, match="space"):
        new_plugin(NAME, tmp_path / NAME)

    assert not list(tmp_path.iterdir())


def test_the_docs_show_what_is_written() -> None:
    text = (ROOT / "docs" / "plugins.md").read_text()
    blocks = re.findall(r"`([\w/.-]+)`:?\n\n```(?:python|toml)\n(.*?)```", text, flags=re.DOTALL)

    assert {Path(name).name for name, _ in blocks} >= {"plugin.py", "family.py", "net.py"}
    for name, block in blocks:
        template = (TEMPLATE / f"{name}{SUFFIX}").read_text()
        shown = block.replace("acme_encoder", "example_plugin").replace(NAME, "example-plugin")
        assert shown.strip() in template, name
