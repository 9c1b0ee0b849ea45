"""`zoo bench` times what runs, and says of the rest why it does not."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import zoo
from tests.bundle_tools import BundleOf, bundle_of as bundle_of, change_manifest, minilm as minilm
from tests.cli_tools import Zoo
from tests.test_packaging import without
from tests.tiny_rows import tiny_row
from zoo.bench import COPIES, Plan, Result, backends_on, bench
from zoo.cli.bench import machine_line, show
from zoo.clocks import LEAST_RUNS, WARM_RUNS, CpuClock, WallClock, times_of
from zoo.errors import OptionError
from zoo.machine import parse_gpus
from zoo.noise import make_batch

QUICK = Plan(seconds=0.01, batches=(1, 3))
SMI = """\
0, NVIDIA H200, 9.0, 580.65.06, 1980, 1980, 3201, 118.52, 34
1, NVIDIA GeForce RTX 4090, 8.9, 570.86.10, 210, 3105, [N/A], 12.00, 30
Failed to initialize NVML: Driver/library version mismatch
"""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Zoo:
    return Zoo(capsys, monkeypatch)


# What is run


def test_every_setting_is_timed_on_every_backend() -> None:
    results = bench("hog", replace(QUICK, backends=("eager", "onnx")))

    assert [(one.backend, one.batch) for one in results] == [
        ("eager", 1), ("eager", 3), ("onnx", 1), ("onnx", 3),
    ]  # fmt: skip
    for one in results:
        assert one.reason == ""
        assert len(one.milliseconds) >= LEAST_RUNS
        assert 0 < one.percentile(50) <= one.percentile(99)
        assert one.clock == "wall"


def test_a_bundle_is_timed_in_its_own_precision_alone(bundle_of: BundleOf) -> None:
    plan = replace(QUICK, backends=("onnx", "eager"), precisions=("float32", "float16"))
    results = bench(str(bundle_of("hog")), replace(plan, batches=(2,)))

    reasons = {(one.backend, one.precision): one.reason for one in results}
    assert reasons == {
        ("onnx", "float32"): "",
        ("onnx", "float16"): "The bundle is in float32.",
        ("eager", "float32"): "A bundle holds no module; give the model's name.",
        ("eager", "float16"): "The bundle is in float32.",
    }


def test_tensorrt_inside_onnx_runtime_is_tried_on_a_gpu_and_says_what_is_missing() -> None:
    assert "onnx-tensorrt" in backends_on("cuda:1")
    assert "onnx-tensorrt" not in backends_on("cpu")
    plan = replace(QUICK, backends=("onnx-tensorrt",), device="cuda", batches=(1,))
    (result,) = bench("hog", plan)
    assert "it has no TensorrtExecutionProvider" in result.reason


def test_a_length_that_is_not_taken_is_a_reason(bundle_of: BundleOf) -> None:
    path = str(bundle_of("all-minilm-l6-v2"))
    (result,) = bench(path, replace(QUICK, batches=(1,), length=100_000))
    assert result.reason.endswith("tokens; 100000 are asked for.")
    (result,) = bench(path, replace(QUICK, batches=(1,), length=7))
    assert result.milliseconds
    assert result.sample == (7,)


def test_a_backend_that_cannot_run_here_is_listed_with_the_reason(run: Zoo) -> None:
    ran = run("bench", "hog", "--backend", "eager,nonsense", "--batch", "1", "--seconds", "0.01")
    assert ran.code == 0
    assert "nonsense, float32: There is no backend 'nonsense'" in ran.out


def test_a_model_that_nothing_can_run_here_is_an_error(run: Zoo) -> None:
    ran = run("bench", "hog", "--backend", "nonsense")
    assert ran.code == 1
    assert "There is no backend 'nonsense'" in ran.out
    assert "Nothing could be run here" in ran.err


def test_a_bundle_is_timed_without_torch(bundle_of: BundleOf, tmp_path: Path) -> None:
    code = f"""
from zoo.bench import Plan, bench
(result,) = bench({str(bundle_of("all-minilm-l6-v2"))!r}, Plan(seconds=0.01, batches=(2,)))
print(json.dumps([result.reason, len(result.milliseconds)]))
"""
    reason, runs = json.loads(without(("torch", "zoo_text", "zoo_export"), code, tmp_path))
    assert reason == ""
    assert runs >= LEAST_RUNS


def test_a_damaged_bundle_is_an_absence_too(minilm: Path) -> None:
    change_manifest(minilm, lambda value: value["verdict"].update(outcome="refused"))
    (result,) = bench(str(minilm), replace(QUICK, batches=(1,)))
    assert "was not proven equal" in result.reason


# How it is timed


class TenMilliseconds:
    """A clock by which every run takes the same time, however busy the machine is."""

    name = "ten"

    def __call__(self, run: Callable[[], object]) -> float:
        run()
        return 10.0


def test_some_runs_warm_up_and_are_not_counted() -> None:
    calls: list[float] = []
    times = times_of(lambda: calls.append(0.0), TenMilliseconds(), 1e-6)
    assert len(times) == LEAST_RUNS
    assert len(calls) >= LEAST_RUNS + WARM_RUNS


def test_runs_are_measured_as_long_as_asked() -> None:
    assert len(times_of(lambda: None, TenMilliseconds(), 0.2)) == 20


def test_waiting_takes_time_and_costs_no_processor() -> None:
    assert WallClock()(lambda: time.sleep(0.2)) >= 200
    assert CpuClock()(lambda: time.sleep(0.2)) < 100


def test_processor_time_is_refused_for_a_gpu(bundle_of: BundleOf) -> None:
    from zoo.bench import measure

    encoder = zoo.open(bundle_of("hog"))
    with pytest.raises(OptionError, match="says nothing of a GPU"):
        measure(encoder, 1, replace(QUICK, device="cuda", cpu_time=True))


def test_a_batch_has_typical_sizes_and_no_padding() -> None:
    batch = make_batch(tiny_row("all-minilm-l6-v2"), 3, length=9)
    assert {name: array.shape for name, array in batch.items()} == {
        "input_ids": (3, 9), "attention_mask": (3, 9),
    }  # fmt: skip
    assert batch["attention_mask"].all()
    assert batch["input_ids"].max() < (tiny_row("all-minilm-l6-v2").vocab or 0)
    pixels = make_batch(tiny_row("resnet-18"), 2)["pixels"]
    assert (pixels.dtype, pixels.shape[:2]) == (np.float32, (2, 3))


# How it is shown


def test_the_table_has_what_ran_and_below_it_what_did_not() -> None:
    ran = Result(model="m", backend="onnx", precision="float32", batch=4, clock=COPIES,
                 sample=(3, 32, 48), milliseconds=(1.0, 2.0, 3.0))  # fmt: skip
    absent = Result(model="m", backend="tensorrt", precision="float16", batch=4, reason="No GPU.")

    first, second, *rest = show([ran, absent, replace(absent, batch=8)]).splitlines()
    assert first.split() == ["model", "backend", "precision", "batch", "sample", "p50_ms",
                             "p99_ms", "per_second", "runs", "clock"]  # fmt: skip
    assert second.split()[3:] == ["4", "3x32x48", "2.00", "2.98", "2000.0", "3", "wall+copies"]
    assert rest == ["", "Not run:", "tensorrt, float16: No GPU."]


def test_json_has_the_machine_and_every_run(run: Zoo, bundle_of: BundleOf) -> None:
    ran = run("bench", bundle_of("hog"), "--batch", "1", "--seconds", "0.01", "--threads", "1",
              "--cpu-time", "--json")  # fmt: skip
    assert ran.code == 0, ran.err
    (result,) = ran.json["results"]
    assert len(result["runs_ms"]) >= LEAST_RUNS
    assert result["clock"] == "cpu"
    assert ran.json["machine"]["threads"] == 1
    assert ran.json["machine"]["processor"]


def test_clocks_of_gpus_are_stated() -> None:
    one, other = parse_gpus(SMI)
    assert (one.name, one.capability, one.driver) == ("NVIDIA H200", (9, 0), "580.65.06")
    assert (one.clock, one.watts) == (1980, 118.52)
    assert (other.index, other.memory_clock) == (1, None)
    line = machine_line({
        "processor": "P", "cores": 2, "threads": None,
        "gpus": [{"name": "G", "driver": "D", "clock_mhz": 210.0, "highest_clock_mhz": 3105.0,
                  "memory_clock_mhz": 405.0, "watts": 12.0, "celsius": 30.0}],
    })  # fmt: skip
    assert "G, driver D, at 210.0 of 3105.0 MHz, memory 405.0 MHz" in line


@pytest.mark.parametrize(
    "words", [("--batch", "0"), ("--batch", "1,x"), ("--precision", "int4"), ("--seconds", "0")]
)
def test_words_that_make_no_sense_are_wrong_usage(words: tuple[str, str], run: Zoo) -> None:
    assert run("bench", "hog", *words).code == 2
