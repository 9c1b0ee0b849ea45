"""What can run an encoder: one protocol, one file a backend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from zoo.encoded import Encoded
from zoo.preprocess import Array, Batch


class Backend(Protocol):
    """Runs batches; knows nothing of items, order or progress."""

    name: str

    def budget(self) -> int:
        """Return what one batch may cost, in the unit of `Sample.size`."""
        ...

    def run(self, batch: Batch, *, normalize: bool, pooled_only: bool = False) -> Encoded:
        """Run one batch; the record's fields are arrays of the backend's own kind.

        Args:
            batch: The network's inputs by name.
            normalize: Whether vectors leave with unit L2 norm.
            pooled_only: Whether only `pooled` will be read, so that the rest may be left out.

        Raises:
            OptionError: The backend cannot leave out the L2 norm of its network.
        """
        ...

    def lanes(self) -> Sequence[Backend]:
        """Return narrower backends that share this one's device and keep it busier together.

        Each runs on a thread of its own; empty where one run at a time is best.
        """
        ...

    def numpy(self, value: Any) -> Array:  # noqa: ANN401  a backend's own array
        """Return a backend's array as numpy; 16-bit floats become float32."""
        ...

    def replicas(self, devices: Sequence[str]) -> Sequence[Backend]:
        """Return one backend a device, sharing nothing that a device owns.

        Raises:
            OptionError: The backend cannot be moved, or a device is not there.
        """
        ...
