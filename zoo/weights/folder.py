"""A folder of the user's, and files inside an installed package."""

from __future__ import annotations

import base64
import csv
import os
from importlib.util import find_spec
from pathlib import Path

from zoo.errors import DiskError, RepoNotFoundError
from zoo.weights.cache import disk_errors
from zoo.weights.lock import Entry, Lock, read_lock, remember
from zoo.weights.names import checked
from zoo.weights.verify import verify

ANY = "any"  # a folder has no revisions


class FolderSource:
    """A folder. Its files are the user's: they may change, unless the row pins their sha256.

    Attributes:
        source: The folder's path, as given.
        revision: None: a folder has no commits.
    """

    revision = None

    def __init__(self, folder: str) -> None:
        self.source = folder
        self._folder = Path(folder).expanduser().absolute()
        if not self._folder.is_dir():
            raise RepoNotFoundError(f"There is no folder {folder!r} to read weights from.")
        self._lock: Lock | None = None

    def names(self) -> frozenset[str]:
        """Return the names of all files; hidden folders are left out."""
        found = []
        with disk_errors(self._folder):
            for parent, folders, files in os.walk(self._folder):
                folders[:] = [name for name in folders if not name.startswith(".")]
                found += [(Path(parent) / name).relative_to(self._folder) for name in files]
        return frozenset(path.as_posix() for path in found)

    def get(self, name: str, *, pinned: str = "", check: bool = False) -> Entry | None:
        """Return a hashed file, or None if the folder does not have it.

        Raises:
            IntegrityError: The row pins other bytes.
        """
        path = self._folder / checked(name)
        if not path.is_file():
            return None
        lock = self._lock = self._lock or read_lock(f"folder:{self._folder}", ANY)
        known = lock.files.get(name)
        if known is not None and known.path == str(path) and not check and known.holds(pinned):
            return known
        entry = self._verify(path, name, lock, pinned)
        try:
            self._lock = remember(lock, files={name: entry})
        except DiskError:
            if self._binds:
                raise  # without a memory the second load could not be held against the first
        return entry

    _binds = False

    def _verify(self, path: Path, name: str, lock: Lock, pinned: str) -> Entry:
        return verify(path, name, lock, pinned=pinned, remembered=self._binds)


class PackageSource(FolderSource):
    """Files inside an installed package, found without importing it.

    The hashes that the package's wheel carries are believed; a package installed without them must
    keep the bytes of the first load.
    """

    _binds = True

    def __init__(self, where: str) -> None:
        package, _, folder = where.partition("/")
        root = _package_folder(package)
        super().__init__(str(root / checked(folder)) if folder else str(root))
        self.source = f"package:{where}"
        self._site = root.parent

    def _verify(self, path: Path, name: str, lock: Lock, pinned: str) -> Entry:
        pinned = pinned or _recorded_sha256(self._site, path)
        return super()._verify(path, name, lock, pinned)


def _package_folder(package: str) -> Path:
    """Return the folder of an installed top-level package."""
    if not package.isidentifier():
        raise RepoNotFoundError(
            f"{package!r} is no package's import name; the source is `package:name/folder`."
        )
    found = find_spec(package)  # of a top-level name: nothing is imported
    places = [] if found is None else list(found.submodule_search_locations or ())
    if not places:
        raise RepoNotFoundError(
            f"The package {package!r}, which holds the weights, is not installed here. Install it "
            "with pip."
        )
    return Path(places[0]).absolute()


def _recorded_sha256(site: Path, path: Path) -> str:
    """Return the sha256 that the installed wheel's RECORD gives a file, or nothing."""
    wanted = path.relative_to(site).as_posix()
    with disk_errors(site):
        for record in site.glob("*.dist-info/RECORD"):
            text = record.read_text(encoding="utf-8", errors="replace")
            if wanted not in text:
                continue
            for row in csv.reader(text.splitlines()):
                if len(row) > 1 and row[0] == wanted and row[1].startswith("sha256="):
                    digest = row[1].removeprefix("sha256=")
                    return base64.urlsafe_b64decode(digest + "=" * (-len(digest) % 4)).hex()
    return ""
