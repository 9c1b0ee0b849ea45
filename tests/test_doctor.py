"""`zoo doctor`: each trap is found in a record of it, and what is right is left alone."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.bundle_tools import bundle_of as bundle_of, change_manifest, minilm as minilm
from tests.cli_tools import Zoo
from zoo.doctor.checks import (
    Finding,
    cuda_majors,
    driver_too_old,
    engines,
    examine,
    no_driver,
    one_folder,
    tensorrt_of_onnxruntime,
)
from zoo.doctor.facts import (
    FoundEngine,
    Installation,
    built_for,
    installation,
    installed,
    missing_extras,
    pip_lines,
)
from zoo.machine import GpuState
from zoo.manifest import Engine, Verdict
from zoo.records import to_plain
from zoo.runtime.engines import EngineFacts

ADA = GpuState(index=0, name="RTX 4090", capability=(8, 9), driver="580.65.06")
GPU_BOX = Installation(
    packages={"torch": "2.13.0", "onnxruntime-gpu": "1.31.1", "tensorrt-cu13": "10.13.3",
              "tensorrt": "10.13.3", "tensorrt-rtx": "1.7.1.116"},
    torch_cuda="13.0",
    onnxruntime_cuda="13.0",
    driver_cuda=13000,
    gpus=(ADA,),
)  # fmt: skip


def engine_for(*devices: str, target: str = "tensorrt", version: str = "10.13.3") -> Engine:
    return Engine(
        target=target,
        file="engine.plan",
        version=version,
        devices=devices,
        facts=to_plain(EngineFacts(profiles=())),
        verdict=Verdict(outcome="deferred", line="not run yet"),
    )


def only(findings: list[Finding]) -> Finding:
    (finding,) = findings
    return finding


# Each trap


def test_a_sound_machine_has_no_findings() -> None:
    fitting = FoundEngine(path=Path("dist"), engine=engine_for("sm_89"), asked=True)
    assert examine(replace(GPU_BOX, engines=(fitting,))) == []
    assert examine(Installation(packages={"onnxruntime": "1.31.1", "torch": "2.13.0"})) == []


def test_two_builds_of_onnx_runtime_are_one_folder() -> None:
    both = replace(GPU_BOX, packages={**GPU_BOX.packages, "onnxruntime": "1.31.1"})
    finding = only(one_folder(both))
    assert finding.problem
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in finding.text


def test_tensorrt_11_does_not_serve_onnx_runtime() -> None:
    newer = {"tensorrt-cu13": "11.4.0", "tensorrt": "11.4.0"}
    finding = only(tensorrt_of_onnxruntime(replace(GPU_BOX, packages=GPU_BOX.packages | newer)))
    assert not finding.problem  # engines of our own run on it
    assert "needs libnvinfer.so.10; TensorRT 11.4.0 brings libnvinfer.so.11" in finding.text
    assert '"tensorrt-cu13<11"' in finding.text
    assert tensorrt_of_onnxruntime(Installation(packages=newer)) == []


def test_builds_for_different_versions_of_cuda_are_told_apart() -> None:
    mixed = replace(GPU_BOX, torch_cuda="12.8")
    finding = only(cuda_majors(mixed))
    assert finding.problem
    assert "torch for CUDA 12, onnxruntime-gpu for CUDA 13, tensorrt for CUDA 13" in finding.text
    assert not only(cuda_majors(replace(mixed, driver_cuda=None, gpus=()))).problem
    assert cuda_majors(replace(GPU_BOX, torch_cuda="13.2")) == []


def test_a_driver_for_an_older_cuda_is_too_old() -> None:
    old = replace(GPU_BOX, driver_cuda=12040, gpus=(replace(ADA, driver="550.54.15"),))
    findings = driver_too_old(old)
    assert [finding.text.partition("; ")[2].partition(" is")[0] for finding in findings] == [
        "torch", "onnxruntime-gpu", "tensorrt",
    ]  # fmt: skip
    assert "The driver 550.54.15 takes CUDA up to 12.4" in findings[0].text
    assert "Install driver 580 or newer" in findings[0].text
    assert driver_too_old(replace(GPU_BOX, driver_cuda=13020)) == []


def test_packages_for_a_gpu_without_a_driver_are_good_to_know() -> None:
    finding = only(no_driver(replace(GPU_BOX, driver_cuda=None, gpus=())))
    assert not finding.problem
    assert "onnxruntime-gpu, tensorrt, torch cannot use a GPU" in finding.text
    builder = {"tensorrt-rtx": "1.7.1.116", "tensorrt-rtx-cu13-libs": "1.7.1.116"}
    assert no_driver(Installation(packages=builder)) == []


@pytest.mark.parametrize(
    ("engine", "why"),
    [
        (engine_for("sm_80"), "made for sm_80; the GPU here, RTX 4090, is sm_89"),
        (engine_for("sm_89", version="11.1.0"), "made for TensorRT 11.1.0; 10.13.3 is installed"),
        (replace(engine_for("sm_89"), facts={"gpu": 3}), "cannot be opened"),
    ],
)
def test_an_engine_for_another_machine_is_named(engine: Engine, why: str) -> None:
    here = replace(GPU_BOX, engines=(FoundEngine(path=Path("dist/x"), engine=engine, asked=True),))
    finding = only(engines(here))
    assert finding.problem
    assert finding.text.startswith("The engine in dist/x does not run here.")
    assert why in finding.text
    assert "runtime='onnx'" in finding.text


def test_an_engine_of_the_cache_for_another_machine_is_no_problem() -> None:
    here = replace(GPU_BOX, engines=(FoundEngine(path=Path("x"), engine=engine_for("sm_120")),))
    assert not only(engines(here)).problem


def test_an_engine_without_gpu_or_runtime_says_which_is_missing() -> None:
    one = FoundEngine(path=Path("x"), engine=engine_for("sm_89", target="tensorrt-rtx"))
    here = replace(GPU_BOX, engines=(one,))
    assert "There is no NVIDIA GPU here." in only(engines(replace(here, gpus=()))).text
    assert '"encoder-zoo[rtx]"' in only(engines(replace(here, packages={}))).text
    foreign = FoundEngine(path=Path("x"), engine=engine_for("npu", target="somebody-elses"))
    assert engines(replace(here, engines=(foreign,))) == []


def test_one_fitting_gpu_among_several_is_enough() -> None:
    one = FoundEngine(path=Path("x"), engine=engine_for("sm_89"), asked=True)
    other = replace(ADA, index=1, capability=(8, 0))
    assert engines(replace(GPU_BOX, gpus=(other, ADA), engines=(one,))) == []


# How the record is made


def test_packages_are_found_by_their_normal_names() -> None:
    packages = installed()
    assert {"torch", "huggingface-hub", "onnxruntime"} <= packages.keys()


def test_what_a_package_was_built_for_is_read_from_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "acme_gpu-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-gpu\nVersion: 1.0\n")
    (tmp_path / "acme").mkdir()
    build = tmp_path / "acme" / "build.py"
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    build.write_text("name = 'acme'\ncuda: Optional[str] = '13.0'\n")
    assert built_for("acme-gpu", "acme/build.py", "cuda") == "13.0"
    build.write_text("cuda: Optional[str] = None\n")
    assert built_for("acme-gpu", "acme/build.py", "cuda") is None
    assert built_for("acme-gpu", "acme/nowhere.py", "cuda") is None
    assert built_for("acme-nowhere", "acme/build.py", "cuda") is None


def test_missing_extras_come_with_a_pip_line_that_breaks_nothing() -> None:
    requirements = [
        "numpy>=2.0",
        'torch>=2.8; extra == "torch"',
        'encoder-zoo[torch]; extra == "export"',
        'onnx>=1.18; extra == "export"',
        'onnxruntime>=1.22; extra == "cpu"',
        'onnxruntime-gpu>=1.22; extra == "gpu"',
    ]
    on_cpu = ("numpy", "torch", "onnxruntime")
    lacks = missing_extras(on_cpu, requirements)
    assert lacks == {"export": ("onnx",), "gpu": ("onnxruntime-gpu",)}
    assert pip_lines(on_cpu, lacks) == {
        "export": 'python -m pip install "encoder-zoo[export]"  # onnx',
        "gpu": "python -m pip uninstall -y onnxruntime && "
               'python -m pip install "encoder-zoo[gpu]"  # onnxruntime-gpu',
    }  # fmt: skip
    on_gpu = ("torch", "onnx", "onnxruntime-gpu")
    assert pip_lines(on_gpu, missing_extras(on_gpu, requirements)) == {}


def put_engine(bundle: Path) -> None:
    def change(value: dict[str, Any]) -> None:
        value["engine"] = to_plain(engine_for("sm_75", target="tensorrt-rtx"))

    change_manifest(bundle, change)


def test_engines_of_the_cache_are_found_and_what_is_none_passed_over(
    minilm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    put_engine(minilm)
    bundles = tmp_path / "cache" / "bundles"
    bundles.mkdir(parents=True)
    minilm.rename(bundles / "one")
    (bundles / "two").mkdir()
    (bundles / "two" / "manifest.json").write_text("{}")

    (found,) = installation().engines
    assert (found.path, found.engine.devices, found.asked) == (bundles / "one", ("sm_75",), False)


# The command


def test_doctor_examines_a_bundle_that_is_named(
    minilm: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Zoo(capsys, monkeypatch)
    assert run("doctor", minilm).code == 0
    put_engine(minilm)
    ran = run("doctor", minilm)
    assert ran.code == 1
    assert f"{minilm}: tensorrt-rtx 10.13.3 for sm_75" in ran.out
    assert f"Problems\n  The engine in {minilm} does not run here." in ran.out
    (minilm / "golden.safetensors").unlink()
    assert "is not complete: golden.safetensors is missing" in run("doctor", minilm).out
    assert run("doctor", minilm / "nowhere").code == 1
