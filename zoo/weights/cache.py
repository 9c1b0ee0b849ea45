"""Where files are kept, and how they are written: whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from zoo.errors import DiskError, WeightsError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

# What the operating system says when a disk, not the network, is at fault.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_PLACE = {errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}
_BROKEN = {errno.EIO, errno.EMFILE, errno.ENFILE, errno.ESTALE}


def cache_root() -> Path:
    """Return our cache folder: `ZOO_CACHE`, else `encoder-zoo` in the user's cache folder."""
    if chosen := os.environ.get("ZOO_CACHE"):
        return Path(chosen).expanduser().absolute()
    return _user_cache() / "encoder-zoo"


def hub_cache() -> Path:
    """Return the Hub's cache folder, as huggingface_hub finds it, from today's environment."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if chosen := os.environ.get(name):
            return Path(os.path.expandvars(chosen)).expanduser().absolute()
    if home := os.environ.get("HF_HOME"):
        return Path(os.path.expandvars(home)).expanduser().absolute() / "hub"
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "huggingface" / "hub"


def disk_fault(error: BaseException, path: Path) -> DiskError | None:
    """Return the DiskError that says what an operating system's error means, if it is one."""
    if not isinstance(error, OSError) or isinstance(error, (WeightsError, ConnectionError)):
        return None
    if type(error).__module__ == "ssl":  # counts its own faults with the system's numbers
        return None
    where = Path(str(error.filename)) if error.filename else path
    if where.name.startswith(f".{path.name}."):  # the name under which `path` is written
        where = path
    roots = cache_root(), hub_cache()
    ours = any(place.is_relative_to(root) for place in (where, path) for root in roots)
    other = (
        "set ZOO_CACHE (our files) or HF_HOME (the Hub's files) to another folder"
        if ours
        else "name another place"
    )
    if error.errno in _FULL:
        return DiskError(f"No space left on the disk of {where}. Free some, or {other}.")
    if error.errno in _REFUSED:
        return DiskError(
            f"{where} cannot be read or written ({error.strerror}). Change its permissions, or "
            f"{other}."
        )
    if error.errno in _NO_PLACE:
        other = other[0].upper() + other[1:]
        return DiskError(f"{where} cannot be read or written ({error.strerror}). {other}.")
    if error.errno in _BROKEN:
        return DiskError(f"The disk failed at {where} ({error.strerror}). Check it and try again.")
    return None


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what the operating system says about a file into a DiskError."""
    try:
        yield
    except WeightsError:
        raise
    except OSError as error:
        fault = disk_fault(error, path)
        if fault is None:
            fault = DiskError(f"{path} cannot be read or written: {error}.")
        raise fault from error


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a name beside `path` to write to; it becomes `path` only when the block succeeds."""
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write a small file so that readers see the old one or the new one, nothing between."""
    with whole(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file `path` against other processes; released even if this one is killed."""
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("ab")
    with handle:
        # Some network disks have no locks. Files are replaced whole there too; what two processes
        # do at once is then done twice.
        with suppress(OSError):
            if sys.platform == "win32":
                msvcrt.locking(handle.fileno(), msvcrt.LK_LOCK, 1)
            else:
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def check_space(folder: Path, size: int | None, name: str) -> None:
    """Refuse a download that cannot fit.

    Args:
        folder: Where it would be written; need not exist yet.
        size: Bytes, or None if the server did not say.
        name: Of the file, for the message.

    Raises:
        DiskError: The disk has less room than that.
    """
    if size is None:
        return
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(there).free
    if free < size:
        raise DiskError(
            f"{name} needs {size / 1e6:,.0f} MB and the disk of {folder} has {free / 1e6:,.0f} MB "
            "free. Free some, or set ZOO_CACHE (our files) or HF_HOME (the Hub's files) to a "
            "folder on another disk."
        )


def _user_cache() -> Path:
    if chosen := os.environ.get("XDG_CACHE_HOME"):
        return Path(chosen).expanduser().absolute()
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local)
    return Path("~/.cache").expanduser()
