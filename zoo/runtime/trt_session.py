"""An engine in memory: buffers, a context a profile, a CUDA graph a shape. No torch.

One stream and one set of buffers serve all; a lock lets one batch in at a time.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import BundleError
from zoo.preprocess import Array
from zoo.runtime.cuda import Driver
from zoo.runtime.profiles import EngineProfile, Shape, bucket
from zoo.runtime.trt_module import Vendor
from zoo.spec import TensorSpec
from zoo.weights.cache import write_whole

# CUDA graphs that are kept for one profile; beyond that, the oldest makes room.
GRAPHS = 64


class EngineSession:
    """An engine that is loaded.

    Args:
        vendor: Whose engine.
        runtime: Of that package.
        plan: The engine's bytes.
        profiles: Shapes that it takes.
        inputs: Of the graph.
        driver: Of the GPU.
        kernels: Where TensorRT-RTX keeps what it compiles; None for TensorRT, which compiles
            nothing any more.

    Raises:
        BundleError: The engine cannot be loaded, or is not the graph's.
    """

    def __init__(
        self,
        vendor: Vendor,
        runtime: Any,  # noqa: ANN401  the package has no types
        plan: bytes,
        profiles: Sequence[EngineProfile],
        inputs: Sequence[TensorSpec],
        driver: Driver,
        *,
        kernels: Path | None = None,
    ) -> None:
        self.engine = runtime.deserialize_cuda_engine(plan)
        if self.engine is None:
            causes = " ".join(runtime.logger.errors[-2:]) or "it gives no reason."
            raise BundleError(f"{vendor.title} {vendor.version} cannot load the engine: {causes}")
        self._runtime = runtime  # an engine does not keep its runtime alive
        self._inputs = inputs
        self._profiles = profiles
        self._driver = driver
        self._lock = threading.Lock()
        self._stream = driver.stream()
        self._kernels = kernels
        self._settings, self._compiled = _settings(vendor, self.engine, kernels)
        names = [self.engine.get_tensor_name(i) for i in range(self.engine.num_io_tensors)]
        wanted = {tensor.name for tensor in inputs}
        self._outputs = tuple(name for name in names if name not in wanted)
        if wanted - set(names) or self.engine.num_optimization_profiles != len(profiles):
            raise BundleError("The engine does not belong to this bundle: its inputs differ.")
        self._types = {name: _numpy_type(vendor, self.engine, name) for name in names}
        self._lanes = [
            _Lane(self.engine, index, profile, self._outputs, driver, self._stream, self._settings)
            for index, profile in enumerate(profiles)
        ]
        self._device: dict[str, int] = {}
        self._host: dict[str, Array] = {}
        for name, size in buffer_sizes([lane.largest for lane in self._lanes], self._types).items():
            self._device[name] = driver.allocate(size)
            self._host[name] = driver.pinned(size)
        for lane in self._lanes:
            lane.bind(self._device)
        # At the end of a process the driver gives everything back by itself.
        weakref.finalize(self, driver.release).atexit = False

    def run(self, feeds: Mapping[str, Array], *, profile: int, filling: int) -> dict[str, Array]:
        """Run a piece of a batch.

        Args:
            feeds: Inputs by name, in shapes that the profile takes.
            profile: Its index.
            filling: What stands in ids where the mask says that nothing is.
        """
        shapes = {name: feed.shape for name, feed in feeds.items()}
        grown = bucket(self._inputs, shapes, self._profiles[profile])
        lane, driver, stream = self._lanes[profile], self._driver, self._stream
        with self._lock:
            driver.use()
            own = lane.output_shapes(shapes)
            for tensor in self._inputs:
                feed = padded(
                    feeds[tensor.name], grown[tensor.name], 0 if tensor.skippable else filling
                )
                self._host[tensor.name][: feed.nbytes] = feed.reshape(-1).view(np.uint8)
                driver.upload(
                    self._device[tensor.name], self._host[tensor.name], feed.nbytes, stream
                )
            new = lane.enqueue(grown)
            full = lane.output_shapes(grown)
            sizes = {name: prod(full[name]) * self._types[name].itemsize for name in self._outputs}
            for name, size in sizes.items():
                driver.download(self._host[name], self._device[name], size, stream)
            driver.wait(stream)
            found = {
                name: _cut(
                    self._host[name][:size].view(self._types[name]).reshape(full[name]), own[name]
                )
                for name, size in sizes.items()
            }
            if new and self._compiled is not None and self._kernels is not None:
                write_whole(self._kernels, bytes(self._compiled.serialize()))
        return found


class _Lane:
    """A profile's context, and the graphs that were recorded in it.

    Args:
        engine: Of the session.
        index: Of the profile.
        profile: Its shapes.
        outputs: Names.
        driver: Of the GPU.
        stream: Of the session.
        settings: TensorRT-RTX's for contexts; None for TensorRT.

    Attributes:
        largest: Shape of each input and output at the profile's largest.
    """

    def __init__(
        self,
        engine: Any,  # noqa: ANN401
        index: int,
        profile: EngineProfile,
        outputs: Sequence[str],
        driver: Driver,
        stream: int,
        settings: Any,  # noqa: ANN401
    ) -> None:
        self._context = (
            engine.create_execution_context()
            if settings is None
            else engine.create_execution_context(settings)
        )
        if self._context is None:
            raise BundleError("The engine needs more memory than the GPU has free.")
        self._driver, self._stream, self._names = driver, stream, tuple(outputs)
        # TensorRT-RTX records graphs itself: its kernels change while it finds better ones.
        self._records = settings is None
        self._graphs: dict[tuple[Shape, ...], Any] = {}
        self._ran: set[tuple[Shape, ...]] = set()
        self._known: dict[tuple[Shape, ...], dict[str, Shape]] = {}
        self._shapes: dict[str, Shape] = {}
        self._context.set_optimization_profile_async(index, stream)
        driver.wait(stream)
        most = {name: ranges[2] for name, ranges in profile.shapes.items()}
        self.largest = {**most, **self.output_shapes(most)}

    def bind(self, addresses: Mapping[str, int]) -> None:
        """Tell the context where inputs and outputs lie; they never move, so graphs stay valid."""
        for name, address in addresses.items():
            self._context.set_tensor_address(name, address)

    def output_shapes(self, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
        """Return the shapes of outputs for shapes of inputs."""
        key = tuple(shapes.values())
        if key not in self._known:
            self._take(shapes)
            self._known[key] = {
                name: tuple(self._context.get_tensor_shape(name)) for name in self._names
            }
        return self._known[key]

    def enqueue(self, shapes: Mapping[str, Shape]) -> bool:
        """Put one run into the stream; returns whether these shapes are new.

        The first run of a shape lets TensorRT prepare; the second is recorded, and replayed ever
        after.
        """
        key = tuple(shapes.values())
        graph = self._graphs.get(key)
        if graph is not None:
            self._driver.replay(graph, self._stream)
            return False
        self._take(shapes)
        new = key not in self._ran
        if new or not self._records:
            self._ran.add(key)
            self._execute()
            return new
        graph = self._driver.record(self._stream, self._execute)
        if len(self._graphs) >= GRAPHS:
            self._driver.forget(self._graphs.pop(next(iter(self._graphs))))
        self._graphs[key] = graph
        self._driver.replay(graph, self._stream)
        return False

    def _take(self, shapes: Mapping[str, Shape]) -> None:
        if shapes == self._shapes:
            return
        for name, shape in shapes.items():
            if not self._context.set_input_shape(name, shape):
                raise BundleError(
                    f"The engine refuses {name} of shape {shape}, which its profile takes."
                )
        self._shapes = dict(shapes)

    def _execute(self) -> None:
        if not self._context.execute_async_v3(self._stream):
            raise BundleError("The engine failed while it ran. See `zoo doctor`.")


def _settings(vendor: Vendor, engine: Any, kernels: Path | None) -> tuple[Any, Any]:  # noqa: ANN401
    """Return TensorRT-RTX's settings of contexts and its cache of kernels; Nones for TensorRT."""
    if kernels is None:
        return None, None
    settings = engine.create_runtime_config()
    settings.cuda_graph_strategy = vendor.module.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
    cache = settings.create_runtime_cache()
    if kernels.is_file():
        cache.deserialize(kernels.read_bytes())  # False where it does not fit: it stays empty
    settings.set_runtime_cache(cache)
    return settings, cache


def buffer_sizes(
    largest: Sequence[Mapping[str, Shape]], types: Mapping[str, np.dtype[Any]]
) -> dict[str, int]:
    """Return the bytes of each tensor's buffer: enough for the largest shape of any profile.

    Args:
        largest: For each profile, tensor's name to its largest shape.
        types: Tensor's name to its type.
    """
    return {
        name: max(prod(shapes[name]) for shapes in largest) * dtype.itemsize
        for name, dtype in types.items()
    }


def padded(feed: Array, shape: Shape, filling: int) -> Array:
    """Return an input grown to a shape: samples repeat the last, the rest is the filling."""
    if feed.shape == shape:
        return feed
    grown = np.full(shape, filling, feed.dtype)
    grown[tuple(slice(size) for size in feed.shape)] = feed
    grown[len(feed) :] = grown[len(feed) - 1]
    return grown


def _cut(array: Array, shape: Shape) -> Array:
    """Return a copy of the part that belongs to what was asked; the buffer is used again."""
    return array[tuple(slice(size) for size in shape)].copy()


def _numpy_type(vendor: Vendor, engine: Any, name: str) -> np.dtype[Any]:  # noqa: ANN401
    dtype = engine.get_tensor_dtype(name)
    try:
        found: np.dtype[Any] = np.dtype(vendor.module.nptype(dtype))
    except TypeError as error:
        raise BundleError(f"The engine's {name} is {dtype}, which numpy does not have.") from error
    return found
