"""The one encoder that a command names: a model, a folder with a checkpoint, or a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import zoo
from zoo.bundle import is_bundle, read_manifest
from zoo.errors import OptionError
from zoo.spec import EncoderSpec, ModelSpec

if TYPE_CHECKING:
    from zoo.encoder import Encoder


def spec_of(name: str) -> EncoderSpec:
    """Return what is known about an encoder before it is loaded.

    Raises:
        OptionError: The name is a joint space's; the text names its towers.
    """
    return read_manifest(Path(name).expanduser()).facts if is_bundle(name) else one_row(name)


def open_model(
    name: str,
    *,
    device: str | None,
    dtype: str | None,
    weights: str | None,
    runtime: str | None,
) -> Encoder:
    """Load the model of that name, or open the bundle in that folder.

    Args:
        name: Of one encoder.
        device: Default the processor; of a bundle with an engine the first GPU.
        dtype: Default float32.
        weights: In place of the model's own.
        runtime: Of a bundle; default its engine, if it has one.

    Raises:
        OptionError: The name is a joint space's, or the option is for bundles alone or for models
            alone.
    """
    if not is_bundle(name):
        row = one_row(name)
        return load_row(row, device=device, dtype=dtype, weights=weights, runtime=runtime)
    if dtype is not None or weights is not None:
        raise OptionError(f"The bundle {name} has its own precision and weights.")
    return zoo.open(Path(name).expanduser(), device=device, runtime=runtime)


def load_row(
    row: ModelSpec,
    *,
    device: str | None,
    dtype: str | None,
    weights: str | None,
    runtime: str | None,
) -> Encoder:
    """Load a row; arguments are those of `open_model`."""
    if runtime is not None:
        raise OptionError(
            f"{row.name} is no bundle: --runtime {runtime} chooses what runs one. Make it with "
            f"`zoo export {row.name} --out DIR` and name DIR, or leave --runtime out."
        )
    loaded = zoo.load(row, device=device or "cpu", dtype=dtype or "float32", weights=weights)
    return cast("Encoder", loaded)


def one_row(name: str) -> ModelSpec:
    """Return the row of a name.

    Raises:
        OptionError: The name is a joint space's; the text names its towers.
    """
    rows = zoo.resolve(name)
    if len(rows) > 1:
        towers = ", ".join(row.name for row in rows)
        raise OptionError(f"{name!r} is a joint space of several encoders: {towers}. Name one.")
    return rows[0]
