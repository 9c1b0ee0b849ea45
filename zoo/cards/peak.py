"""How many bytes of tensors are alive at once while a network runs; also on the meta device."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Storage = torch.UntypedStorage


class PeakMode(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no types there
    """Counts the storages that operators make, until nothing holds them any more.

    What was there before, such as parameters and inputs, is not counted; nor is what a kernel
    takes for itself while it runs.

    Attributes:
        peak: Bytes.
    """

    def __init__(self, before: Sequence[torch.Tensor]) -> None:
        """Begin to count.

        Args:
            before: Tensors that an operator may return and that are not counted.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._now = 0
        self._held = [tensor.untyped_storage() for tensor in before]
        self._known = {id(storage) for storage in self._held}

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401  the signature is torch's
        out = func(*args, **(kwargs or {}))
        for value in tree_leaves(out):
            if isinstance(value, torch.Tensor):
                self._count(value.untyped_storage())
        return out

    def _count(self, storage: Storage) -> None:
        if id(storage) in self._known:
            return
        size = storage.nbytes()
        self._known.add(id(storage))
        self._now += size
        self.peak = max(self.peak, self._now)
        weakref.finalize(storage, self._release, id(storage), size)

    def _release(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._now -= size
