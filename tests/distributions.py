"""Wheels of tiny plugin distributions, pip to install them, and `zoo` beside them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

ROW = """
from dataclasses import dataclass, replace
from zoo import hookimpl
from zoo.spec import BATCH, NO_WEIGHTS, Family, TensorSpec

@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    dim: int = 4
    pooling: str = "mean"
    normalize: bool = False
    def build(self):
        import torch
        return torch.nn.Identity()
    def tiny(self):
        return replace(self, dim=2)

FAMILY = Family(name="guest", title="Guests", year=2020, objective="none", license="mit",
                modality="image")

def row(name):
    return FAMILY.model(
        name, config=Config(), weights=NO_WEIGHTS, preprocess=None, params=0,
        inputs=(TensorSpec(name="pixels", dtype="float32", shape=(BATCH, 3, 8, 8)),))
"""


def models(*names: str) -> str:
    """Return the code of a plugin with these rows."""
    rows = ", ".join(f"row({name!r})" for name in names)
    return f"{ROW}\n@hookimpl\ndef zoo_models():\n    return [{rows}]\n"


def hook(name: str, value: str, before: str = "") -> str:
    """Return the code of a plugin with one hook.

    Args:
        name: Of the hook.
        value: What it returns, as code.
        before: Code that stands before it.
    """
    asked = "files" if name == "zoo_checkpoint" else ""
    return f"""
from zoo import hookimpl
{before}
@hookimpl
def {name}({asked}):
    return {value}
"""


class Ran(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def names(self) -> set[str]:
        """Names in what `zoo list --json` printed."""
        return {row["name"] for row in json.loads(self.out)}


def zoo(site: Path, *words: str, plugins: str, seconds: float = 30, cwd: Path | None = None) -> Ran:
    """Run `zoo` in a process of its own.

    Args:
        site: Where distributions have been installed.
        words: After `zoo`.
        plugins: That are loaded, and no other.
        seconds: That each may take.
        cwd: Where it runs.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": str(site),
        "ZOO_PLUGINS": plugins,
        "ZOO_PLUGIN_SECONDS": str(seconds),
    }
    done = subprocess.run(
        [sys.executable, "-m", "zoo", *words],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def wheel(folder: Path, distribution: str, code: str | None, *, entry: str = "") -> Path:
    """Write the wheel of a distribution with one module and one entry point.

    Args:
        folder: Where it is written.
        distribution: Its name; the module is called the same with underscores.
        code: Of the module; None leaves it out.
        entry: What the entry point names, if not the module.
    """
    module = distribution.replace("-", "_")
    info = f"{module}-1.0.dist-info"
    files = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[zoo]\n{distribution} = {entry or module}\n",
    }
    if code is not None:
        files[f"{module}.py"] = code
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD"))
    path = folder / f"{module}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def installed(folders: pytest.TempPathFactory, codes: Mapping[str, str | None]) -> Path:
    """Return a folder in which pip has installed distributions, by the code of their modules."""
    folder, target = folders.mktemp("wheels"), folders.mktemp("site")
    install([wheel(folder, name, code) for name, code in codes.items()], target)
    return target


def install(wheels: list[Path], target: Path) -> None:
    """Install wheels into a folder, as pip does."""
    words = ["install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
    subprocess.run(
        [sys.executable, "-m", "pip", *words, "--target", str(target), *wheels],
        check=True,
        timeout=300,
    )
