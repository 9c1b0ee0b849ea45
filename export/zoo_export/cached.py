"""Bundles that `zoo.load(name, backend="onnx")` made, found again by what they were made of.

No torch, unless there is something to export.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

from zoo.bundle import open_bundle
from zoo.errors import BundleError
from zoo.records import to_plain
from zoo.spec import ModelSpec
from zoo.weights.cache import cache_root, exclusive
from zoo_export.binding import bind
from zoo_export.parity.profile import default_profile
from zoo_export.provenance import OPSET, origin_of, toolchain


def bundle(row: ModelSpec, *, weights: str | Path | None, seed: int, progress: bool) -> Path:
    """Return the bundle of a row at its default profile; a `zoo.hookspecs.MakeBundle`.

    A bundle of the cache that has been changed is made again.

    Raises:
        ParityError: The graph was not proven.
        ZooError: It cannot be exported.
    """
    place = place_of(row, weights=weights, seed=seed)
    with exclusive(place.with_name(place.name + ".lock")):
        if place.exists():
            try:
                open_bundle(place)
            except BundleError:
                shutil.rmtree(place)
            else:
                return place
        from zoo_export.build import build_bundle  # brings in torch

        profile = default_profile(row)
        return build_bundle(
            row, place, profile=profile, weights=weights, seed=seed, progress=progress
        ).path


def place_of(row: ModelSpec, *, weights: str | Path | None, seed: int) -> Path:
    """Return where the bundle of a row is kept: its name tells all that it is made of.

    Raises:
        WeightsError: The weights cannot be fetched or verified.
    """
    bound = bind(row, default_profile(row))
    made_of = {
        "weights": to_plain(origin_of(row, weights, seed)),
        "config": to_plain(row.config),
        "inputs": to_plain(bound.inputs),
        "preprocess": to_plain(bound.preprocess),
        "outputs": list(row.outputs),
        "opset": OPSET,
        "toolchain": toolchain(),
    }
    digest = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", row.name).strip("-.")[-60:]
    return cache_root() / "bundles" / f"{readable}-{digest[:16]}"
