"""What torch.compile makes of a network, as a candidate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from zoo.backends.compile import CompileBackend
from zoo.backends.eager import EagerBackend
from zoo.encoder import Encoder
from zoo.preprocess import Array, Batch
from zoo_export.parity.eager import Outputs, arrays


class CompileCandidate:
    """A compiled network.

    Args:
        encoder: Loaded with the backend `eager` or `compile`.
        outputs: Names that it gives.

    Raises:
        OptionError: There is no compiler for its device.
    """

    def __init__(self, encoder: Encoder, outputs: Sequence[str]) -> None:
        backend = cast(EagerBackend, encoder.backend)
        self.backend = CompileBackend.of(backend)
        self.normalize = encoder.spec.normalize
        self.outputs = tuple(outputs)

    def run(self, batch: Mapping[str, Array]) -> Outputs:
        """Run a batch; return the outputs by name.

        Raises:
            OptionError: The network cannot be compiled.
        """
        return arrays(self.backend.run(cast(Batch, batch), normalize=self.normalize), self.outputs)
