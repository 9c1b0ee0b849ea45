"""Batches side by side on a processor: a session of one thread, called by several. No torch.

ONNX Runtime splits each operator between its threads and lets them spin until the next one, which
costs half of the processors' time where batches are small. A batch a thread has nobody to wait for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.backends import Backend, budgets
from zoo.encoded import Encoded
from zoo.errors import OptionError
from zoo.machine import cores
from zoo.preprocess import Array, Batch
from zoo.spec import Modality

if TYPE_CHECKING:
    from zoo.runtime.onnx import OnnxBackend

# The session of the lanes holds the weights once more, which is not to be a surprise.
LARGEST = 1 << 30  # bytes of the graph's files
# Batches of one window; on more processors they would be too few for a lane each.
MOST = 16


class Lane:
    """A backend of one thread, opened when it first runs; any number of threads may share it.

    Args:
        open_backend: Opens it.
        modality: Of what it encodes.
    """

    name = "onnx"

    def __init__(self, open_backend: Callable[[], OnnxBackend], modality: Modality) -> None:
        self._open = open_backend
        self._modality = modality
        self._backend: OnnxBackend | None = None
        self._lock = threading.Lock()

    def budget(self) -> int:
        """Return tokens (text), pixels (images) or samples (sounds) of one batch."""
        return budgets.ONNX_LANE.of(self._modality)

    def run(self, batch: Batch, *, normalize: bool, pooled_only: bool = False) -> Encoded:
        """Run one batch on the calling thread."""
        with self._lock:
            if self._backend is None:
                self._backend = self._open()
        return self._backend.run(batch, normalize=normalize, pooled_only=pooled_only)

    def lanes(self) -> Sequence[Backend]:
        """Return none: this is one."""
        return ()

    def numpy(self, value: Any) -> Array:  # noqa: ANN401  the protocol's signature
        """Return an array of the runtime as it is: on a processor it is numpy's."""
        array: Array = value
        return array

    def replicas(self, devices: Sequence[str]) -> Sequence[Backend]:
        """Refuse: a lane stays beside its session.

        Raises:
            OptionError: Always.
        """
        raise OptionError(f"A lane of a session cannot be moved to {', '.join(devices)}.")


def lanes_beside(
    model: Path,
    modality: Modality,
    open_backend: Callable[[], OnnxBackend],
    *,
    threads: int | None,
) -> list[Lane]:
    """Return one lane a thread, where that pays.

    Args:
        model: The graph's file; its weights may lie beside it.
        modality: Of what it encodes.
        open_backend: Opens a backend of one thread.
        threads: That may be used; by default one a core.
    """
    count = threads or cores()
    size = sum(file.stat().st_size for file in model.parent.glob(f"{model.name}*"))
    if not 1 < count <= MOST or size > LARGEST:
        return []
    return [Lane(open_backend, modality)] * count
