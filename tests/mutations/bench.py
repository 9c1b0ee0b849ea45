"""References to judge mutants by, made once a row."""

from __future__ import annotations

from functools import cache

import torch
from torch import nn

from tests.tiny_rows import tiny_row
from zoo.loading import random_module
from zoo.preprocess import preprocessor_for
from zoo.spec import Dim, ImagePreprocess, ModelSpec
from zoo_export.outputs import named_outputs
from zoo_export.parity import Profile, Range, default_profile, prepare
from zoo_export.parity.cases import collate, lattice
from zoo_export.parity.eager import forward
from zoo_export.parity.reference import Reference


def wide_profile(row: ModelSpec) -> Profile:
    """Return a profile of several image sizes; the default one for texts."""
    if not isinstance(row.preprocess, ImagePreprocess):
        return default_profile(row)
    dims = [size for size in row.inputs[0].shape if isinstance(size, Dim)]
    ranges = {
        dim.name: Range(min=dim.min, typical=dim.typical, max=dim.max, multiple=dim.multiple)
        for dim in dims[1:]
    }
    return Profile(ranges={"batch": Range(min=1, typical=4, max=6), **ranges})


def float_outputs(row: ModelSpec, module: nn.Module) -> tuple[str, ...]:
    """Return the names of what a network gives, without its mask."""
    samples = lattice(row, default_profile(row), None, thorough=False).samples
    encoded = forward(row, module, collate(row, samples[:1], samples[0].sizes), torch.float32)
    return tuple(name for name in named_outputs(encoded) if name != "mask")


@cache
def reference(name: str, seed: int = 0) -> Reference:
    """Return the oracle and yardstick of a tiny row with live weights, over a wide profile."""
    row = tiny_row(name)
    module = random_module(row, seed=seed)
    return prepare(
        row,
        module,
        profile=wide_profile(row),
        outputs=float_outputs(row, module),
        preprocessor=preprocessor_for(row),
    )
