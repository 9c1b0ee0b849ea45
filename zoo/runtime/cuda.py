"""The few calls of CUDA that running an engine takes, through `cuda.bindings`. No torch.

None of it has been run on a GPU by us: it is written against the documentation of cuda-bindings 13
and TensorRT 11. What decides anything stands in `profiles` and `engines`, which are tested.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from zoo.errors import MissingExtraError, OptionError
from zoo.preprocess import Array
from zoo.runtime.engines import Gpu


class Driver(Protocol):
    """What `zoo.runtime.tensorrt` asks of a GPU. Addresses and handles are integers."""

    def use(self) -> None:
        """Make the GPU the calling thread's."""
        ...

    def stream(self) -> int:
        """Return a new stream that does not wait for the default one."""
        ...

    def allocate(self, size: int) -> int:
        """Return the address of `size` bytes on the device."""
        ...

    def pinned(self, size: int) -> Array:
        """Return `size` bytes of memory that the device reads and writes directly."""
        ...

    def upload(self, target: int, source: Array, size: int, stream: int) -> None:
        """Copy bytes of pinned memory to the device, in the order of the stream."""
        ...

    def download(self, target: Array, source: int, size: int, stream: int) -> None:
        """Copy bytes of the device to pinned memory, in the order of the stream."""
        ...

    def wait(self, stream: int) -> None:
        """Wait until all that a stream was given is done."""
        ...

    def record(self, stream: int, work: Callable[[], None]) -> Any:  # noqa: ANN401  a CUDA graph
        """Return a graph of what `work` puts into the stream."""
        ...

    def replay(self, graph: Any, stream: int) -> None:  # noqa: ANN401
        """Put what was recorded into the stream."""
        ...

    def forget(self, graph: Any) -> None:  # noqa: ANN401
        """Give a graph back."""
        ...

    def release(self) -> None:
        """Give everything back."""
        ...


def gpu_at(device: str | None, *, extra: str) -> Gpu:
    """Return the GPU that a device's name means.

    Args:
        device: `cuda` or `cuda:1`; by default the first.
        extra: That brings cuda-bindings.

    Raises:
        OptionError: There is none, or none that can be used.
        MissingExtraError: cuda-bindings is not installed.
    """
    kind, colon, number = (device or "cuda").partition(":")
    if kind != "cuda" or (colon and not number.isdecimal()):
        raise OptionError(f"Engines run on a GPU, 'cuda' or 'cuda:1'; {device!r} is none.")
    runtime = _bindings(extra)
    index = int(number or 0)
    if _value(runtime, runtime.cudaDriverGetVersion()) == 0:
        raise OptionError("This machine has no GPU that CUDA can use: there is no NVIDIA driver.")
    error, count = runtime.cudaGetDeviceCount()
    if error != runtime.cudaError_t.cudaSuccess:
        raise OptionError(
            f"This machine has no GPU that CUDA can use: {_text(runtime, error)}. See `zoo doctor`."
        )
    if index >= count:
        raise OptionError(f"There is no GPU {index}: CUDA sees {count}.")
    attribute = runtime.cudaDeviceAttr
    major, minor = (
        _value(runtime, runtime.cudaDeviceGetAttribute(which, index))
        for which in (
            attribute.cudaDevAttrComputeCapabilityMajor,
            attribute.cudaDevAttrComputeCapabilityMinor,
        )
    )
    name = _value(runtime, runtime.cudaGetDeviceProperties(index)).name
    return Gpu(
        index=index,
        name=bytes(name).split(b"\0")[0].decode(),
        capability=(int(major), int(minor)),
        driver=int(_value(runtime, runtime.cudaDriverGetVersion())),
    )


class CudaDriver:
    """A Driver on a real GPU.

    Args:
        index: Of the GPU.
        extra: That brings cuda-bindings.
    """

    def __init__(self, index: int, *, extra: str) -> None:
        self._runtime = _bindings(extra)
        self._index = index
        self._device: list[int] = []
        self._pinned: list[int] = []
        self._streams: list[Any] = []
        self._graphs: list[Any] = []
        self.use()

    def use(self) -> None:
        """Make the GPU the calling thread's."""
        self._do(self._runtime.cudaSetDevice(self._index))

    def stream(self) -> int:
        """Return a new stream that does not wait for the default one."""
        stream = self._get(
            self._runtime.cudaStreamCreateWithFlags(self._runtime.cudaStreamNonBlocking)
        )
        self._streams.append(stream)
        return int(stream)

    def allocate(self, size: int) -> int:
        """Return the address of `size` bytes on the device."""
        address = int(self._get(self._runtime.cudaMalloc(size)))
        self._device.append(address)
        return address

    def pinned(self, size: int) -> Array:
        """Return `size` bytes of memory that the device reads and writes directly."""
        address = int(self._get(self._runtime.cudaMallocHost(size)))
        self._pinned.append(address)
        return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))

    def upload(self, target: int, source: Array, size: int, stream: int) -> None:
        """Copy bytes of pinned memory to the device, in the order of the stream."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._do(self._runtime.cudaMemcpyAsync(target, source.ctypes.data, size, kind, stream))

    def download(self, target: Array, source: int, size: int, stream: int) -> None:
        """Copy bytes of the device to pinned memory, in the order of the stream."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._do(self._runtime.cudaMemcpyAsync(target.ctypes.data, source, size, kind, stream))

    def wait(self, stream: int) -> None:
        """Wait until all that a stream was given is done."""
        self._do(self._runtime.cudaStreamSynchronize(stream))

    def record(self, stream: int, work: Callable[[], None]) -> Any:  # noqa: ANN401
        """Return a graph of what `work` puts into the stream."""
        # Other threads may go on allocating while this one records.
        mode = self._runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._do(self._runtime.cudaStreamBeginCapture(stream, mode))
        try:
            work()
        finally:
            ended = self._runtime.cudaStreamEndCapture(stream)
        graph = self._get(ended)
        recorded = self._get(self._runtime.cudaGraphInstantiate(graph, 0))
        self._do(self._runtime.cudaGraphDestroy(graph))
        self._graphs.append(recorded)
        return recorded

    def replay(self, graph: Any, stream: int) -> None:  # noqa: ANN401
        """Put what was recorded into the stream."""
        self._do(self._runtime.cudaGraphLaunch(graph, stream))

    def forget(self, graph: Any) -> None:  # noqa: ANN401
        """Give a graph back."""
        self._graphs.remove(graph)
        self._do(self._runtime.cudaGraphExecDestroy(graph))

    def release(self) -> None:
        """Give everything back."""
        runtime = self._runtime
        self.use()
        for handles, give_back in (
            (self._graphs, runtime.cudaGraphExecDestroy),
            (self._streams, runtime.cudaStreamDestroy),
            (self._device, runtime.cudaFree),
            (self._pinned, runtime.cudaFreeHost),
        ):
            while handles:
                self._do(give_back(handles.pop()))

    def _do(self, result: tuple[Any, ...]) -> None:
        _check(self._runtime, result[0])

    def _get(self, result: tuple[Any, ...]) -> Any:  # noqa: ANN401
        return _value(self._runtime, result)


def _bindings(extra: str) -> Any:  # noqa: ANN401  cuda.bindings has no types
    try:
        from cuda.bindings import runtime
    except ModuleNotFoundError as error:
        raise MissingExtraError("cuda-bindings", extra=extra) from error
    return runtime


def _value(runtime: Any, result: tuple[Any, ...]) -> Any:  # noqa: ANN401
    _check(runtime, result[0])
    return result[1]


def _check(runtime: Any, error: Any) -> None:  # noqa: ANN401
    if error != runtime.cudaError_t.cudaSuccess:
        raise OptionError(f"The GPU failed: {_text(runtime, error)}.")


def _text(runtime: Any, error: Any) -> str:  # noqa: ANN401
    _, words = runtime.cudaGetErrorString(error)
    return words.decode() if isinstance(words, bytes) else str(words)
