"""Make a bundle's engine anew for the machine at hand; the graph and its proof stay. No torch."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

from zoo.bundle import MANIFEST, Bundle, open_bundle, write_manifest
from zoo.errors import BundleError, OptionError
from zoo.new_bundle import new_bundle
from zoo.targets import EngineOptions, Target, target_of
from zoo.weights.cache import cache_root, disk_errors, exclusive


def rebuilt(bundle: Bundle, device: str | None = None) -> Bundle:
    """Return a bundle of the cache with an engine that was built on this machine.

    It is built once for a bundle, a device and its versions.

    Args:
        bundle: That is open; it is left as it is.
        device: As for `zoo.open`.

    Raises:
        OptionError: The bundle has no engine, or none can be built here.
        ExportError: The runtime refuses the graph.
        MissingExtraError: The runtime is not installed.
    """
    manifest = bundle.manifest
    if manifest.engine is None:
        raise OptionError(
            f"{bundle.path} has no engine to be built again; its graph runs as it is."
        )
    target = target_of(manifest.engine.target)
    made_of = (bundle.path / MANIFEST).read_bytes()
    made_of += target.identity(manifest.engine, device).encode()
    place = cache_root() / "engines" / hashlib.sha256(made_of).hexdigest()[:32]
    with exclusive(place.with_name(place.name + ".lock")):
        if place.exists():
            try:
                return open_bundle(place)
            except BundleError:
                shutil.rmtree(place)
        add_engine(bundle, place, target, EngineOptions(here=True))
    return open_bundle(place)


def add_engine(bundle: Bundle, place: Path, target: Target, options: EngineOptions) -> None:
    """Write a bundle of the same graph with an engine beside it, in place of the one it may have.

    Args:
        bundle: That is open; it is left as it is.
        place: Of the new bundle; there is none yet.
        target: That builds the engine.
        options: What is asked of it.

    Raises:
        OptionError: None can be built here.
        ExportError: The runtime refuses the graph.
        MissingExtraError: The runtime is not installed.
    """
    manifest = bundle.manifest
    old = manifest.engine.file if manifest.engine is not None else None
    with new_bundle(place) as folder, disk_errors(folder):
        for name in manifest.files:
            if name != old:
                shutil.copyfile(bundle.path / name, folder / name)
        engine = target.build(folder, manifest, options)
        write_manifest(folder, replace(manifest, engine=engine))
