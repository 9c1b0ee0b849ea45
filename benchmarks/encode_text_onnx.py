"""The part of encode_text.py with `--backend onnx`: a bundle's graph in zoo and in fastembed.

fastembed has an environment of its own (see cold_start.py) and runs as a process that encodes
whenever it is told to. Both have the same graph, texts, number of threads, and their own defaults
for all else. Texts have mixed lengths, or 128 tokens each.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, cast

import numpy as np
from cold_start import fastembed_folder, make_bundle

import zoo
from zoo.encoder import Encoder

Limit = Callable[[list[int]], float]

GOALS = {"mixed": 3.0, "equal": 1.0}  # times fastembed's texts a second
GOAL_OF_LIMIT = 0.75
EQUAL = 128  # tokens

WORKER = """
import json, sys, time
import numpy as np
from fastembed import TextEmbedding
from fastembed.common.model_description import ModelSource, PoolingType
folder, texts, threads = sys.argv[1:]
TextEmbedding.add_custom_model(
    model="local/minilm", pooling=PoolingType.DISABLED, normalization=False,
    sources=ModelSource(hf="local/minilm"), dim=384, model_file="model.onnx",
)
model = TextEmbedding("local/minilm", specific_model_path=folder, threads=int(threads))
texts = json.load(open(texts))
for line in sys.stdin:
    clock, processor = time.perf_counter(), time.process_time()
    vectors = list(model.embed(texts[line.strip()]))
    print(json.dumps([time.perf_counter() - clock, time.process_time() - processor]), flush=True)
    np.save(folder + "/vectors.npy", np.stack(vectors))
"""


def compare(options: Namespace, texts: Sequence[str], eager: Encoder, limit: Limit) -> None:
    """Measure and print.

    Args:
        options: Of the command line.
        texts: Of mixed lengths.
        eager: Whose tokenizer cuts texts of equal length.
        limit: Returns texts a second that the linear layers allow, for texts of these lengths.
    """
    kinds = {"mixed": list(texts), "equal": equal_texts(texts, eager)}
    lengths = {kind: [sample.size for sample in eager.preprocessor.prepare(some)]  # type: ignore[union-attr]  # none is bad
               for kind, some in kinds.items()}  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = make_bundle(options.folder, folder / "bundle")
        place = fastembed_folder(bundle, options.folder, folder / "fastembed")
        (folder / "texts.json").write_text(json.dumps(kinds))
        line = [options.fastembed, "-c", WORKER, str(place), str(folder / "texts.json"),
                str(options.threads)]  # fmt: skip
        ours = cast(Encoder, zoo.open(bundle, threads=options.threads))
        with subprocess.Popen(
            line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as worker:
            result = {
                kind: _measure(kind, some, options, ours, worker, place)
                | {"limit": statistics.median(limit(lengths[kind]) for _ in range(options.rounds))}
                for kind, some in kinds.items()
            }
            worker.terminate()
    if options.json:
        print(json.dumps(result, indent=2))
        return
    for kind, one in result.items():
        print(f"{kind} lengths, {len(kinds[kind])} texts, {sum(lengths[kind])} tokens, "
              f"{options.threads} threads")  # fmt: skip
        for who in ("zoo", "fastembed"):
            print(f"  {who:10}{one[who]:8.1f} texts/s{one[who + ' of processors']:8.1f} texts a "
                  "second of the processors")  # fmt: skip
        print(f"  limit     {one['limit']:8.1f} texts/s, zoo has {one['zoo'] / one['limit']:.2f} "
              f"of it; goal {GOAL_OF_LIMIT}")  # fmt: skip
        spared = one["zoo of processors"] / one["fastembed of processors"]
        print(f"  zoo / fastembed {one['zoo'] / one['fastembed']:.2f}, of processors {spared:.2f}; "
              f"goal {GOALS[kind]}")  # fmt: skip
        print(f"  largest difference {one['difference']:.1e}")


def equal_texts(texts: Sequence[str], eager: Encoder) -> list[str]:
    """Return half as many texts that are all cut to one length by the tokenizer's count."""
    words = " ".join(texts).lower().replace(".", "").split()
    width = EQUAL - 2  # the special tokens around a text
    whole = [word for word in words if _count(eager, word) == 1]
    return [" ".join(whole[(7 * i + k) % len(whole)] for k in range(width))
            for i in range(len(texts) // 2)]  # fmt: skip


def _count(eager: Encoder, word: str) -> int:
    return int(eager.preprocess([word])["input_ids"].shape[1]) - 2


def _measure(
    kind: str,
    texts: list[str],
    options: Namespace,
    ours: Encoder,
    worker: subprocess.Popen[str],
    place: Path,
) -> dict[str, float]:
    """Return median rates of both, in turn; the first round warms up."""
    rates: dict[str, list[float]] = {}
    for number in range(options.rounds + 1):
        clock, processor = time.perf_counter(), time.process_time()
        vectors = ours.encode(texts)
        mine = [time.perf_counter() - clock, time.process_time() - processor]
        requests, answers = cast(IO[str], worker.stdin), cast(IO[str], worker.stdout)
        requests.write(f"{kind}\n")
        requests.flush()
        theirs = json.loads(answers.readline())
        for who, found in (("zoo", mine), ("fastembed", theirs)):
            for unit, seconds in zip(("", " of processors"), found, strict=True):
                if number:
                    rates.setdefault(who + unit, []).append(len(texts) / seconds)
    time.sleep(1)  # the worker saves its vectors after its answer
    difference = float(np.abs(vectors - np.load(place / "vectors.npy")).max())
    medians = {name: statistics.median(found) for name, found in rates.items()}
    return {**medians, "difference": difference}
