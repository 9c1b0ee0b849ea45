"""Run a graph with ONNX Runtime, on the device that was asked for and on no other. No torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from zoo.backends import Backend, budgets
from zoo.bundle import MODEL
from zoo.errors import OptionError
from zoo.preprocess import Array
from zoo.runtime.binding import is_tensor, run_bound
from zoo.runtime.graph import GraphBackend
from zoo.runtime.lanes import lanes_beside
from zoo.runtime.session import open_session as open_session, parse_place
from zoo.runtime.tensorrt_provider import provider_options
from zoo.spec import Dim, EncoderSpec
from zoo.weights.cache import cache_root, disk_errors

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from zoo.bundle import Bundle
    from zoo.manifest import Graph


class OnnxBackend(GraphBackend):
    """A session as a backend.

    Args:
        session: Of the graph.
        spec: For its inputs.
        graph: What the graph gives.
        device: That the session runs on.
        most: Largest batch that may run at once, where an engine inside the session has one.
        bound: Whether outputs stay where the session runs until they are asked for; by default,
            on a GPU.
        beside: What runs batches side by side; see zoo/runtime/lanes.py.
    """

    name = "onnx"

    def __init__(
        self,
        session: InferenceSession,
        spec: EncoderSpec,
        graph: Graph,
        *,
        device: str = "cpu",
        most: int | None = None,
        bound: bool | None = None,
        beside: Sequence[Backend] = (),
    ) -> None:
        super().__init__(spec, graph, device=device)
        self.session = session
        self.most = most
        self.place = parse_place(device)
        self.bound = self.place.kind != "cpu" if bound is None else bound
        self.beside = beside

    def budget(self) -> int:
        """Return tokens (text), pixels (images) or samples (sounds) of one batch."""
        budget = budgets.PROCESSOR if self.device == "cpu" else budgets.GPU
        return budget.of(self.spec.modality)

    def pieces(self, samples: int) -> list[tuple[int, int]]:
        """Return how a batch is cut: an engine inside the session takes no more than its own."""
        if self.most is None or "batch" in self.graph.fixed:
            return super().pieces(samples)
        sizes = [min(self.most, samples - start) for start in range(0, samples, self.most)]
        return [(size, size) for size in sizes]

    def outputs(self, batch: Mapping[str, Array], names: Sequence[str]) -> dict[str, Any]:
        """Run a batch, in pieces if need be; return numpy, or arrays of the device.

        Raises:
            OptionError: An axis has a size that the graph does not take.
        """
        self._check(batch)
        samples = len(batch[self.spec.inputs[0].name])
        if self.pieces(samples) == [(samples, samples)]:
            return self._run(batch, names)
        host = {tensor.name: self.numpy(batch[tensor.name]) for tensor in self.spec.inputs}
        return super().outputs(host, names)

    def execute(self, feeds: dict[str, Array]) -> dict[str, Array]:
        """Run one piece of a batch."""
        found = self._run(feeds, self.graph.outputs)
        return {name: self.numpy(value) for name, value in found.items()}

    def lanes(self) -> Sequence[Backend]:
        """Return what runs batches side by side on a processor."""
        return self.beside

    def numpy(self, value: Any) -> Array:  # noqa: ANN401  the protocol's signature
        """Return what the runtime gave as numpy, fetched from the device if it is still there."""
        if isinstance(value, np.ndarray):
            return value
        return cast(Array, value.detach().cpu().numpy() if is_tensor(value) else value.numpy())

    def _run(self, batch: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Any]:
        if self.bound:
            return dict(run_bound(self.session, self.spec.inputs, batch, outputs, self.place))
        feeds = {tensor.name: np.ascontiguousarray(self.numpy(batch[tensor.name]), tensor.dtype)
                 for tensor in self.spec.inputs}  # fmt: skip
        return dict(zip(outputs, self.session.run(list(outputs), feeds), strict=True))

    def _check(self, batch: Mapping[str, Array]) -> None:
        for tensor in self.spec.inputs:
            if tensor.name not in batch:
                raise OptionError(f"The batch has no {tensor.name!r}, an input of the graph.")
            shape = batch[tensor.name].shape
            wanted = [
                self.graph.fixed.get(size.name) if isinstance(size, Dim) else size
                for size in tensor.shape
            ]
            wanted[0] = None  # the batch is cut and filled up
            if len(shape) != len(wanted) or any(
                size not in (None, there) for size, there in zip(wanted, shape, strict=True)
            ):
                sizes = ", ".join("any" if size is None else str(size) for size in wanted)
                raise OptionError(
                    f"{tensor.name} has shape {shape}; the graph takes ({sizes}). Export it with "
                    "other sizes for others."
                )


def onnx_backend(
    bundle: Bundle,
    *,
    device: str = "cpu",
    threads: int | None = None,
    tf32: bool = False,
    tensorrt: bool = False,
) -> OnnxBackend:
    """Return what runs the graph of a bundle.

    Args:
        bundle: That is open.
        device: `cpu`, `cuda` or `cuda:1`.
        threads: Of the processor; by default one a core.
        tf32: Whether a GPU may round float32 factors to 11 bits.
        tensorrt: Whether ONNX Runtime hands the graph to its TensorRT provider, which builds an
            engine for the proven shapes and keeps it in the cache.

    Raises:
        OptionError: The device is not there.
        BundleError: The runtime refuses the graph.
        MissingExtraError: onnxruntime is not installed.
    """
    facts, graph = bundle.manifest.facts, bundle.manifest.graph
    if graph.dtype == "bfloat16" and device == "cpu":
        raise OptionError(
            f"{bundle.path} computes in bfloat16, for which ONNX Runtime has no operators on a "
            "processor. Run it on a GPU (device='cuda'), where `zoo verify` proves it, or export "
            "it with --precision fp16 or fp32."
        )
    options = None
    if tensorrt:
        folder = cache_root() / "tensorrt-provider"
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        key = hashlib.sha256("".join(
            file.sha256 for name, file in sorted(bundle.manifest.files.items())
            if name.startswith(MODEL)
        ).encode()).hexdigest()  # fmt: skip
        options = provider_options(facts.inputs, graph.fixed, key=key, folder=folder)
    session = open_session(
        bundle.path / MODEL, device=device, threads=threads, tf32=tf32, tensorrt=options
    )
    batch = facts.inputs[0].shape[0]
    most = batch.max if tensorrt and isinstance(batch, Dim) else None
    beside: Sequence[Backend] = ()
    if parse_place(device).kind == "cpu":
        beside = lanes_beside(
            bundle.path / MODEL,
            facts.modality,
            lambda: OnnxBackend(open_session(bundle.path / MODEL, threads=1), facts, graph),
            threads=threads,
        )
    return OnnxBackend(session, facts, graph, device=device, most=most, beside=beside)
