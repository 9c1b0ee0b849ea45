"""Weights that are no safetensors: read once, and kept as such under the hash of their bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import FormatError
from zoo.hookspecs import ReadTensors
from zoo.sources import PICKLES, SAFETENSORS
from zoo.weights import pickles
from zoo.weights.cache import cache_root, check_space, exclusive, whole
from zoo.weights.lock import Entry, read_lock, remember
from zoo.weights.verify import Corrupted, verify

if TYPE_CHECKING:
    import torch


def readable(file: Entry, name: str, *, entry: str = "") -> Path:
    """Return a weights file as safetensors, converted where it is something else.

    Args:
        file: The verified file.
        name: At its source; the ending says what it is.
        entry: Which dict of tensors to take, when a file has several; dots lead inwards.

    Raises:
        UnsafePickleError: A pickle asks for more than tensors.
        FormatError: The file holds no tensors, or several dicts of them.
    """
    if name.endswith(SAFETENSORS):
        return Path(file.path)
    from zoo.registry import default_registry

    found = default_registry().reader(name)
    if found is not None:
        read, maker = found
        return _converted(file, read, maker, entry)
    if name.endswith(PICKLES):
        return _converted(file, pickles.read_tensors, "", entry)
    return Path(file.path)  # whoever reads it says what is wrong with it


def _converted(file: Entry, read: ReadTensors, maker: str, entry: str) -> Path:
    """Return the file's tensors as safetensors, made at the first call.

    Args:
        file: The verified file.
        read: What reads it.
        maker: Who brought the reader, if not the zoo: another version may read otherwise.
        entry: As for `readable`.
    """
    words = [re.sub(r"[^A-Za-z0-9_]+", "-", word) for word in (entry, maker) if word]
    target = cache_root() / "converted" / f"{'-'.join([file.sha256, *words])}{SAFETENSORS}"
    with exclusive(target.with_suffix(".lock")):
        lock = read_lock(f"converted:{file.sha256}", "-".join(words) or "whole")
        known = lock.files.get(target.name)
        if known is not None and known.path == str(target) and known.unchanged():
            return target
        if known is not None and target.is_file():
            try:
                remember(lock, files={target.name: verify(target, target.name, lock)})
            except Corrupted:
                pass  # the source is good: make it anew
            else:
                return target
        check_space(target.parent, file.size, target.name)
        _save(read(Path(file.path), entry=entry), target)
        remember(lock, files={target.name: verify(target, target.name, lock, remembered=False)})
    return target


def _save(tensors: Mapping[str, torch.Tensor], target: Path) -> None:
    """Write tensors, each with memory of its own: safetensors has neither ties nor strides."""
    import torch
    from safetensors.torch import save_file

    seen: set[int] = set()
    own: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        if tensor.layout is not torch.strided:
            raise FormatError(f"The tensor {name!r} is sparse; safetensors holds dense ones alone.")
        plain = tensor.detach().contiguous()
        storage = plain.untyped_storage()
        shared = storage.data_ptr() in seen or storage.nbytes() != plain.nbytes
        own[name] = plain.clone() if shared else plain
        seen.add(own[name].untyped_storage().data_ptr())
    with whole(target) as temporary:
        try:
            save_file(own, temporary, metadata={"format": "pt"})
        except OSError:
            raise
        except Exception as error:  # a dtype or layout that safetensors has no word for
            raise FormatError(f"The tensors cannot be kept as safetensors: {error}") from error
