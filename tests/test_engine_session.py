"""The order of calls when an engine runs, against a fake GPU: there is none where the tests run.

The fakes compute nothing but a doubling, and prove nothing about TensorRT: only that buffers,
contexts, graphs and streams are used in the order that its documentation asks for.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from zoo.errors import BundleError
from zoo.manifest import Facts, Graph
from zoo.preprocess import Array
from zoo.runtime import trt_session
from zoo.runtime.engines import EngineFacts
from zoo.runtime.profiles import profiles_for
from zoo.runtime.tensorrt import TensorrtBackend
from zoo.runtime.trt_module import Vendor
from zoo.runtime.trt_session import EngineSession
from zoo.spec import Dim, TensorSpec, TextPreprocess

BATCH = Dim(name="batch", min=1, typical=1, max=4)
LENGTH = Dim(name="length", min=1, typical=16, max=40)
INPUTS = (
    TensorSpec(name="ids", dtype="int64", shape=(BATCH, LENGTH), padding="masked"),
    TensorSpec(name="mask", dtype="int64", shape=(BATCH, LENGTH), padding="masked", skippable=True),
)


class FakeDriver:
    """Memory of this process as a GPU's; notes what it is told."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.memory: dict[int, Array] = {}
        self.work: Callable[[], None] | None = None
        self.forgotten = 0
        self.released = False

    def use(self) -> None:
        self.calls.append("use")

    def stream(self) -> int:
        return 7

    def allocate(self, size: int) -> int:
        address = 1000 * (len(self.memory) + 1)
        self.memory[address] = np.zeros(size, np.uint8)
        return address

    def pinned(self, size: int) -> Array:
        return np.zeros(size, np.uint8)

    def upload(self, target: int, source: Array, size: int, stream: int) -> None:
        assert stream == 7
        self.memory[target][:size] = source[:size]
        self.calls.append("upload")

    def download(self, target: Array, source: int, size: int, stream: int) -> None:
        assert stream == 7
        target[:size] = self.memory[source][:size]
        self.calls.append("download")

    def wait(self, stream: int) -> None:
        self.calls.append("wait")

    def record(self, stream: int, work: Callable[[], None]) -> Callable[[], None]:
        self.calls.append("record")
        return work

    def replay(self, graph: Callable[[], None], stream: int) -> None:
        self.calls.append("replay")
        graph()

    def forget(self, graph: object) -> None:
        self.forgotten += 1

    def release(self) -> None:
        self.released = True


class FakeContext:
    """A context whose output is twice the ids, as float32."""

    def __init__(self, driver: FakeDriver, settings: object) -> None:
        self.driver, self.settings = driver, settings
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}
        self.profile = -1

    def set_optimization_profile_async(self, index: int, stream: int) -> bool:
        self.profile = index
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.shapes[name] = shape
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.shapes["ids"]

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        self.driver.calls.append(f"execute {self.profile} {self.shapes['ids']}")
        size = int(np.prod(self.shapes["ids"]))
        ids = self.driver.memory[self.addresses["ids"]].view(np.int64)[:size]
        out = self.driver.memory[self.addresses["tokens"]].view(np.float32)
        out[:size] = 2.0 * ids
        return True


class FakeCache:
    """A cache of kernels."""

    def __init__(self) -> None:
        self.given = b""

    def deserialize(self, data: bytes) -> bool:
        self.given = data
        return True

    def serialize(self) -> bytes:
        return b"kernels"


class FakeEngine:
    """An engine of three tensors."""

    names = ("ids", "mask", "tokens")

    def __init__(self, driver: FakeDriver, profiles: int) -> None:
        self.driver = driver
        self.num_io_tensors = 3
        self.num_optimization_profiles = profiles
        self.contexts: list[FakeContext] = []
        self.cache = FakeCache()

    def get_tensor_name(self, index: int) -> str:
        return self.names[index]

    def get_tensor_dtype(self, name: str) -> str:
        return "float32" if name == "tokens" else "int64"

    def create_execution_context(self, settings: object = None) -> FakeContext:
        self.contexts.append(FakeContext(self.driver, settings))
        return self.contexts[-1]

    def create_runtime_config(self) -> Any:
        return SimpleNamespace(
            create_runtime_cache=lambda: self.cache, set_runtime_cache=lambda cache: None
        )


class FakeRuntime:
    """A runtime that loads one engine."""

    def __init__(self, engine: FakeEngine | None) -> None:
        self.engine = engine
        self.logger = SimpleNamespace(errors=["Magic tag does not match."])

    def deserialize_cuda_engine(self, plan: bytes) -> FakeEngine | None:
        return self.engine


def vendor(target: str = "tensorrt") -> Vendor:
    """Return a package whose types are numpy's names."""
    module = SimpleNamespace(
        nptype=lambda name: np.dtype(name).type,
        CudaGraphStrategy=SimpleNamespace(WHOLE_GRAPH_CAPTURE="whole"),
    )
    return Vendor(target=target, title="TensorRT", module=module, version="11.4", extra="gpu")


def opened(
    batches: tuple[int, ...] = (), kernels: Path | None = None
) -> tuple[EngineSession, FakeEngine, FakeDriver]:
    """Return a session over fakes."""
    driver = FakeDriver()
    profiles = profiles_for(INPUTS, batches)
    engine = FakeEngine(driver, len(profiles))
    session = EngineSession(
        vendor(), FakeRuntime(engine), b"plan", profiles, INPUTS, driver, kernels=kernels
    )
    driver.calls.clear()
    return session, engine, driver


def feeds(samples: int, tokens: int) -> Mapping[str, Array]:
    """Return ids and a full mask."""
    ids = np.arange(samples * tokens).reshape(samples, tokens)
    return {"ids": ids, "mask": np.ones_like(ids)}


def test_a_run_uploads_executes_downloads_and_waits_in_that_order() -> None:
    session, _, driver = opened()
    found = session.run(feeds(2, 5), profile=0, filling=0)

    np.testing.assert_array_equal(found["tokens"], 2.0 * feeds(2, 5)["ids"])
    assert driver.calls == ["use", "upload", "upload", "execute 0 (2, 16)", "download", "wait"]


def test_the_second_run_of_a_shape_is_recorded_and_later_ones_are_replayed() -> None:
    session, _, driver = opened()
    for tokens in (5, 9, 16):  # one shape, once they are padded
        found = session.run(feeds(2, tokens), profile=0, filling=0)
        assert found["tokens"].shape == (2, tokens)
    steps = [call for call in driver.calls if call.startswith(("exe", "rec", "rep"))]
    assert steps == ["execute 0 (2, 16)", "record", "replay", "execute 0 (2, 16)", "replay",
                     "execute 0 (2, 16)"]  # fmt: skip


def test_what_is_returned_does_not_change_with_the_next_run() -> None:
    session, _, _ = opened()
    first = session.run(feeds(1, 4), profile=0, filling=0)["tokens"]
    kept = first.copy()
    session.run({name: array + 50 for name, array in feeds(1, 4).items()}, profile=0, filling=0)
    np.testing.assert_array_equal(first, kept)


def test_every_profile_has_a_context_and_all_share_the_buffers() -> None:
    session, engine, driver = opened((1, 4))
    session.run(feeds(1, 3), profile=0, filling=0)
    session.run(feeds(3, 3), profile=1, filling=0)

    assert [context.profile for context in engine.contexts] == [0, 1]
    assert engine.contexts[0].addresses == engine.contexts[1].addresses
    assert "execute 1 (4, 16)" in driver.calls
    assert [len(memory) for memory in driver.memory.values()] == [
        4 * 40 * 8,
        4 * 40 * 8,
        4 * 40 * 4,
    ]


def test_padding_is_the_filling_in_ids_and_nothing_in_masks() -> None:
    session, engine, driver = opened()
    session.run(feeds(1, 3), profile=0, filling=9)
    addresses = engine.contexts[0].addresses
    ids, mask = (driver.memory[addresses[name]].view(np.int64)[:16] for name in ("ids", "mask"))
    assert ids.tolist() == [0, 1, 2] + [9] * 13
    assert mask.tolist() == [1] * 3 + [0] * 13


def test_graphs_beyond_the_limit_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trt_session, "GRAPHS", 1)
    session, _, driver = opened()
    for tokens in (3, 3, 20, 20, 3):
        session.run(feeds(1, tokens), profile=0, filling=0)
    assert driver.forgotten == 2
    assert driver.calls.count("record") == 3


def test_the_gpus_memory_is_given_back_with_the_session() -> None:
    session, engine, driver = opened()
    assert not driver.released
    del session, engine
    gc.collect()
    assert driver.released


def test_rtx_records_by_itself_and_keeps_its_kernels(tmp_path: Path) -> None:
    kernels = tmp_path / "kernels.bin"
    session, engine, driver = opened(kernels=kernels)
    for _ in range(3):
        session.run(feeds(2, 5), profile=0, filling=0)

    assert "record" not in driver.calls
    assert engine.contexts[0].settings.cuda_graph_strategy == "whole"  # type: ignore[attr-defined]
    assert kernels.read_bytes() == b"kernels"
    _, again, _ = opened(kernels=kernels)
    assert again.cache.given == b"kernels"


def test_an_engine_that_cannot_be_loaded_says_what_the_runtime_said() -> None:
    driver = FakeDriver()
    with pytest.raises(BundleError, match=r"cannot load the engine: Magic tag does not match\."):
        EngineSession(vendor(), FakeRuntime(None), b"", profiles_for(INPUTS), INPUTS, driver)


def test_an_engine_of_another_graph_is_refused() -> None:
    driver = FakeDriver()
    other = FakeEngine(driver, 2)
    with pytest.raises(BundleError, match="does not belong to this bundle"):
        EngineSession(vendor(), FakeRuntime(other), b"", profiles_for(INPUTS), INPUTS, driver)


# The backend above it


def test_a_large_batch_runs_in_pieces_and_comes_back_whole() -> None:
    session, _, driver = opened()
    facts = EngineFacts(profiles=profiles_for(INPUTS))
    recipe = TextPreprocess(tokenizer=(), max_length=40, pad_id=1)
    spec = Facts(
        name="x", modality="text", license="MIT", dim=4, pooling="none", normalize=False,
        outputs=("tokens",), inputs=INPUTS, preprocess=recipe,
    )  # fmt: skip
    graph = Graph(opset=22, outputs=("tokens",), mask="mask")
    backend = TensorrtBackend(session, spec, graph, facts, device="cuda:0")

    encoded = backend.run(dict(feeds(10, 6)), normalize=False)
    np.testing.assert_array_equal(encoded.tokens, 2.0 * feeds(10, 6)["ids"])
    assert [call for call in driver.calls if call.startswith("execute")] == [
        "execute 0 (4, 16)", "execute 0 (4, 16)", "execute 0 (2, 16)"]  # fmt: skip
    assert encoded.mask is not None
    assert encoded.mask.dtype == bool
    assert backend.filling == 1
