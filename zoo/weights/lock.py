"""What was fetched before: one small JSON file for each source and revision.

An entry remembers a file's sha256 and the size, time and inode that it had when it was hashed;
while these stay the same, the file need not be read again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from zoo.errors import FormatError
from zoo.frozen import FrozenMap
from zoo.weights.cache import cache_root, disk_errors, exclusive, write_whole

VERSION = 1
_CHUNK = 1 << 20  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file that was verified.

    Attributes:
        path: Where it lay.
        sha256: 64 hex digits.
        size: Bytes, when it was hashed.
        mtime_ns: Modification time, nanoseconds, when it was hashed.
        inode: When it was hashed.
    """

    path: str
    sha256: str
    size: int
    mtime_ns: int
    inode: int

    def unchanged(self) -> bool:
        """Whether the file is there and looks as it did when it was hashed."""
        try:
            status = os.stat(self.path)
        except OSError:
            return False
        return (status.st_size, status.st_mtime_ns, status.st_ino) == (
            self.size,
            self.mtime_ns,
            self.inode,
        )

    def holds(self, pinned: str) -> bool:
        """Whether the file is unchanged and is the one that the row's sha256 asks for."""
        return self.sha256.startswith(pinned.lower()) and self.unchanged()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """What is remembered of one source at one revision.

    Attributes:
        path: The JSON file.
        source: As in WeightsSpec.
        revision: The commit that a branch stood for, or None where there are no commits.
        files: Name to what was verified.
        absent: Names that the source is known not to have.
        names: All names in the repository, if they were asked for.
    """

    path: Path
    source: str
    revision: str | None = None
    files: Mapping[str, Entry] = FrozenMap()
    absent: frozenset[str] = frozenset()
    names: frozenset[str] | None = None

    def lacks(self, name: str) -> bool:
        """Whether the source is known not to have a file."""
        return name in self.absent or (self.names is not None and name not in self.names)


def lock_path(source: str, revision: str) -> Path:
    """Return where the lock of a source and revision lies; readable, and never ambiguous."""
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", source).strip("-.")[-60:]
    digest = hashlib.sha256(source.encode()).hexdigest()[:12]
    version = re.sub(r"[^A-Za-z0-9]+", "-", revision)[:60]
    if version != revision:
        version += "-" + hashlib.sha256(revision.encode()).hexdigest()[:12]
    return cache_root() / "locks" / f"{readable}-{digest}" / f"{version}.json"


def read_lock(source: str, revision: str) -> Lock:
    """Return what is remembered; an empty lock if nothing is.

    Raises:
        FormatError: The lock file is damaged.
    """
    return _load(lock_path(source, revision), source)


def remember(
    lock: Lock,
    *,
    revision: str | None = None,
    files: Mapping[str, Entry] = FrozenMap(),
    absent: Iterable[str] = (),
    names: Iterable[str] | None = None,
) -> Lock:
    """Add to a lock, keeping what another process has added in the meantime.

    The first process to resolve a branch wins: a commit that is remembered is not replaced.
    """
    with exclusive(lock.path.with_suffix(".lock")):
        now = _load(lock.path, lock.source)
        merged = Lock(
            path=lock.path,
            source=lock.source,
            revision=now.revision or revision,
            files={**now.files, **files},
            absent=now.absent | frozenset(absent),
            names=now.names if names is None else frozenset(names),
        )
        write_whole(lock.path, _dump(merged))
    return merged


def hash_file(path: Path, *, git: bool = False) -> tuple[str, str]:
    """Return a file's sha256 and, if asked for, the sha1 that git gives it as a blob."""
    sha256, sha1 = hashlib.sha256(), hashlib.sha1(usedforsecurity=False)
    with disk_errors(path), path.open("rb", buffering=0) as file:
        if git:
            sha1.update(f"blob {os.fstat(file.fileno()).st_size}\0".encode())
        while block := file.read(_CHUNK):
            sha256.update(block)
            if git:
                sha1.update(block)
    return sha256.hexdigest(), sha1.hexdigest() if git else ""


def _load(path: Path, source: str) -> Lock:
    try:
        with disk_errors(path):
            data = path.read_bytes() if path.exists() else None
        return Lock(path=path, source=source) if data is None else _parse(path, source, data)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise FormatError(
            f"The lock file {path} is damaged ({error}). Delete it; the files will be verified "
            "anew at the next load."
        ) from error


def _parse(path: Path, source: str, data: bytes) -> Lock:
    value: Any = json.loads(data)
    if value["version"] != VERSION:
        raise ValueError(f"version {value['version']}, this release writes {VERSION}")
    if value["source"] != source:
        raise ValueError(f"it belongs to {value['source']}, not to {source}")
    names = value["names"]
    return Lock(
        path=path,
        source=source,
        revision=value["revision"],
        files={name: Entry(**entry) for name, entry in value["files"].items()},
        absent=frozenset(value["absent"]),
        names=None if names is None else frozenset(names),
    )


def _dump(lock: Lock) -> bytes:
    value = {
        "version": VERSION,
        "source": lock.source,
        "revision": lock.revision,
        "files": {name: asdict(entry) for name, entry in sorted(lock.files.items())},
        "absent": sorted(lock.absent),
        "names": None if lock.names is None else sorted(lock.names),
    }
    return json.dumps(value, indent=1).encode()
