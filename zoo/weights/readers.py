"""Read safetensors files: headers at once, tensors when asked for, mapped and not copied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import DiskError, FormatError, MissingExtraError
from zoo.frozen import FrozenMap
from zoo.weights.cache import disk_errors
from zoo.weights.jsonfile import parse_json

if TYPE_CHECKING:
    import torch

# Bytes. The largest headers in use have a few megabytes; parsing costs about ten times as much
# memory, and a file may claim any length.
HEADER_LIMIT = 25_000_000
_METADATA = "__metadata__"


class Checkpoint:
    """One or several safetensors files, read lazily.

    Args:
        paths: Files that share the work of one.
        parts: Further files: the prefix that their keys are read under to the path.

    Attributes:
        header: Names and shapes of all tensors.
        dtypes: Names and element types as safetensors spells them (`F32`, `BF16`).
    """

    def __init__(self, paths: Sequence[Path], parts: Mapping[str, Path] = FrozenMap()) -> None:
        header: dict[str, tuple[int, ...]] = {}
        dtypes: dict[str, str] = {}
        places: dict[str, tuple[Path, str]] = {}
        for prefix, path in (*(("", path) for path in paths), *parts.items()):
            for inner, (shape, dtype) in read_header(path).items():
                name = prefix + inner
                if name in places:
                    raise FormatError(
                        f"The tensor {name!r} stands in {places[name][0].name} and in {path.name}; "
                        "one checkpoint has it once."
                    )
                header[name], dtypes[name], places[name] = shape, dtype, (path, inner)
        self.header: Mapping[str, tuple[int, ...]] = FrozenMap(header)
        self.dtypes: Mapping[str, str] = FrozenMap(dtypes)
        self._places = places
        self._open: dict[Path, Any] = {}

    def tensor(self, name: str) -> torch.Tensor:
        """Return a tensor that is mapped to its file, privately: writing to it never changes that.

        Raises:
            FormatError: There is no such tensor, or it cannot be read.
            MissingExtraError: torch is not installed.
        """
        if name not in self._places:
            raise FormatError(f"The checkpoint has no tensor {name!r}.")
        path, inner = self._places[name]
        if path not in self._open:
            self._open[path] = _open(path, "pt")
        try:
            tensor: torch.Tensor = self._open[path].get_tensor(inner)
        except Exception as error:  # safetensors and torch share no base for what they raise here
            raise FormatError(
                f"The tensor {name!r} ({self.dtypes[name]}, {list(self.header[name])}) of {path} "
                f"cannot be read: {error}"
            ) from error
        return tensor


def open_checkpoint(paths: Sequence[Path], parts: Mapping[str, Path] = FrozenMap()) -> Checkpoint:
    """Open a checkpoint, reading no more than its headers.

    Raises:
        FormatError: A file is not safetensors, or a tensor stands in two of them.
    """
    return Checkpoint(paths, parts)


def read_header(path: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return name to shape and dtype of each tensor in a file.

    Our own look bounds the memory that a header can claim and refuses a name that stands twice;
    structure, offsets and sizes are checked by safetensors itself.

    Raises:
        FormatError: The file is not safetensors.
    """
    with disk_errors(path):
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            length = int.from_bytes(start, "little")
            if len(start) < 8 or length > size - 8:
                raise FormatError(
                    f"{path} is no safetensors file: it has {size} bytes and announces a header of "
                    f"{length}. Delete it and fetch it again."
                )
            if length > HEADER_LIMIT:
                raise FormatError(
                    f"{path} announces a header of {length:,} bytes; none in use is that large."
                )
            data = file.read(length)
    _open(path, "np")
    entries = parse_json(data, f"The header of {path}", unique=True)
    return {
        name: _shape_and_dtype(entry, name, path)
        for name, entry in entries.items()
        if name != _METADATA
    }


def _shape_and_dtype(entry: Any, name: str, path: Path) -> tuple[tuple[int, ...], str]:  # noqa: ANN401  JSON
    try:
        shape = tuple(entry["shape"])
        dtype = entry["dtype"]
        if not isinstance(dtype, str) or any(type(extent) is not int for extent in shape):
            raise TypeError("shape or dtype is of the wrong kind")
    except (TypeError, KeyError) as error:
        raise FormatError(f"The tensor {name!r} of {path} is badly described: {error}.") from error
    return shape, dtype


def _open(path: Path, framework: str) -> Any:  # noqa: ANN401  safetensors' handle has no types
    from safetensors import safe_open

    try:
        return safe_open(path, framework=framework)
    except ModuleNotFoundError as error:
        raise MissingExtraError("torch", extra="torch") from error
    except OSError as error:
        raise DiskError(f"{path} cannot be read: {error}.") from error
    except Exception as error:  # SafetensorError, and whatever a broken header makes Rust raise
        raise FormatError(
            f"{path} is no good safetensors file: {error}. Fetch it again."
        ) from error
