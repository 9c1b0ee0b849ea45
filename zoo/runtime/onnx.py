"""Run a graph with ONNX Runtime, on the device that was asked for and on no other. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from zoo.backends import Backend
from zoo.encoded import Encoded
from zoo.errors import BundleError, MissingExtraError, OptionError
from zoo.preprocess import Array, Batch
from zoo.spec import Card, Dim

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from zoo.manifest import Graph

# Padded tokens, or pixels, of one batch; as for eager torch, see zoo/backends/eager.py.
CPU_TOKENS = 512
CPU_PIXELS = 8 * 224 * 224
GPU_TOKENS = 65_536
GPU_PIXELS = 128 * 224 * 224

LEVEL = "pyramid_"  # then the level's number, finest first
_ONLY_ERRORS = 3  # severities of ONNX Runtime: 0 verbose, 1 info, 2 warning, 3 error, 4 fatal


def open_session(
    model: Path, *, device: str = "cpu", threads: int | None = None, tf32: bool = False
) -> InferenceSession:
    """Return a session that runs on the device asked for.

    ONNX Runtime itself falls back to the processor in silence, for which an accelerator's user
    waits a hundred times longer; here that is an error.

    Args:
        model: The graph.
        device: `cpu`, `cuda` or `cuda:1`.
        threads: Of the processor; by default one a core.
        tf32: Whether a GPU may round float32 factors to 11 bits.

    Raises:
        OptionError: The device is not there.
        BundleError: The runtime refuses the graph.
        MissingExtraError: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise MissingExtraError("onnxruntime", extra="cpu") from error
    if threads is not None and threads < 1:
        raise OptionError(f"threads={threads} is less than 1.")
    provider, settings = _provider(device, tf32=tf32)
    if provider not in onnxruntime.get_available_providers():
        raise OptionError(
            f"This installation of ONNX Runtime cannot run on {device!r}: it has no {provider}. "
            "Use device='cpu', or install onnxruntime-gpu in place of onnxruntime."
        )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ONLY_ERRORS
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(model, options, providers=[(provider, settings)])
    except Exception as error:  # the runtime's exceptions share no base of their own
        raise BundleError(f"ONNX Runtime cannot load {model}: {error}") from error
    if session.get_providers()[0] != provider:
        raise OptionError(
            f"ONNX Runtime would run on {session.get_providers()[0]} in place of {provider}: "
            f"{device!r} could not be started. See `zoo doctor`."
        )
    return session


def _provider(device: str, *, tf32: bool) -> tuple[str, dict[str, str]]:
    kind, colon, index = device.partition(":")
    if kind == "cpu" and not colon:
        return "CPUExecutionProvider", {}
    if kind == "cuda" and (index.isdecimal() or not colon):
        return "CUDAExecutionProvider", {"device_id": index or "0", "use_tf32": str(int(tf32))}
    raise OptionError(f"{device!r} is no device of ONNX Runtime. Use 'cpu', 'cuda' or 'cuda:1'.")


class OnnxBackend:
    """A session as a backend.

    Args:
        session: Of the graph.
        card: For its inputs.
        graph: What the graph gives.
        device: That the session runs on.
    """

    name = "onnx"

    def __init__(
        self, session: InferenceSession, card: Card, graph: Graph, *, device: str = "cpu"
    ) -> None:
        self.session = session
        self.card = card
        self.graph = graph
        self.device = device

    def budget(self) -> int:
        """Return tokens (text) or pixels (images) of one batch."""
        on_cpu = self.device == "cpu"
        if self.card.modality == "text":
            return CPU_TOKENS if on_cpu else GPU_TOKENS
        return CPU_PIXELS if on_cpu else GPU_PIXELS

    def arrays(
        self, batch: Mapping[str, Array], outputs: Sequence[str] | None = None
    ) -> dict[str, Array]:
        """Run a batch; return outputs of the graph by their names.

        A graph of one batch size runs a batch in pieces; the last is filled up.

        Args:
            batch: The graph's inputs by name.
            outputs: Names of what is wanted; by default all.

        Raises:
            OptionError: An axis has a size that the graph does not take.
        """
        self._check(batch)
        feeds = {tensor.name: np.ascontiguousarray(batch[tensor.name], tensor.dtype)
                 for tensor in self.card.inputs}  # fmt: skip
        outputs = self.graph.outputs if outputs is None else outputs
        size = self.graph.fixed.get("batch")
        samples = len(next(iter(feeds.values())))
        if size is None or samples == size:
            return self._run(feeds, outputs)
        pieces = []
        for start in range(0, samples, size):
            piece = {name: _filled(feed[start : start + size], size)
                     for name, feed in feeds.items()}  # fmt: skip
            pieces.append(self._run(piece, outputs))
        return {name: np.concatenate([piece[name] for piece in pieces])[:samples]
                for name in outputs}  # fmt: skip

    def run(self, batch: Batch, *, normalize: bool, pooled_only: bool = False) -> Encoded:
        """Run one batch.

        Raises:
            OptionError: The graph ends in an L2 norm, and vectors without it were asked for.
        """
        if self.card.normalize and not normalize:
            raise OptionError(
                f"The graph of {self.card.name} ends in an L2 norm that cannot be left out. Use "
                f"zoo.load({self.card.name!r}) for vectors without it."
            )
        alone = pooled_only and "pooled" in self.graph.outputs
        outputs = self.arrays(batch, ["pooled"] if alone else None)
        pooled = outputs.get("pooled")
        if pooled is not None and normalize and not self.card.normalize:
            norms = np.sqrt((pooled**2).sum(axis=-1, keepdims=True))
            pooled = pooled / norms.clip(1e-12)
        mask = outputs.get("mask")
        if mask is None and self.graph.mask is not None:
            mask = batch[self.graph.mask].astype(bool)
        levels = [level for name, level in outputs.items() if name.startswith(LEVEL)]
        return Encoded(
            pooled=cast(Any, pooled),
            tokens=cast(Any, outputs.get("tokens")),
            mask=cast(Any, mask),
            prefix=cast(Any, outputs.get("prefix")),
            pyramid=cast(Any, tuple(levels)) or None,
        )

    def lanes(self) -> Sequence[Backend]:
        """Return none: a session spreads each operator over its own threads."""
        return ()

    def numpy(self, value: Any) -> Array:  # noqa: ANN401  the protocol's signature
        """Return an array as it is: the runtime gives numpy."""
        return cast(Array, value)

    def replicas(self, devices: Sequence[str]) -> Sequence[Backend]:
        """Refuse: a session stays where it was made.

        Raises:
            OptionError: Always; says what to do.
        """
        raise OptionError(
            "A bundle runs on the device that it was opened on. Open it once for each of "
            f"{', '.join(devices)}: zoo.open(path, device=...)."
        )

    def _run(self, feeds: dict[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
        found = self.session.run(list(outputs), feeds)
        return dict(zip(outputs, cast("list[Array]", found), strict=True))

    def _check(self, batch: Mapping[str, Array]) -> None:
        for tensor in self.card.inputs:
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


def _filled(feed: Array, size: int) -> Array:
    """Return a batch of that size, its last sample repeated."""
    missing = size - len(feed)
    return np.concatenate([feed, np.repeat(feed[-1:], missing, axis=0)]) if missing else feed
