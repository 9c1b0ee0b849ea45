"""Bundles that `zoo.load(name, backend=...)` made, found again by what they were made of.

No torch, unless there is something to export.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.bundle import open_bundle
from zoo.errors import BundleError
from zoo.manifest import Precision
from zoo.records import to_plain
from zoo.spec import ModelSpec
from zoo.targets import EngineOptions
from zoo.weights.cache import cache_root, exclusive
from zoo_export.binding import bind
from zoo_export.parity.profile import default_profile
from zoo_export.provenance import OPSET, origin_of, toolchain

if TYPE_CHECKING:
    from zoo_export.targets import ExportTarget


def bundle(
    row: ModelSpec,
    *,
    target: ExportTarget,
    precision: Precision,
    weights: str | Path | None,
    seed: int,
    progress: bool,
) -> Path:
    """Return the bundle of a row at its default profile.

    A bundle of the cache that has been changed is made again.

    Args:
        row: What is exported.
        target: What shall run it, on this machine.
        precision: Of the graph.
        weights: As for `zoo.load`.
        seed: Of random weights.
        progress: Whether downloads and builds show a bar.

    Raises:
        ParityError: The graph was not proven.
        ZooError: It cannot be exported, or could not run here.
    """
    needs = target.needs()  # what could not run here shows before anything is fetched
    place = place_of(
        row, target=target.name, needs=needs, precision=precision, weights=weights, seed=seed
    )
    with exclusive(place.with_name(place.name + ".lock")):
        if place.exists():
            try:
                open_bundle(place)
            except BundleError:
                shutil.rmtree(place)
            else:
                return place
        from zoo_export.build import build_bundle  # brings in torch

        return build_bundle(
            row,
            place,
            profile=default_profile(row),
            precision=precision,
            target=target,
            options=EngineOptions(here=True, progress=progress),
            weights=weights,
            seed=seed,
            progress=progress,
        ).path


def place_of(
    row: ModelSpec,
    *,
    target: str,
    needs: Mapping[str, str],
    precision: Precision,
    weights: str | Path | None,
    seed: int,
) -> Path:
    """Return where the bundle of a row is kept: its name tells all that it is made of.

    Args:
        row: What is exported.
        target: Name of what runs it.
        needs: Versions and devices that it is made for.
        precision: Of the graph.
        weights: As for `zoo.load`.
        seed: Of random weights.

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
        "target": target,
        "needs": dict(needs),
        "precision": precision,
        "toolchain": toolchain(),
    }
    digest = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", row.name).strip("-.")[-60:]
    return cache_root() / "bundles" / f"{readable}-{digest[:16]}"
