"""The bridges are distributions of their own: installed by pip, and tested by their own tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BRIDGES = sorted(path.parent for path in (ROOT / "plugins" / "bridges").glob("*/pyproject.toml"))
# torchvision's operators, which timm wants and the CPU build lacks, as in our conftest.py
CONFTEST = (ROOT / "tests" / "torchvision_operators.py").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("bridge", BRIDGES, ids=lambda path: path.name)
def test_a_bridge_installs_and_passes_its_tests(bridge: Path, tmp_path: Path) -> None:
    site, tests = tmp_path / "site", tmp_path / "tests"
    words = ["install", "-q", "--no-index", "--no-deps", "--no-build-isolation", "--target", site]
    subprocess.run([sys.executable, "-m", "pip", *words, bridge], check=True, timeout=300)
    tests.mkdir()
    (tests / "conftest.py").write_text(CONFTEST)
    for path in (bridge / "tests").glob("test_*.py"):
        (tests / path.name).write_text(path.read_text())

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tests],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site), "ZOO_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )

    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


def test_no_bridge_is_part_of_the_main_distribution() -> None:
    import tomllib

    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = ours["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    needed = ours["project"]["dependencies"] + [
        need
        for extra, needs in ours["project"]["optional-dependencies"].items()
        if extra != "dev"
        for need in needs
    ]

    assert len(BRIDGES) == 2
    assert not any("bridges" in package for package in packages)
    assert not any(need.startswith(("timm", "sentence-transformers")) for need in needed)
