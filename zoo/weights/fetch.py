"""Choose a source's files, bring them here, verify and remember them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from zoo.errors import FormatError, OptionError, RepoNotFoundError
from zoo.frozen import FrozenMap
from zoo.spec import COMPANIONS, ModelSpec, TextPreprocess, WeightsSpec, WordPreprocess
from zoo.weights.convert import readable
from zoo.weights.folder import FolderSource, PackageSource
from zoo.weights.hub import HubSource
from zoo.weights.jsonfile import read_json
from zoo.weights.lock import Entry
from zoo.weights.names import INDEX, candidates, checked, checked_shard
from zoo.weights.readers import read_header


class Source(Protocol):
    """Where files come from."""

    source: str

    @property
    def revision(self) -> str | None:
        """The commit, where there are commits."""
        ...

    def names(self) -> frozenset[str]:
        """Return the names of all files."""
        ...

    def get(self, name: str, *, pinned: str = "", check: bool = False) -> Entry | None:
        """Return a verified file, or None if the source does not have it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """Files of one source, here and verified.

    Attributes:
        source: As in WeightsSpec.
        revision: The commit, for the Hub.
        weights: The weights file, or all shards in order; safetensors, or converted to it.
        parts: Further files, safetensors: the prefix that their keys are read under to the path.
        files: Name at the source to path.
        sha256: Name at the source to 64 hex digits.
    """

    source: str
    revision: str | None
    weights: tuple[Path, ...]
    files: Mapping[str, Path]
    sha256: Mapping[str, str]
    parts: Mapping[str, Path] = FrozenMap()

    def pinned(self, spec: WeightsSpec) -> WeightsSpec:
        """Return the spec with its revision fixed to what was fetched."""
        return replace(spec, revision=self.revision or spec.revision)


def open_source(source: str, revision: str | None = None, *, progress: bool = False) -> Source:
    """Return the source behind `hf:org/repo[@revision]`, `https:`, `package:` or a folder.

    Raises:
        OptionError: It is of no kind that is known.
        RepoNotFoundError: The folder or package is not there.
    """
    if source.startswith("hf:"):
        repo, _, at = source.removeprefix("hf:").partition("@")
        return HubSource(repo, revision or at or None, progress=progress)
    if source.startswith("https://"):
        from zoo.weights.https import HttpsSource  # brings in TLS, which no other source needs here

        return HttpsSource(source, progress=progress)
    if source.startswith("package:"):
        return PackageSource(source.removeprefix("package:"))
    if source.startswith("http:"):
        raise OptionError(
            f"{source} is not encrypted: anyone on the way could change it. Use https."
        )
    return FolderSource(source)


def local_weights(weights: WeightsSpec, path: Path) -> WeightsSpec:
    """Return the same weights, read from a folder or a file of the user's.

    A lone file may hold what the row's files hold together, as the state dict of a network does:
    further parts are read only if it is called as the row's own is and they lie beside it.

    Raises:
        OptionError: There is none.
    """
    if not path.exists():
        raise OptionError(
            f"weights={str(path)!r} is neither 'random' nor a file or folder that exists."
        )
    if path.is_dir():
        return replace(weights, source=str(path), revision=None, sha256={})
    known = path.name in {name.rpartition("/")[2] for name in weights.files}
    beside = {
        prefix: name
        for prefix, name in weights.parts.items()
        if known and (path.parent / name).is_file()
    }
    return replace(
        weights,
        source=str(path.parent),
        subfolder="",
        files=(path.name,),
        parts=beside,
        revision=None,
        sha256={},
    )


def fetch_weights(spec: WeightsSpec, *, progress: bool = False) -> Fetched:
    """Bring a row's weights here; what is cached and locked needs no network at all.

    Args:
        spec: Where they are and what their bytes must be.
        progress: Whether downloads show a bar, if stderr is a terminal.

    Raises:
        WeightsError: They cannot be fetched, verified or read.
        OptionError: The row has no weights.
    """
    return _weights(spec, _source(spec, progress), check=False)


def fetch_first(spec: WeightsSpec, names: Sequence[str], *, progress: bool = False) -> Path:
    """Return the first of these side files (`tokenizer.json`, ...) that the source has.

    A file that cannot be read without another one brings that along.

    Raises:
        RepoNotFoundError: It has none of them, or lacks the other one.
        WeightsError: The file cannot be fetched or verified.
        OptionError: The row has no weights.
    """
    source = _source(spec, progress)
    name, entry = _first(spec, source, names, check=False)
    _companion(spec, source, name, check=False)
    return Path(entry.path)


def pull(spec: ModelSpec | WeightsSpec, *, verify: bool = False, progress: bool = False) -> Fetched:
    """Bring all files here that a row needs to load.

    Args:
        spec: A row, or its weights alone.
        verify: Hash files again that look unchanged.
        progress: Whether downloads show a bar, if stderr is a terminal.

    Raises:
        WeightsError: They cannot be fetched, verified or read.
        OptionError: The row has no weights.
    """
    weights = spec.weights if isinstance(spec, ModelSpec) else spec
    source = _source(weights, progress)
    fetched = _weights(weights, source, check=verify)
    recipe = spec.preprocess if isinstance(spec, ModelSpec) else None
    if isinstance(recipe, WordPreprocess) and recipe.vocabulary:
        wanted = recipe.vocabulary
    elif isinstance(recipe, TextPreprocess):
        wanted = recipe.tokenizer
        if recipe.tokenizer_home is not None:
            weights = recipe.tokenizer_home
            source = _source(weights, progress)
    else:
        return fetched
    name, entry = _first(weights, source, wanted, check=verify)
    side = {name: entry, **_companion(weights, source, name, check=verify)}
    return replace(
        fetched,
        files=FrozenMap({**fetched.files, **_paths(side)}),
        sha256=FrozenMap({**fetched.sha256, **_hashes(side)}),
    )


def _source(spec: WeightsSpec, progress: bool) -> Source:
    if spec.source == "none":
        raise OptionError(f"There are no weights to fetch: {spec.reason or 'the row has none'}.")
    return open_source(spec.source, spec.revision, progress=progress)


def _weights(spec: WeightsSpec, source: Source, *, check: bool) -> Fetched:
    name, entry = _first(spec, source, spec.files, check=check)
    entries = {name: entry}
    if name.endswith(INDEX):
        shards = _shards(spec, source, name, entry, check=check)
        entries |= {shard: part for shard, (part, _) in shards.items()}
        weights = tuple(path for _, path in shards.values())
    else:
        weights = (readable(entry, name, entry=spec.entry),)
    parts = {}
    for prefix, name in spec.parts.items():
        part = _get(spec, source, checked(name), check=check)
        entries[name] = part
        parts[prefix] = readable(part, name)
    return Fetched(
        source=spec.source,
        revision=source.revision,
        weights=weights,
        files=FrozenMap(_paths(entries)),
        sha256=FrozenMap(_hashes(entries)),
        parts=FrozenMap(parts),
    )


def _paths(entries: Mapping[str, Entry]) -> dict[str, Path]:
    return {name: Path(entry.path) for name, entry in entries.items()}


def _hashes(entries: Mapping[str, Entry]) -> dict[str, str]:
    return {name: entry.sha256 for name, entry in entries.items()}


def _companion(spec: WeightsSpec, source: Source, name: str, *, check: bool) -> dict[str, Entry]:
    """Bring the file here that another cannot be read without, if there is one."""
    folder, slash, last = name.rpartition("/")
    if last not in COMPANIONS:
        return {}
    other = folder + slash + COMPANIONS[last]
    return {other: _get(spec, source, other, check=check)}


def _get(spec: WeightsSpec, source: Source, name: str, *, check: bool) -> Entry:
    """Return a file that must be there."""
    entry = source.get(name, pinned=_pin(spec, name), check=check)
    if entry is None:
        raise RepoNotFoundError(f"{spec.source} has no {name}, which its other files need.")
    return entry


def _first(
    spec: WeightsSpec, source: Source, names: Sequence[str], *, check: bool
) -> tuple[str, Entry]:
    """Return name and entry of the first file that the source has."""
    for name in candidates(names, spec.subfolder):
        entry = source.get(name, pinned=_pin(spec, name), check=check)
        if entry is not None:
            return name, entry
    at = f" at {source.revision}" if source.revision else ""
    wanted = ", ".join(f"{spec.subfolder}/{name}" if spec.subfolder else name for name in names)
    raise RepoNotFoundError(f"{spec.source}{at} has none of: {wanted}.")


def _pin(spec: WeightsSpec, name: str) -> str:
    """Return the row's sha256 of a file, given by its full name or by that in the subfolder."""
    inner = name.removeprefix(f"{spec.subfolder}/") if spec.subfolder else name
    return spec.sha256.get(name) or spec.sha256.get(inner) or ""


def _shards(
    spec: WeightsSpec, source: Source, index: str, entry: Entry, *, check: bool
) -> dict[str, tuple[Entry, Path]]:
    """Bring the shards of an index here and check that each holds what the index says.

    Returns:
        In order, name at the source to the file and to what it is read from.
    """
    places = _weight_map(Path(entry.path), index)
    folder = index.rpartition("/")[0]
    shards = {}
    for shard in sorted(set(places.values())):
        name = checked(f"{folder}/{shard}" if folder else shard)
        part = source.get(name, pinned=_pin(spec, name), check=check)
        if part is None:
            raise RepoNotFoundError(f"{spec.source} has no {name}, which {index} names.")
        path = readable(part, name, entry=spec.entry)
        found = set(read_header(path))
        wanted = {tensor for tensor, place in places.items() if place == shard}
        if found != wanted:
            odd = sorted(found ^ wanted)
            raise FormatError(
                f"{name} of {spec.source} does not hold what {index} says: {', '.join(odd[:5])}"
                f"{f' and {len(odd) - 5} more' if len(odd) > 5 else ''} stand in only one of them."
            )
        shards[name] = part, path
    return shards


def _weight_map(path: Path, name: str) -> dict[str, str]:
    """Return the shard of each tensor, as an index says."""
    value = read_json(path, name, unique=True)
    places = value.get("weight_map") if isinstance(value, dict) else None
    if not isinstance(places, dict) or not places:
        raise FormatError(
            f"{name} has no weight_map, so it is not the index of a split checkpoint."
        )
    return {tensor: checked_shard(shard) for tensor, shard in places.items()}
