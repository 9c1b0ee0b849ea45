"""Run engines of TensorRT and TensorRT-RTX on the GPU that they were made for. No torch.

None of what touches a GPU has been run by us: it is written against the documentation of
TensorRT 11 and TensorRT-RTX 1.7. See `docs/tensorrt.md`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoo.bundle import Bundle
from zoo.errors import BundleError, MissingExtraError, OptionError
from zoo.manifest import Engine, Graph
from zoo.preprocess import Array
from zoo.runtime.cuda import CudaDriver, gpu_at
from zoo.runtime.engines import EngineFacts, Gpu, engine_facts, mismatch, remedy
from zoo.runtime.graph import GraphBackend
from zoo.runtime.profiles import choose, complaint, piece_sizes
from zoo.runtime.trt_module import Vendor, listener, vendor_of
from zoo.runtime.trt_session import EngineSession
from zoo.spec import EncoderSpec, TextPreprocess
from zoo.weights.cache import cache_root
from zoo.weights.lock import hash_file


class TensorrtBackend(GraphBackend):
    """An engine as a backend.

    Args:
        session: Of the engine.
        spec: For its inputs.
        graph: What it gives.
        facts: Shapes that it takes.
        device: That it runs on.
    """

    name = "tensorrt"

    def __init__(
        self,
        session: EngineSession,
        spec: EncoderSpec,
        graph: Graph,
        facts: EngineFacts,
        *,
        device: str,
    ) -> None:
        super().__init__(spec, graph, device=device)
        self.session = session
        self.profiles = facts.profiles
        # What stands where the mask says that nothing is.
        self.filling = spec.preprocess.pad_id if isinstance(spec.preprocess, TextPreprocess) else 0

    def pieces(self, samples: int) -> list[tuple[int, int]]:
        """Return how a batch is cut: an engine takes no more than its profiles."""
        return piece_sizes(samples, self.profiles)

    def execute(self, feeds: dict[str, Array]) -> dict[str, Array]:
        """Run one piece of a batch."""
        shapes = {name: feed.shape for name, feed in feeds.items()}
        index = choose(self.profiles, shapes)
        if index is None:
            raise OptionError(complaint(self.spec.inputs, shapes, self.profiles))
        return self.session.run(feeds, profile=index, filling=self.filling)


class TensorrtRuntime:
    """What runs the engines of both packages; a `zoo.targets.Runtime`."""

    def obstacle(self, engine: Engine, device: str | None) -> str | None:
        """Return why an engine cannot run here, in a sentence; None if it can."""
        try:
            vendor, gpu = here(engine.target, device)
        except (MissingExtraError, OptionError) as error:
            return str(error)
        return mismatch(engine, gpu, vendor.version)

    def identity(self, engine: Engine, device: str | None) -> str:
        """Return what a proof of this engine here depends on."""
        vendor, gpu = here(engine.target, device)
        return f"{vendor.title} {vendor.version}, {gpu.name} ({gpu.device}), driver {gpu.driver}"

    def open(self, bundle: Bundle, *, device: str | None, threads: int | None) -> TensorrtBackend:
        """Return a backend that runs the engine of a bundle.

        Raises:
            BundleError: The engine is not for this machine.
            OptionError: There is no GPU, or it was asked to run on a processor.
            MissingExtraError: The runtime is not installed.
        """
        engine = bundle.manifest.engine
        assert engine is not None, "a runtime is chosen by the engine"
        if threads is not None:
            raise OptionError("Engines run on a GPU; threads= is for runtime='onnx'.")
        try:
            vendor, gpu = here(engine.target, device)
        except OptionError as error:
            raise OptionError(
                f"{error} zoo.open(path, runtime='onnx') runs the graph on the processor."
            ) from error
        why = mismatch(engine, gpu, vendor.version)
        if why is not None:
            raise BundleError(f"{bundle.path}: {why} {remedy(engine.target)}")
        facts, spec = engine_facts(engine), bundle.manifest.facts
        plan = (bundle.path / engine.file).read_bytes()
        driver = CudaDriver(gpu.index, extra=vendor.extra)
        runtime = open_runtime(vendor, facts)
        refused = validity(vendor, runtime, plan)
        if refused is not None:
            raise BundleError(f"{bundle.path}: {refused} {remedy(engine.target)}")
        session = EngineSession(
            vendor,
            runtime,
            plan,
            facts.profiles,
            spec.inputs,
            driver,
            kernels=_kernels(bundle, engine, vendor, gpu) if vendor.rtx else None,
        )
        return TensorrtBackend(
            session, spec, bundle.manifest.graph, facts, device=f"cuda:{gpu.index}"
        )


RUNTIME = TensorrtRuntime()


def here(target: str, device: str | None) -> tuple[Vendor, Gpu]:
    """Return the package and the GPU that an engine would run with.

    Raises:
        OptionError: There is no GPU, or it was asked to run on a processor.
        MissingExtraError: The package is not installed.
    """
    if device is not None and device.partition(":")[0] == "cpu":
        raise OptionError(f"Engines run on a GPU, not on {device!r}.")
    vendor = vendor_of(target)
    return vendor, gpu_at(device, extra=vendor.extra)


def open_runtime(vendor: Vendor, facts: EngineFacts) -> Any:  # noqa: ANN401  no types
    """Return the package's runtime; it keeps what it complains of in `logger.errors`."""
    runtime = vendor.module.Runtime(listener(vendor.module))
    if facts.version_compatible:  # such an engine carries code of its own
        runtime.engine_host_code_allowed = True
    return runtime


def validity(vendor: Vendor, runtime: Any, plan: bytes) -> str | None:  # noqa: ANN401
    """Return why the runtime itself would refuse an engine, by its header; None if it would not.

    TensorRT has no such question; TensorRT-RTX has.
    """
    ask = getattr(runtime, "get_engine_validity", None)
    if ask is None:
        return None
    answer, flags = ask(plan[: runtime.engine_header_size])
    if answer != vendor.module.EngineValidity.INVALID:
        return None
    causes = [
        name.lower().replace("_", " ")
        for name, flag in vendor.module.EngineInvalidityDiagnostics.__members__.items()
        if int(flags) & int(flag)
    ]
    why = ", ".join(causes) or "it gives no reason"
    return f"{vendor.title} {vendor.version} says that the engine is not valid here: {why}."


def _kernels(bundle: Bundle, engine: Engine, vendor: Vendor, gpu: Gpu) -> Path:
    """Return where TensorRT-RTX keeps what it compiles for this GPU, between processes."""
    known = bundle.manifest.files.get(engine.file)  # of a bundle that is being made, not yet
    digest = hash_file(bundle.path / engine.file)[0] if known is None else known.sha256
    name = f"{digest[:16]}-{vendor.version}-{gpu.device}-{gpu.driver}.bin"
    return cache_root() / "kernels" / name
