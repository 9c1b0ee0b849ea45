"""Which independent library a row is held against, and how far apart both are: for coverage runs.

A function a kind of network, registered by the families that it speaks for. Each builds a tiny
version with every feature of the row, writes the library's own file, loads that and compares.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch

import tests.torchvision_operators  # noqa: F401  before timm and transformers
from zoo.spec import ModelSpec

Errors = Callable[[ModelSpec, Path, torch.dtype], float]


class NoReferenceError(Exception):
    """No library computes the same; the words say what holds instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What two libraries make of the same weights and inputs.

    Attributes:
        library: Its name and version.
        errors: Dtype to the largest relative error of an output.
    """

    library: str
    errors: dict[str, float]


_KINDS: dict[str, tuple[str, Errors]] = {}


def compares(library: str, *families: str) -> Callable[[Errors], Errors]:
    """Register a comparison with a library for families, or for `family/layout` of the files."""

    def register(function: Errors) -> Errors:
        _KINDS.update(dict.fromkeys(families, (library, function)))
        return function

    return register


def comparison_of(row: ModelSpec) -> tuple[str, Errors] | None:
    """Return the library and the function that speak for a row, if there are any."""
    family = row.family.name
    return _KINDS.get(f"{family}/{row.weights.layout}", _KINDS.get(family))


def compare(row: ModelSpec) -> Comparison | None:
    """Return what the comparison of a row gives; None if there is none for its family.

    Raises:
        NoReferenceError: No library computes the same.
    """
    found = comparison_of(row)
    if found is None:
        return None
    library, function = found
    errors = {}
    for dtype in (torch.float64, torch.float32):
        with tempfile.TemporaryDirectory() as folder, torch.no_grad():
            errors[str(dtype).removeprefix("torch.")] = function(row, Path(folder), dtype)
    return Comparison(library=f"{library} {version(library)}", errors=errors)
