"""Tiny bundles, exported once for all tests of a run, and what the tests do to them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tiny_rows import tiny_row
from zoo import samples
from zoo.bundle import MANIFEST, sealed
from zoo.spec import AudioPreprocess, ModelSpec, TextPreprocess, WordPreprocess
from zoo.weights.cache import exclusive
from zoo_export.build import build_bundle
from zoo_export.parity import default_profile

BundleOf = Callable[[str], Path]


@pytest.fixture(scope="session")
def bundle_of(tmp_path_factory: pytest.TempPathFactory) -> BundleOf:
    """Return the bundle of a tiny row with random weights; all workers of a run share them."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    root = root / "bundles"

    def make(name: str) -> Path:
        place = root / name
        with exclusive(root / f"{name}.lock"):
            if not place.exists():
                row = tiny_row(name)
                build_bundle(row, place, profile=default_profile(row), weights="random")
        return place

    return make


@pytest.fixture
def minilm(bundle_of: BundleOf, tmp_path: Path) -> Path:
    """Return a copy of a text encoder's bundle, to be harmed."""
    return Path(shutil.copytree(bundle_of("all-minilm-l6-v2"), tmp_path / "minilm"))


def items_of(row: ModelSpec, number: int) -> list[Any]:
    """Return raw items: bundled photographs, sounds, or sentences of several lengths."""
    if isinstance(row.preprocess, AudioPreprocess):
        return [samples.sounds()[index % 2] for index in range(number)]
    if isinstance(row.preprocess, TextPreprocess | WordPreprocess):
        return [text[: 3 + 5 * index] for index, text in enumerate(samples.texts()[:number])]
    return list(samples.images()[:number])


def change_manifest(bundle: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Rewrite a bundle's manifest as if it had been written so."""
    path = bundle / MANIFEST
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(sealed(value)))


def rehash(bundle: Path, name: str) -> None:
    """Make the manifest believe in a file as it now is."""
    data = (bundle / name).read_bytes()

    def change(value: dict[str, Any]) -> None:
        value["files"][name].update(sha256=hashlib.sha256(data).hexdigest(), size=len(data))

    change_manifest(bundle, change)
