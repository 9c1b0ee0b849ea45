"""Repositories of the Hub. huggingface_hub downloads; here is what it leaves open.

It is imported only when the network is needed: what is cached and locked loads without it.
"""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from zoo.errors import RepoNotFoundError, WeightsError
from zoo.weights.cache import check_space, disk_errors, exclusive, hub_cache
from zoo.weights.faults import explain_hub, offline
from zoo.weights.guard import guarded, progress_bar
from zoo.weights.lock import Entry, Lock, read_lock, remember
from zoo.weights.names import checked
from zoo.weights.retry import Fault, retried
from zoo.weights.verify import Corrupted, verify

logger = logging.getLogger(__name__)

DEFAULT_ENDPOINT = "https://huggingface.co"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_TRUE = {"1", "on", "yes", "true"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """What the Hub says about a file before it sends it."""

    commit: str
    etag: str
    size: int | None


class HubSource:
    """One repository at one commit.

    Attributes:
        source: `hf:org/repo`.
    """

    def __init__(self, repo: str, revision: str | None, *, progress: bool = False) -> None:
        self.source = f"hf:{repo}"
        self._repo = repo
        self._wanted = revision or "main"
        self._progress = progress
        self._cache = hub_cache()
        self._lock: Lock | None = None

    @cached_property
    def _endpoint(self) -> str:
        return hub_endpoint()  # what is cached loads whatever it is set to

    @property
    def revision(self) -> str:
        """The commit; asks the Hub once for a branch or tag, and remembers the answer."""
        return self._locked().revision or self._wanted

    def names(self) -> frozenset[str]:
        """Return the names of all files."""
        lock = self._locked()
        if lock.names is None:
            if is_offline():
                return self._cached_names()
            _, names = self._list(self.revision)
            lock = self._lock = remember(lock, names=names)
        assert lock.names is not None
        return lock.names

    def get(self, name: str, *, pinned: str = "", check: bool = False) -> Entry | None:
        """Return a verified file, or None if the repository does not have it.

        Args:
            name: In the repository.
            pinned: The row's sha256; empty if it knows none.
            check: Hash it even if it looks unchanged.

        Raises:
            WeightsError: It cannot be brought here, or has the wrong bytes.
        """
        checked(name)
        lock = self._locked()
        known = lock.files.get(name)
        if known is not None and not check and known.holds(pinned):
            return known
        if known is None and lock.lacks(name):
            return None
        with exclusive(lock.path.with_suffix(".busy")):
            # Another process may have fetched it while we waited.
            self._lock = read_lock(self.source, self.revision)
            return self._fetch(name, pinned, self._lock)

    def _fetch(self, name: str, pinned: str, lock: Lock) -> Entry | None:
        """Verify what is here, or bring it here."""
        here = self._here(name, lock.files.get(name))
        if here is None:
            return self._download(name, pinned)
        try:
            entry = verify(here, name, lock, pinned=pinned, etag=_blob_etag(here))
        except Corrupted:
            if is_offline():
                raise
            self._set_aside(here)
            return self._download(name, pinned)
        self._lock = remember(lock, files={name: entry})
        return entry

    def _locked(self) -> Lock:
        """Return the lock of the commit, which a branch is resolved to first."""
        if self._lock is None:
            commit = self._wanted
            names: frozenset[str] | None = None
            if _COMMIT.fullmatch(commit) is None:
                branch = read_lock(self.source, self._wanted)
                if branch.revision is None:
                    commit, names = self._resolve()
                    branch = remember(branch, revision=commit)
                commit, asked = branch.revision or commit, commit
                names = names if commit == asked else None
            lock = read_lock(self.source, commit)
            if lock.revision is None or (names is not None and lock.names is None):
                lock = remember(lock, revision=commit, names=names)
            self._lock = lock
        return self._lock

    def _resolve(self) -> tuple[str, frozenset[str] | None]:
        """Return the commit that a branch stands for, and its files if the Hub was asked."""
        if not is_offline():
            return self._list(self._wanted)
        reference = self._folder() / "refs" / self._wanted
        with disk_errors(reference):
            commit = reference.read_text().strip() if reference.is_file() else ""
        if _COMMIT.fullmatch(commit) is None:
            raise offline(f"the commit of {self._wanted!r} of {self.source}")
        return commit, None

    def _list(self, revision: str) -> tuple[str, frozenset[str]]:
        """Ask the Hub for a commit and the names of its files."""
        endpoint = self._endpoint

        def ask() -> tuple[str, frozenset[str]]:
            from huggingface_hub import HfApi, constants

            with guarded():
                info = HfApi(endpoint=endpoint).model_info(
                    self._repo, revision=revision, timeout=constants.HF_HUB_ETAG_TIMEOUT
                )
            names = frozenset(str(sibling.rfilename) for sibling in info.siblings or ())
            if not isinstance(info.sha, str) or _COMMIT.fullmatch(info.sha) is None:
                raise ValueError(f"the commit of {revision!r} is given as {info.sha!r}")
            return info.sha, names

        return retried(ask, lambda error: self._explain(error, ""))

    def _download(self, name: str, pinned: str) -> Entry | None:
        """Bring a file here; one that arrives with wrong bytes is fetched once more."""
        if is_offline():
            raise offline(f"{name} of {self.source}")
        for last in (False, True):
            lock = self._locked()
            try:
                here, head = retried(lambda: self._bring(name), lambda e: self._explain(e, name))
            except _Absent:
                self._lock = remember(lock, absent=[name])
                return None
            try:
                entry = verify(here, name, lock, pinned=pinned, etag=head.etag)
            except Corrupted:
                self._set_aside(here)
                if last:
                    raise
                logger.warning("%s of %s arrived with wrong bytes; fetching it again.", name,
                               self.source)  # fmt: skip
                continue
            self._lock = remember(lock, files={name: entry})
            return entry
        raise AssertionError("the last attempt returns or raises")

    def _bring(self, name: str) -> tuple[Path, _Head]:
        """Ask about a file, then have huggingface_hub put it into its cache."""
        endpoint = self._endpoint  # first: huggingface_hub cannot be imported with a bad one
        from huggingface_hub import constants, hf_hub_download
        from huggingface_hub.errors import RemoteEntryNotFoundError

        commit = self.revision
        try:
            with guarded():
                head = self._head(name, commit)
        except RemoteEntryNotFoundError as error:
            raise _Absent(f"{self.source} has no file {name!r} at {commit}.") from error
        check_space(self._cache, head.size, name)
        with guarded():
            path = hf_hub_download(
                self._repo,
                name,
                revision=commit,
                cache_dir=self._cache,
                endpoint=endpoint,
                etag_timeout=constants.HF_HUB_ETAG_TIMEOUT,
                tqdm_class=progress_bar(self._progress),
            )
        return Path(path), head

    def _head(self, name: str, commit: str) -> _Head:
        from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url

        url = hf_hub_url(self._repo, name, revision=commit, endpoint=self._endpoint)
        found = get_hf_file_metadata(
            url, timeout=constants.HF_HUB_ETAG_TIMEOUT, endpoint=self._endpoint
        )
        if found.commit_hash != commit:
            raise ValueError(f"asked for commit {commit}, the answer is for {found.commit_hash!r}")
        if not found.etag:
            raise ValueError("the answer has no ETag")
        return _Head(commit=commit, etag=found.etag, size=found.size)

    def _explain(self, error: Exception, name: str) -> Fault:
        return explain_hub(error, endpoint=self._endpoint, repo=self._repo, name=name,
                           revision=self._wanted, cache=self._cache)  # fmt: skip

    def _folder(self) -> Path:
        return self._cache / ("models--" + self._repo.replace("/", "--"))

    def _here(self, name: str, known: Entry | None) -> Path | None:
        """Return where the file was last seen, or where huggingface_hub keeps it."""
        places = [self._folder() / "snapshots" / self.revision / name]
        if known is not None:
            places.insert(0, Path(known.path))
        return next((path for path in places if path.is_file()), None)

    def _cached_names(self) -> frozenset[str]:
        folder = self._folder() / "snapshots" / self.revision
        if not folder.is_dir():
            raise offline(f"the list of files of {self.source}")
        return frozenset(
            path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
        )

    def _set_aside(self, path: Path) -> None:
        """Rename a file whose bytes are wrong, so that nothing takes it for the right one."""
        with disk_errors(path):
            blob = path.resolve()
            aside = blob.with_name(f"{blob.name}.corrupt")
            logger.warning("%s has wrong bytes; it is kept as %s.", blob, aside)
            os.replace(blob, aside)
            if path.is_symlink():
                path.unlink()


class _Absent(RepoNotFoundError):
    """The commit has no such file: an answer, not a fault."""


def _blob_etag(path: Path) -> str:
    """Return the etag under which huggingface_hub filed a file: what its symlink points to."""
    blob = Path(os.readlink(path)) if path.is_symlink() else path
    return blob.name if blob.parent.name == "blobs" else ""


def hub_endpoint() -> str:
    """Return the Hub's address.

    Raises:
        WeightsError: HF_ENDPOINT is none.
    """
    value = os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT
    try:
        address = urlsplit(value)
        good = address.scheme in ("http", "https") and address.hostname and address.port != 0
    except ValueError:  # a port that is none
        good = False
    if not good or " " in value:
        raise WeightsError(
            f"HF_ENDPOINT={value!r} is not the address of a Hub. It must look like "
            f"{DEFAULT_ENDPOINT} or http://localhost:8080; unset, it is {DEFAULT_ENDPOINT}."
        )
    return value.rstrip("/")


def is_offline() -> bool:
    """Whether the user has switched the network off."""
    value = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return value.lower() in _TRUE
