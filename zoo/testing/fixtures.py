"""Fixtures for pytest: `pytest_plugins = ["zoo.testing.fixtures"]` in a conftest.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from zoo.registry import default_registry


@pytest.fixture
def zoo_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache folder that the zoo uses instead of the user's."""
    folder = tmp_path / "zoo-cache"
    monkeypatch.setenv("ZOO_CACHE", str(folder))
    return folder


@pytest.fixture
def fresh_registry() -> Iterator[None]:
    """Look for plugins anew before the test and after it."""
    default_registry.cache_clear()
    yield
    default_registry.cache_clear()
