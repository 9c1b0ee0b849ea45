"""Wheels of tiny plugin distributions, and pip to install them."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

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


def install(wheels: list[Path], target: Path) -> None:
    """Install wheels into a folder, as pip does."""
    words = ["install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
    subprocess.run(
        [sys.executable, "-m", "pip", *words, "--target", str(target), *wheels],
        check=True,
        timeout=300,
    )
