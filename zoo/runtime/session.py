"""Open a session of ONNX Runtime on the device that was asked for, and on no other. No torch.

ONNX Runtime itself falls back to the processor in silence, for which an accelerator's user waits a
hundred times longer; here that is an error, when a session is opened and when it runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import BundleError, MissingExtraError, OptionError
from zoo.runtime.placement import CPU, check_nodes, nodes_of
from zoo.runtime.tensorrt_provider import TENSORRT, check_tf32, load_nvinfer

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

CUDA = "CUDAExecutionProvider"

Provider = tuple[str, Mapping[str, str]]

_ONLY_ERRORS = 3  # severities of ONNX Runtime: 0 verbose, 1 info, 2 warning, 3 error, 4 fatal
_RECORD_NODES = "session.record_ep_graph_assignment_info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a session runs.

    Attributes:
        kind: As ONNX Runtime names the memory there.
        index: Of the GPU.
    """

    kind: str
    index: int = 0


def parse_place(device: str) -> Place:
    """Return the place that `cpu`, `cuda` or `cuda:1` names.

    Raises:
        OptionError: It is none of them.
    """
    kind, colon, index = device.partition(":")
    if kind == "cpu" and not colon:
        return Place(kind="cpu")
    if kind == "cuda" and (index.isdecimal() or not colon):
        return Place(kind="cuda", index=int(index or "0"))
    raise OptionError(f"{device!r} is no device of ONNX Runtime. Use 'cpu', 'cuda' or 'cuda:1'.")


def providers_for(
    place: Place, *, tf32: bool = False, tensorrt: Mapping[str, str] | None = None
) -> list[Provider]:
    """Return the execution providers of a session and their options, the one that counts first.

    Args:
        place: Where it runs.
        tf32: Whether a GPU may round float32 factors to 11 bits; ONNX Runtime's own default.
        tensorrt: Options of the TensorRT provider, if that is to run the graph.

    Raises:
        OptionError: TensorRT was asked for on a processor.
    """
    index = {"device_id": str(place.index)}
    if place.kind == "cpu":
        if tensorrt is not None:
            raise OptionError("TensorRT runs on a GPU. Use device='cuda'.")
        return [(CPU, {})]
    cuda: Provider = (CUDA, index | {"use_tf32": str(int(tf32))})
    return [cuda] if tensorrt is None else [(TENSORRT, index | dict(tensorrt)), cuda]


def open_session(
    model: Path,
    *,
    device: str = "cpu",
    threads: int | None = None,
    tf32: bool = False,
    tensorrt: Mapping[str, str] | None = None,
) -> InferenceSession:
    """Return a session that runs on the device asked for.

    Args:
        model: The graph.
        device: `cpu`, `cuda` or `cuda:1`.
        threads: Of the processor; by default one a core.
        tf32: Whether a GPU may round float32 factors to 11 bits.
        tensorrt: Options of the TensorRT provider, if that is to run the graph in place of CUDA's.

    Raises:
        OptionError: The device is not there.
        BundleError: The runtime refuses the graph.
        MissingExtraError: onnxruntime is not installed.
    """
    place = parse_place(device)
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise MissingExtraError("onnxruntime", extra="cpu") from error
    if threads is not None and threads < 1:
        raise OptionError(f"threads={threads} is less than 1.")
    providers = providers_for(place, tf32=tf32, tensorrt=tensorrt)
    for provider, _ in providers:
        if provider not in onnxruntime.get_available_providers():
            raise OptionError(
                f"This installation of ONNX Runtime cannot run on {device!r}: it has no "
                f"{provider}. Use device='cpu', or install onnxruntime-gpu in place of onnxruntime."
            )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ONLY_ERRORS
    if threads is not None:
        options.intra_op_num_threads = threads
    if place.kind != "cpu":
        options.add_session_config_entry(_RECORD_NODES, "1")
        _load_libraries(onnxruntime, tensorrt is not None, tf32=tf32)
    try:
        session = onnxruntime.InferenceSession(
            model, options, providers=providers, enable_fallback=0
        )
    except Exception as error:  # the runtime's exceptions share no base of their own
        raise BundleError(f"ONNX Runtime cannot load {model}: {error}") from error
    session.disable_fallback()
    _check(session, device, [provider for provider, _ in providers])
    return session


def _load_libraries(onnxruntime: Any, tensorrt: bool, *, tf32: bool) -> None:  # noqa: ANN401  untyped
    """Load what pip has put where no loader looks, before a session needs it."""
    onnxruntime.preload_dlls()  # of CUDA and cuDNN, from the nvidia-* packages
    if tensorrt:
        check_tf32(tf32=tf32)
        load_nvinfer()


def _check(session: InferenceSession, device: str, wanted: list[str]) -> None:
    """Refuse a session that would run elsewhere, as a whole or in part.

    `session.disable_cpu_ep_fallback` is no help: it refuses every graph with a dynamic axis, whose
    shapes are computed on the processor on purpose.
    """
    found = session.get_providers()[0]
    if found != wanted[0]:
        raise OptionError(
            f"ONNX Runtime would run on {found} in place of {wanted[0]}: {device!r} could not be "
            "started. See `zoo doctor`."
        )
    if wanted[0] != CPU:
        check_nodes(nodes_of(session), wanted)
