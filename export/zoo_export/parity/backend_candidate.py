"""What a runtime makes of a bundle, as the gate judges it."""

from __future__ import annotations

from zoo.preprocess import Array, Preprocessor
from zoo.runtime.graph import ArtefactBackend


class BackendCandidate:
    """A graph or an engine on the runtime that it was made for.

    Args:
        backend: That runs it.
        preprocessor: That the bundle has, or will have.
    """

    def __init__(self, backend: ArtefactBackend, preprocessor: Preprocessor | None) -> None:
        self.backend = backend
        self.preprocessor = preprocessor

    def run(self, batch: dict[str, Array]) -> dict[str, Array]:
        """Run a batch of the row's inputs; return the outputs by name."""
        return self.backend.arrays(batch)
