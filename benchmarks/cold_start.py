r"""From a cold process to the first vector of a bundle: zoo, fastembed, sentence-transformers.

    python benchmarks/cold_start.py --model FOLDER --fastembed PYTHON --optimum PYTHON [--runs 9]

FOLDER holds the official files of all-MiniLM-L6-v2. The peers need environments of their own, as
fastembed wants huggingface_hub below 2 and optimum-onnx transformers below 4.58:

    python -m venv fast && fast/bin/pip install fastembed onnxruntime==1.31.1
    python -m venv optimum && optimum/bin/pip install torch==2.13.0 onnxruntime==1.31.1 \
        optimum-onnx sentence-transformers

fastembed runs the graph of zoo's bundle; sentence-transformers cannot, and runs the one that
optimum-onnx exports from the same weights. A line is the whole life of a process. Rounds alternate,
medians are shown: seconds of the clock, and of the processors, which other work on the machine
changes less.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

MODEL = "all-minilm-l6-v2"
TEXT = "This is an example sentence"
GOAL_SECONDS = 0.6
GOAL_OF_FASTEMBED = 0.7

ZOO = """
import zoo
vector = zoo.open({folder!r}).encode({text!r})
assert vector.shape == (384,)
"""
FASTEMBED = """
from fastembed import TextEmbedding
from fastembed.common.model_description import ModelSource, PoolingType
TextEmbedding.add_custom_model(
    model="local/minilm", pooling=PoolingType.DISABLED, normalization=False,
    sources=ModelSource(hf="local/minilm"), dim=384, model_file="model.onnx",
)
model = TextEmbedding("local/minilm", specific_model_path={folder!r})
(vector,) = model.embed([{text!r}])
assert vector.shape == (384,)
"""
SENTENCE_TRANSFORMERS = """
from sentence_transformers import SentenceTransformer
model = SentenceTransformer({folder!r}, backend="onnx", device="cpu",
                            model_kwargs={{"file_name": "onnx/model.onnx"}})
vector = model.encode({text!r})
assert vector.shape == (384,)
"""
EXPORT = """
from sentence_transformers import SentenceTransformer
model = SentenceTransformer({source!r}, backend="onnx", device="cpu",
                            model_kwargs={{"export": True}})
model.save_pretrained({folder!r})
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="the official files")
    parser.add_argument("--fastembed", help="Python that has fastembed")
    parser.add_argument("--optimum", help="Python that has sentence-transformers and optimum-onnx")
    parser.add_argument("--runs", type=int, default=9, help="cold processes a line")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = make_bundle(options.model, folder / "bundle")
        code = ZOO.format(folder=str(bundle), text=TEXT)
        lines = {"python": [sys.executable, "-c", "pass"], "zoo": [sys.executable, "-c", code]}
        if options.fastembed:
            place = fastembed_folder(bundle, options.model, folder / "fastembed")
            code = FASTEMBED.format(folder=str(place), text=TEXT)
            lines["fastembed"] = [options.fastembed, "-c", code]
        if options.optimum:
            place = folder / "sentence-transformers"
            code = EXPORT.format(source=str(options.model), folder=str(place))
            run([options.optimum, "-c", code])
            code = SENTENCE_TRANSFORMERS.format(folder=str(place), text=TEXT)
            lines["sentence-transformers"] = [options.optimum, "-c", code]
        clock, processor = measure(lines, options.runs)
    result = {
        "runs": options.runs,
        "seconds": clock,
        "processor_seconds": processor,
        "zoo_of": {name: {"seconds": clock["zoo"] / clock[name],
                          "processor_seconds": processor["zoo"] / processor[name]}
                   for name in ("fastembed", "sentence-transformers") if name in lines},
    }  # fmt: skip
    if options.json:
        print(json.dumps(result, indent=2))
        return
    print(f"medians of {options.runs} cold processes\n{'':24}seconds   of processors")
    for name in lines:
        print(f"{name:24}{clock[name]:7.3f}{processor[name]:16.3f}")
    print(f"zoo: {clock['zoo']:.2f} s, goal {GOAL_SECONDS}")
    for name, part in result["zoo_of"].items():  # type: ignore[attr-defined]  # a dict, above
        print(f"zoo / {name}: {part['seconds']:.2f} of the clock, "
              f"{part['processor_seconds']:.2f} of the processors"
              + (f"; goal {GOAL_OF_FASTEMBED}" if name == "fastembed" else ""))  # fmt: skip
    for name, flag in (("fastembed", "--fastembed"), ("sentence-transformers", "--optimum")):
        if name not in lines:
            print(f"{name}: not measured, no {flag}")


def make_bundle(source: Path, place: Path) -> Path:
    """Export the model in a process of its own."""
    run([sys.executable, "-m", "zoo", "export", MODEL, "--weights", str(source), "-o", str(place)])
    return place


def fastembed_folder(bundle: Path, source: Path, place: Path) -> Path:
    """Return a folder with a bundle's graph and the tokenizer files that fastembed reads."""
    place.mkdir()
    for path in bundle.glob("model.onnx*"):
        shutil.copy(path, place)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json",
                 "special_tokens_map.json"):  # fmt: skip
        shutil.copy(source / name, place)
    return place


def measure(
    lines: Mapping[str, Sequence[str]], runs: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the median seconds of the clock and of the processors; the first round is dropped."""
    clock: dict[str, list[float]] = {name: [] for name in lines}
    processor: dict[str, list[float]] = {name: [] for name in lines}
    for _ in range(runs + 1):
        for name, line in lines.items():
            before, start = os.times(), time.perf_counter()
            run(line)
            clock[name].append(time.perf_counter() - start)
            after = os.times()
            processor[name].append(
                after.children_user + after.children_system
                - before.children_user - before.children_system
            )  # fmt: skip
    return (
        {name: statistics.median(times[1:]) for name, times in clock.items()},
        {name: statistics.median(times[1:]) for name, times in processor.items()},
    )


def run(line: Sequence[str]) -> None:
    """Run a process to its end; what it says is shown if it fails."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # installed packages are compiled
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(line)[:300]}\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
