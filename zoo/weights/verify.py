"""Hold a file against every hash that is known for it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from zoo.errors import FormatError, IntegrityError
from zoo.weights.cache import disk_errors
from zoo.weights.lock import Entry, Lock, hash_file

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHA1 = re.compile(r"[0-9a-f]{40}")
_HUB = "the Hub announced"
_FIRST = "the first load remembered"
_PIN = re.compile(r"[0-9a-fA-F]{8,64}")


class Corrupted(IntegrityError):
    """The bytes are not what the source holds, as far as is known: fetching anew can help."""


def verify(
    path: Path, name: str, lock: Lock, *, pinned: str = "", etag: str = "", remembered: bool = True
) -> Entry:
    """Hash a file and compare it with what is known.

    Args:
        path: The file.
        name: Its name at the source.
        lock: What was remembered of it.
        pinned: The row's sha256, or its first digits; empty if the row knows none.
        etag: The Hub's: a sha256 for large files, a git blob's sha1 for small ones; others prove
            nothing and are ignored.
        remembered: Whether the lock's hash binds; it does not for a folder, whose files are the
            user's to change.

    Raises:
        Corrupted: The bytes are not the Hub's, or nobody says that they are.
        IntegrityError: They are the Hub's, but not those of the row or of the first load.
    """
    with disk_errors(path):
        # Before reading: what changes meanwhile is then hashed again at the next load.
        status = os.stat(path)
    git = _SHA1.fullmatch(etag) is not None
    sha256, sha1 = hash_file(path, git=git)
    if git and etag != sha1:
        raise Corrupted(_explain(path, name, lock, f"git {etag}", f"git {sha1}", _HUB))
    if _SHA256.fullmatch(etag) and etag != sha256:
        raise Corrupted(_explain(path, name, lock, etag, sha256, _HUB))
    proven = git or _SHA256.fullmatch(etag) is not None
    mismatch = IntegrityError if proven else Corrupted
    before = lock.files.get(name)
    if pinned and not matches(sha256, pinned):
        raise mismatch(_explain(path, name, lock, pinned, sha256, "the model's row expects"))
    if not pinned and remembered and before is not None and before.sha256 != sha256:
        raise mismatch(_explain(path, name, lock, before.sha256, sha256, _FIRST))
    return Entry(
        path=str(path),
        sha256=sha256,
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        inode=status.st_ino,
    )


def matches(sha256: str, pinned: str) -> bool:
    """Whether a hash begins with a pinned one, which may be cut short.

    Raises:
        FormatError: What is pinned is no hash.
    """
    if _PIN.fullmatch(pinned) is None:
        raise FormatError(
            f"{pinned!r} is no sha256. The row needs 64 hex digits, or at least the first 8."
        )
    return sha256.startswith(pinned.lower())


def _explain(path: Path, name: str, lock: Lock, expected: str, found: str, who: str) -> str:
    revision = f" at {lock.revision}" if lock.revision else ""
    return (
        f"{name} of {lock.source}{revision} has other bytes than {who}: expected {expected}, found "
        f"{found} in {path}. Do not use the file. If you changed it yourself, put the original "
        f"back; else delete it and run `zoo pull` again. If the source was changed on purpose, "
        f"delete {lock.path} and correct the row's sha256."
    )
