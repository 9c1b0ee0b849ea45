"""PyTorch's own files: tensors alone are read, and nothing is executed."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import FormatError, UnsafePickleError
from zoo.weights.cache import disk_errors

if TYPE_CHECKING:
    import torch

# What torch says of a pickle that wants more than tensors: a global's name, a kind of object, code.
_ASKS = re.compile(r"GLOBAL (\S+)|Can only (?:create|build) .* but got (.+)|(TorchScript)")
_ZIP = b"PK\x03\x04"
_DEPTH = 4  # levels of dicts around the tensors


def read_tensors(path: Path, *, entry: str = "") -> dict[str, torch.Tensor]:
    """Return the tensors of a pickle, executing nothing.

    Raises:
        UnsafePickleError: It asks for more than tensors.
        FormatError: It is no pickle of tensors, or has several dicts of them.
    """
    return _find(_load(path), path, entry)


def _load(path: Path) -> Any:  # noqa: ANN401  a pickle is what it is
    import torch

    with disk_errors(path), path.open("rb") as file:
        mapped = file.read(len(_ZIP)) == _ZIP  # the older format cannot be mapped
    try:
        with warnings.catch_warnings():
            # Of old storages and protocols, in files that are read rightly all the same.
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except MemoryError:
        raise
    except Exception as error:  # torch, pickle, zip and tar each raise their own
        text = str(error)
        asked = _ASKS.search(text)
        if asked is not None:
            culprit = next(filter(None, asked.groups()))
            raise UnsafePickleError(
                f"{path} is a pickle that asks for {culprit}, and loading it would run code. It "
                "was not executed. Use a file that holds tensors alone, best safetensors."
            ) from error
        # What stands before it advises to execute the file.
        text = text.rpartition("WeightsUnpickler error:")[2]
        reason = next(filter(None, map(str.strip, text.splitlines())), type(error).__name__)
        raise FormatError(
            f"{path} is no file of tensors that PyTorch can read ({reason[:200]}). Delete it and "
            "fetch it again."
        ) from error


def _find(value: Any, path: Path, entry: str) -> dict[str, torch.Tensor]:  # noqa: ANN401  as above
    """Return the one dict of tensors in what a training script saved."""
    for key in entry.split(".") if entry else ():
        if not isinstance(value, dict) or key not in value:
            known = ", ".join(map(repr, value)) if isinstance(value, dict) else type(value).__name__
            raise FormatError(f"{path} has no entry {entry!r}; at {key!r} it has: {known[:300]}.")
        value = value[key]
    trail = entry
    for _ in range(_DEPTH):
        tensors = _tensors(value)
        if tensors:
            return tensors
        looked: dict[tuple[int, int], bool] = {}
        parts = value.items() if isinstance(value, dict) else ()
        inner = {key: part for key, part in parts if _leads_to_tensors(part, _DEPTH, looked)}
        if len(inner) > 1:
            names = ", ".join(repr(f"{trail}.{key}" if trail else str(key)) for key in inner)
            raise FormatError(
                f"{path} holds several dicts of tensors: {names}. Say which one with the row's "
                "WeightsSpec.entry."
            )
        if not inner:
            break
        key, value = next(iter(inner.items()))
        trail = f"{trail}.{key}" if trail else str(key)
    raise FormatError(f"{path} holds no dict of tensors.")


def _tensors(value: Any) -> dict[str, torch.Tensor]:  # noqa: ANN401  as above
    import torch

    if not isinstance(value, dict):
        return {}
    return {
        str(key): part
        for key, part in value.items()
        if isinstance(key, str) and isinstance(part, torch.Tensor)
    }


def _leads_to_tensors(value: Any, depth: int, known: dict[tuple[int, int], bool]) -> bool:  # noqa: ANN401
    """Whether a dict has tensors under names, here or further in; an optimiser's state has not.

    What was looked at is known: a few small dicts that hold each other many times over would else
    take for ever.
    """
    if not isinstance(value, dict) or depth == 0:
        return False
    place = (id(value), depth)
    if place not in known:
        known[place] = bool(_tensors(value)) or any(
            _leads_to_tensors(part, depth - 1, known)
            for key, part in value.items()
            if isinstance(key, str)
        )
    return known[place]
