"""What runtimes share that take a whole graph: batches cut to what it takes, answers as records.

A runtime that a plugin brings derives its backend from GraphBackend and writes one method.
No torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

import numpy as np

from zoo.backends import Backend, budgets
from zoo.encoded import Encoded
from zoo.errors import OptionError
from zoo.manifest import Graph
from zoo.preprocess import Array, Batch
from zoo.spec import EncoderSpec

LEVEL = "pyramid_"  # then the level's number, finest first


class ArtefactBackend(Backend, Protocol):
    """A backend that gives every output of its graph by name, so that it can be proven."""

    def arrays(
        self, batch: Mapping[str, Array], outputs: Sequence[str] | None = None
    ) -> dict[str, Array]:
        """Run a batch; return outputs of the graph by their names.

        Args:
            batch: The graph's inputs by name.
            outputs: Names of what is wanted; by default all.
        """
        ...


class GraphBackend(ABC):
    """A graph, or an engine made of one, as a backend.

    Args:
        spec: For its inputs.
        graph: What it gives.
        device: That it runs on, for messages.
    """

    name = "graph"

    def __init__(self, spec: EncoderSpec, graph: Graph, *, device: str) -> None:
        self.spec = spec
        self.graph = graph
        self.device = device

    @abstractmethod
    def execute(self, feeds: dict[str, Array]) -> dict[str, Array]:
        """Run one piece of a batch.

        Args:
            feeds: Every input of the graph by name, contiguous, in its declared type.

        Returns:
            Every output by name.

        Raises:
            OptionError: A size is none that was made for.
        """

    def pieces(self, samples: int) -> list[tuple[int, int]]:
        """Return how a batch is cut: the samples of each piece, and what it is filled up to."""
        fixed = self.graph.fixed.get("batch")
        if fixed is None:
            return [(samples, samples)]
        return [(min(fixed, samples - start), fixed) for start in range(0, samples, fixed)]

    def budget(self) -> int:
        """Return tokens (text), pixels (images) or samples (sounds) of one batch."""
        return budgets.GPU.of(self.spec.modality)

    def arrays(
        self, batch: Mapping[str, Array], outputs: Sequence[str] | None = None
    ) -> dict[str, Array]:
        """Run a batch; return outputs of the graph by their names.

        Args:
            batch: The graph's inputs by name.
            outputs: Names of what is wanted; by default all.

        Raises:
            OptionError: An input is missing, or has a size that the graph does not take.
        """
        found = self.outputs(batch, self.graph.outputs if outputs is None else outputs)
        return {name: self.numpy(value) for name, value in found.items()}

    def outputs(self, batch: Mapping[str, Array], names: Sequence[str]) -> dict[str, Any]:
        """Run a batch; return outputs by their names, as arrays of the backend's own kind.

        Args:
            batch: The graph's inputs by name.
            names: Of what is wanted.

        Raises:
            OptionError: An input is missing, or has a size that the graph does not take.
        """
        feeds = {}
        for tensor in self.spec.inputs:
            if tensor.name not in batch:
                raise OptionError(f"The batch has no {tensor.name!r}, an input of the graph.")
            feeds[tensor.name] = np.ascontiguousarray(batch[tensor.name], tensor.dtype)
        found: dict[str, list[Array]] = {name: [] for name in names}
        start = 0
        for size, filled in self.pieces(len(next(iter(feeds.values())))):
            piece = {name: fill(feed[start : start + size], filled)
                     for name, feed in feeds.items()}  # fmt: skip
            given = self.execute(piece)
            for name, parts in found.items():
                parts.append(given[name][:size])
            start += size
        return {name: parts[0] if len(parts) == 1 else np.concatenate(parts)
                for name, parts in found.items()}  # fmt: skip

    def run(self, batch: Batch, *, normalize: bool, pooled_only: bool = False) -> Encoded:
        """Run one batch.

        Raises:
            OptionError: The graph ends in an L2 norm, and vectors without it were asked for.
        """
        if self.spec.normalize and not normalize:
            raise OptionError(
                f"The graph of {self.spec.name} ends in an L2 norm that cannot be left out. Use "
                f"zoo.load({self.spec.name!r}) for vectors without it."
            )
        alone = pooled_only and "pooled" in self.graph.outputs
        outputs = self.outputs(batch, ["pooled"] if alone else self.graph.outputs)
        pooled = outputs.get("pooled")
        if pooled is not None and normalize and not self.spec.normalize:
            pooled = self.numpy(pooled)
            norms = np.sqrt((pooled**2).sum(axis=-1, keepdims=True))
            pooled = pooled / norms.clip(1e-12)
        mask = outputs.get("mask")
        if mask is None and self.graph.mask is not None:
            mask = batch[self.graph.mask]
        levels = [level for name, level in outputs.items() if name.startswith(LEVEL)]
        return Encoded(
            pooled=cast(Any, pooled),
            tokens=cast(Any, outputs.get("tokens")),
            mask=cast(Any, None if mask is None else self.numpy(mask).astype(bool)),
            prefix=cast(Any, outputs.get("prefix")),
            pyramid=cast(Any, tuple(levels)) or None,
        )

    def lanes(self) -> Sequence[Backend]:
        """Return none: one run at a time."""
        return ()

    def numpy(self, value: Any) -> Array:  # noqa: ANN401  the protocol's signature
        """Return an array as it is."""
        return cast(Array, value)

    def replicas(self, devices: Sequence[str]) -> Sequence[Backend]:
        """Refuse: it stays where it was opened.

        Raises:
            OptionError: Always; says what to do.
        """
        raise OptionError(
            "A bundle runs on the device that it was opened on. Open it once for each of "
            f"{', '.join(devices)}: zoo.open(path, device=...)."
        )


def fill(feed: Array, size: int) -> Array:
    """Return a batch of that size, its last sample repeated."""
    missing = size - len(feed)
    return np.concatenate([feed, np.repeat(feed[-1:], missing, axis=0)]) if missing else feed
