"""How fast an encoder runs here, on each backend, in each precision, at each batch. No torch.

What is timed is a batch of arrays to vectors, without preprocessing. On a processor the clock is
the wall's. On a GPU the inputs are there before the clock starts and the vectors stay there: what
torch runs is timed by CUDA's events, a session of ONNX Runtime by the wall clock, since it ends a
run by waiting. Engines, and sessions where there is no torch, take and give arrays of the host;
their times hold the copies. On a machine that others use too, the time that the processors spent on
this process is steadier; with one thread it is what a quiet machine would take.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

import zoo
from zoo import machine
from zoo.bundle import is_bundle, read_manifest
from zoo.clocks import Clock, CpuClock, EventClock, WallClock, times_of
from zoo.errors import OptionError, ZooError
from zoo.noise import make_batch, sample_shape
from zoo.preprocess import Batch
from zoo.targets import ONNX, ONNX_TENSORRT, device_of, target_of

if TYPE_CHECKING:
    from zoo.encoder import Encoder
    from zoo.spec import ModelSpec

IN_TORCH = ("eager", "compile")
COPIES = "wall+copies"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured.

    Attributes:
        backends: `eager`, `compile`, or names of targets; none for all that there are.
        precisions: `float32`, `float16`, `bfloat16`; of a bundle, none for its own.
        batches: Samples of a batch.
        length: Tokens of a text; by default what its axis calls typical.
        seconds: Measured, of each setting.
        device: As for `zoo.load`.
        threads: Of the processor; by default the runtime's own choice.
        cpu_time: Whether the time is counted that processors spent, in place of what passed.
        weights: As for `zoo.load`.
    """

    backends: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    batches: tuple[int, ...] = (1, 8)
    length: int | None = None
    seconds: float = 2.0
    device: str = "cpu"
    threads: int | None = None
    cpu_time: bool = False
    weights: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One setting: its times, or why it has none.

    Attributes:
        model: Its name.
        backend: What ran it.
        precision: Of its numbers.
        batch: Samples.
        sample: Shape of one: tokens; channels, height and width.
        milliseconds: Of each run, in the order of the runs; none if it could not be run.
        clock: `wall`, `cpu`, `events`, or `wall+copies` to and from a GPU.
        reason: Why it could not be run.
    """

    model: str
    backend: str
    precision: str
    batch: int
    sample: tuple[int, ...] = ()
    milliseconds: tuple[float, ...] = ()
    clock: str = ""
    reason: str = ""

    def percentile(self, percent: float) -> float:
        """Return a percentile of the milliseconds, such as the 99th."""
        return float(np.percentile(self.milliseconds, percent))

    @property
    def per_second(self) -> float:
        """Samples a second, runs back to back."""
        return self.batch * len(self.milliseconds) * 1e3 / sum(self.milliseconds)


def bench(name: str, plan: Plan, say: Callable[[str], None] = lambda _line: None) -> list[Result]:
    """Measure a model or a bundle.

    Args:
        name: What `zoo.resolve` takes, or the folder of a bundle.
        plan: What is measured.
        say: Told each setting before it begins.

    Returns:
        A result a setting, those that could not be run among them.
    """
    if is_bundle(name):
        return _bench_bundle(Path(name).expanduser(), plan, say)
    return [result for row in zoo.resolve(name) for result in _bench_row(row, plan, say)]


def backends_on(device: str) -> tuple[str, ...]:
    """Return the backends that a device may have; only running them shows whether it has."""
    from zoo.registry import default_registry

    targets = default_registry().targets()
    on_gpu = (ONNX_TENSORRT,) if device.startswith("cuda") else ()
    return (*IN_TORCH, *targets, *on_gpu)


def _bench_row(row: ModelSpec, plan: Plan, say: Callable[[str], None]) -> list[Result]:
    results = []
    for backend in plan.backends or backends_on(plan.device):
        for precision in plan.precisions or ("float32",):
            load = partial(_load, row, backend, precision, plan)
            results += _settings(row.name, backend, precision, load, plan, say)
    return results


def _bench_bundle(path: Path, plan: Plan, say: Callable[[str], None]) -> list[Result]:
    manifest = read_manifest(path)
    own = manifest.graph.dtype
    there = (ONNX,) if manifest.engine is None else (manifest.engine.target, ONNX)
    results = []
    for backend in plan.backends or there:
        for precision in plan.precisions or (own,):
            load = partial(_open, path, own, backend, precision, plan)
            results += _settings(manifest.facts.name, backend, precision, load, plan, say)
    return results


def _settings(
    model: str,
    backend: str,
    precision: str,
    load: Callable[[], Encoder],
    plan: Plan,
    say: Callable[[str], None],
) -> list[Result]:
    """Measure one backend in one precision at each batch, or say why not."""
    say(f"{model}: {backend}, {precision} ...")

    def absent(batch: int, error: ZooError) -> Result:
        return Result(
            model=model, backend=backend, precision=precision, batch=batch, reason=str(error)
        )

    try:
        encoder = load()
    except ZooError as error:
        return [absent(batch, error) for batch in plan.batches]
    results = []
    for batch in plan.batches:
        try:
            times, clock = measure(encoder, batch, plan)
        except ZooError as error:
            results.append(absent(batch, error))
            continue
        results.append(
            Result(
                model=model,
                backend=backend,
                precision=precision,
                batch=batch,
                sample=sample_shape(encoder.spec.inputs[0], length=plan.length),
                milliseconds=tuple(times),
                clock=clock,
            )
        )
    return results


def measure(encoder: Encoder, samples: int, plan: Plan) -> tuple[list[float], str]:
    """Return the milliseconds of each run of one setting, and the clock's name.

    Raises:
        OptionError: The encoder does not take such a batch, or a GPU has no such clock.
    """
    spec, backend = encoder.spec, encoder.backend
    batch = make_batch(spec, samples, length=plan.length)
    alone = spec.pooling != "none"
    clock: Clock = CpuClock() if plan.cpu_time else WallClock()
    name, fetch = clock.name, True
    if plan.device.startswith("cuda"):
        if plan.cpu_time:
            raise OptionError("The processor's time says nothing of a GPU.")
        resident = backend.name in IN_TORCH or (backend.name == ONNX and find_spec("torch"))
        if resident:
            batch, fetch = _on_device(batch, plan.device), False
        if backend.name in IN_TORCH:
            clock = EventClock(plan.device)
        name = clock.name if resident else COPIES

    def run() -> None:
        encoded = backend.run(batch, normalize=spec.normalize, pooled_only=alone)
        if fetch:
            backend.numpy(encoded.pooled if alone else encoded.tokens)

    return times_of(run, clock, plan.seconds), name


def facts_of_machine(plan: Plan) -> dict[str, Any]:
    """Return what the figures depend on: processor, threads, GPUs with their clocks."""
    gpus = machine.gpus() if plan.device.startswith("cuda") else ()
    return {
        "processor": machine.processor(),
        "cores": machine.cores(),
        "threads": plan.threads,
        "gpus": [
            {
                "name": gpu.name,
                "driver": gpu.driver,
                "clock_mhz": gpu.clock,
                "highest_clock_mhz": gpu.highest_clock,
                "memory_clock_mhz": gpu.memory_clock,
                "watts": gpu.watts,
                "celsius": gpu.celsius,
            }
            for gpu in gpus
        ],
    }


def _load(row: ModelSpec, backend: str, precision: str, plan: Plan) -> Encoder:
    if plan.threads is not None and backend in IN_TORCH:
        import torch

        torch.set_num_threads(plan.threads)
    if backend in IN_TORCH:
        return cast("Encoder", zoo.load(row, backend=backend, dtype=precision,
                                        device=plan.device, weights=plan.weights))  # fmt: skip
    path = target_of(ONNX if backend == ONNX_TENSORRT else backend).bundle(
        row, precision=cast(Any, precision), weights=plan.weights, seed=0, progress=True
    )
    return zoo.open(
        path, runtime=backend, device=device_of(backend, plan.device), threads=plan.threads
    )


def _open(path: Path, own: str, backend: str, precision: str, plan: Plan) -> Encoder:
    if precision != own:
        raise OptionError(f"The bundle is in {own}.")
    if backend in IN_TORCH:
        raise OptionError("A bundle holds no module; give the model's name.")
    return zoo.open(
        path, runtime=backend, device=device_of(backend, plan.device), threads=plan.threads
    )


def _on_device(batch: Batch, device: str) -> Batch:
    import torch

    return {name: cast(Any, torch.from_numpy(array).to(device)) for name, array in batch.items()}
