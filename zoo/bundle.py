"""A bundle: one folder that holds an exported encoder and all that running it takes. No torch.

    manifest.json        what it is and what every file's bytes must be
    model.onnx           the graph, with pooling, projection and norm inside; beyond 2 GB its
                         weights lie beside it in model.onnx.data
    tokenizer.json       for text
    golden.safetensors   a few inputs and the outputs that the network gives for them in float64
    parity.json          how it was proven
    scopes.json          node of the graph to the module that it came from
    README.md            for people

It is opened only if every byte is what the manifest says, and the manifest is what it was when it
was written. That finds damage and edits by mistake; whoever means harm can write all hashes anew.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zoo.errors import BundleError, FormatError
from zoo.manifest import FileFacts, Manifest
from zoo.records import from_plain, to_plain
from zoo.weights.cache import disk_errors
from zoo.weights.jsonfile import read_json
from zoo.weights.lock import hash_file
from zoo.weights.names import checked

SCHEMA = 3
MANIFEST = "manifest.json"
MODEL = "model.onnx"
TOKENIZER = "tokenizer.json"
GOLDEN = "golden.safetensors"
PARITY = "parity.json"
SCOPES = "scopes.json"
README = "README.md"

_FORMAT = "zoo-bundle"
_SEALED = 3  # the first schema whose manifest holds the hash of what it says itself
_ADVICE = "Copy the bundle again from where it was made, or make it anew with `zoo export`."


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle whose bytes have been checked.

    Attributes:
        path: Its folder.
        manifest: What it says of itself.
    """

    path: Path
    manifest: Manifest

    def file(self, name: str) -> Path | None:
        """Return the path of a file, or None if the bundle has none of that name."""
        return self.path / name if name in self.manifest.files else None


def is_bundle(path: str | Path) -> bool:
    """Say whether a folder is to be read as a bundle; whether it is a sound one, opening says."""
    return os.path.isfile(os.path.join(os.path.expanduser(path), MANIFEST))  # it bears any name


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Hash all files of a folder and write the manifest last; returns it with its files."""
    with disk_errors(folder):
        files = {
            path.name: FileFacts(sha256=hash_file(path)[0], size=path.stat().st_size)
            for path in sorted(folder.iterdir())
            if path.name != MANIFEST
        }
        manifest = replace(manifest, files=files)
        value = {"format": _FORMAT, "schema": SCHEMA, **to_plain(manifest)}
        text = json.dumps(sealed(value), indent=1, ensure_ascii=False)
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return manifest


def sealed(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a manifest as JSON with the hash of all that it says, however it is laid out."""
    rest = {name: field for name, field in value.items() if name != "sha256"}
    text = json.dumps(rest, sort_keys=True)
    return {**rest, "sha256": hashlib.sha256(text.encode()).hexdigest()}


def open_bundle(path: str | Path) -> Bundle:
    """Open a bundle, reading and hashing all of it.

    Raises:
        BundleError: It is none, it is newer than this version, a file has changed, is missing or
            does not belong to it, or its export was not proven.
    """
    with opening_bundle(path) as bundle:
        pass
    return bundle


@contextmanager
def opening_bundle(path: str | Path) -> Iterator[Bundle]:
    """Yield a bundle whose files are hashed while the block runs; it ends when both are done.

    Nothing of the block is to be used before it ends. If a file has changed, that is the error, and
    not what the block made of it.

    Raises:
        BundleError: As `open_bundle`.
    """
    path = Path(os.path.expanduser(path))
    manifest = _looked_over(path)
    with ThreadPoolExecutor(1, thread_name_prefix="zoo-hash") as hasher:
        hashing = hasher.submit(_check_hashes, path, manifest)
        try:
            yield Bundle(path=path, manifest=manifest)
        finally:
            hashing.result()


def damage(path: Path) -> str | None:
    """Return what is wrong with a bundle as far as names and sizes of its files show it."""
    try:
        _looked_over(path)
    except BundleError as error:
        return str(error)
    return None


def _looked_over(path: Path) -> Manifest:
    """Return the manifest of a bundle that was proven and has all its files, not hashed yet."""
    manifest = read_manifest(path)
    if manifest.verdict.outcome != "passed":
        raise BundleError(
            f"{path} was not proven equal to the network ({manifest.verdict.line}), so it is not "
            f"run. Its {PARITY} says more."
        )
    _check_names(path, manifest)
    return manifest


def read_whole(path: Path) -> Manifest:
    """Return the manifest of a bundle all of whose files are as they were written, proven or not.

    Raises:
        BundleError: As `open_bundle`, but that its verdict does not matter.
    """
    manifest = read_manifest(path)
    _check_names(path, manifest)
    _check_hashes(path, manifest)
    return manifest


def read_manifest(path: Path) -> Manifest:
    """Return a bundle's manifest; the files are not looked at.

    Raises:
        BundleError: There is none, it is damaged, or it is newer than this version.
    """
    with disk_errors(path):
        there = is_bundle(path)
    if not there:
        raise BundleError(f"{path} is no bundle: it has no {MANIFEST}. Make one with `zoo export`.")
    try:
        value = read_json(path / MANIFEST, MANIFEST, unique=True)
        if not isinstance(value, dict) or value.get("format") != _FORMAT:
            raise FormatError(f"{MANIFEST} is not that of a bundle.")
        schema = value.get("schema")
        if type(schema) is not int:
            raise FormatError(f"{MANIFEST} does not say its schema.")
        if schema > SCHEMA:
            raise BundleError(
                f"{path} was written by a newer encoder-zoo (schema {schema}; this one reads up to "
                f"{SCHEMA}). Update it: python -m pip install --upgrade encoder-zoo"
            )
        if schema >= _SEALED and value.pop("sha256", None) != sealed(value)["sha256"]:
            raise BundleError(
                f"{path / MANIFEST} has been changed or damaged: it does not say what its sha256 "
                f"was made of. {_ADVICE}"
            )
        del value["format"], value["schema"]
        manifest = from_plain(Manifest, value, MANIFEST)
        for name in manifest.files:
            if checked(name) != Path(name).name or name == MANIFEST:
                raise FormatError(f"{name!r} is no plain name of a file of a bundle.")
        recipe = manifest.facts.recipe_sha256()
    except FormatError as error:
        raise BundleError(f"{path} cannot be opened: {error}") from error
    except RecursionError as error:
        raise BundleError(f"{path} cannot be opened: {MANIFEST} is nested too deeply.") from error
    if recipe != manifest.recipe_sha256:
        raise BundleError(f"{path} has been changed: its recipe is not the one that was hashed.")
    return manifest


def _check_names(path: Path, manifest: Manifest) -> None:
    """Refuse a folder that lacks a file, has one too many, or one of another size."""
    with disk_errors(path):
        found = {entry.name for entry in path.iterdir() if not entry.name.startswith(".")}
        for name, facts in manifest.files.items():
            file = path / name
            if not file.is_file():
                raise BundleError(f"{path} is not complete: {name} is missing. {_ADVICE}")
            size = file.stat().st_size
            if size != facts.size:
                raise BundleError(
                    f"{file} has been changed or damaged: it has {size} bytes, not {facts.size}. "
                    f"{_ADVICE}"
                )
    extra = sorted(found - {MANIFEST, *manifest.files})
    if extra:
        raise BundleError(
            f"{path} holds {', '.join(extra[:5])}, which its manifest does not name. Move it away."
        )


def _check_hashes(path: Path, manifest: Manifest) -> None:
    """Refuse a folder with a changed file."""
    for name, facts in manifest.files.items():
        if hash_file(path / name)[0] != facts.sha256:
            raise BundleError(
                f"{path / name} has been changed or damaged: its sha256 is not that of the "
                f"manifest. {_ADVICE}"
            )
