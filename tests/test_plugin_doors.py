"""A plugin may bring a target, a reader of weights files and a command; all run for real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.distributions import installed

ROOT = Path(__file__).parent.parent
NAME = "guest-doors"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    code = (ROOT / "tests" / "doors_plugin.py").read_text()
    return installed(tmp_path_factory, {NAME: code})


def run(site: Path, *words: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == code, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout + done.stderr


@pytest.mark.slow
def test_a_target_of_a_plugin_passes_through_the_gate_and_runs(site: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "hog"
    said = run(site, "-m", "zoo", "export", "hog", "--to", "openvino", "--out", str(bundle))
    verified = run(site, "-m", "zoo", "verify", str(bundle))
    engine = json.loads((bundle / "manifest.json").read_text())["engine"]

    assert "parity passed" in said
    assert "openvino" in said
    assert engine["target"] == "openvino"
    assert engine["verdict"]["outcome"] == "passed"
    assert (bundle / "openvino.bin").is_file()
    assert "passed" in verified


@pytest.mark.slow
def test_a_bundle_of_a_plugin_that_is_gone_says_so(site: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "hog"
    run(site, "-m", "zoo", "export", "hog", "--to", "openvino", "--out", str(bundle))

    said = run(tmp_path, "-m", "zoo", "verify", str(bundle), code=1)

    assert "openvino" in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_load_takes_the_target_as_a_backend(site: Path, tmp_path: Path) -> None:
    script = """
import numpy as np, zoo
from tests.tiny_rows import tiny_row
from zoo import samples
row = tiny_row("all-minilm-l6-v2")
eager = zoo.load(row, weights="random")
guest = zoo.load(row, weights="random", backend="openvino")
texts = samples.texts()[:5]
assert guest.backend.name == "openvino"
print(np.abs(guest.encode(texts) - eager.encode(texts)).max())
"""
    found = run(site, "-c", script)

    assert float(found.split()[-1]) < 2e-6


def test_a_reader_of_a_plugin_reads_a_file_that_the_zoo_does_not_know(
    site: Path, tmp_path: Path
) -> None:
    path = tmp_path / "weights.npz"
    script = f"""
from pathlib import Path
import numpy as np, torch
from tests.toys import toy
from zoo.loading import load_module, random_module
from zoo.weights import fetch_weights, local_weights, open_checkpoint
row = toy()
state = random_module(row, seed=3).state_dict()
np.savez({str(path)!r}, **{{name: tensor.numpy() for name, tensor in state.items()}})
fetched = fetch_weights(local_weights(row.weights, Path({str(path)!r})))
module = load_module(row, open_checkpoint(fetched.weights), dtype=torch.float32,
                     device=torch.device("cpu"))
assert all(torch.equal(module.state_dict()[name], state[name]) for name in state)
print("equal tensors:", len(state), fetched.weights[0].name)
"""

    found = run(site, "-c", script)

    assert "equal tensors: 5" in found
    assert "guest-doors-1-0.safetensors" in found  # another version may read otherwise


def test_a_command_of_a_plugin_is_listed_and_runs(site: Path) -> None:
    assert "hello" in run(site, "-m", "zoo", "--help")
    assert "hello from a plugin" in run(site, "-m", "zoo", "hello")


def test_an_unknown_target_is_refused_with_those_that_there_are(site: Path, tmp_path: Path) -> None:
    said = run(site, "-m", "zoo", "export", "hog", "--to", "openvina", "--out", str(tmp_path / "x"),
               code=2)  # fmt: skip

    assert "openvino" in said
