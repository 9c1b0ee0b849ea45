"""Thousands of broken files: a ZooError or the right answer, soon, and in bounded memory.

Each kind of file is mutated from a good one, as bytes and as JSON, with a seed; a failure names the
seed, so that it can be repeated.
"""

from __future__ import annotations

import copy
import json
import math
import random
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load, save

from zoo.errors import ZooError
from zoo.spec import WeightsSpec
from zoo.weights import fetch_weights, open_checkpoint, open_repo

CASES = 500  # of each kind
SECONDS = 5.0  # of the processor, for one case; a case takes about a millisecond
MEGABYTES = 400  # of new memory at the peak; a header may claim any number of exabytes

TENSORS = {
    "embeddings.weight": torch.arange(12.0).reshape(3, 4),
    "layer.0.bias": torch.ones(3, dtype=torch.float16),
    "layer.1.bias": torch.arange(3),
    "scalar": torch.tensor(1.5, dtype=torch.bfloat16),
}
CONFIG = {
    "model_type": "bert", "hidden_size": 384, "layer_norm_eps": 1e-12, "is_decoder": False,
    "architectures": ["BertModel"], "id2label": {"0": "a", "1": "b"}, "pad_token_id": None,
}  # fmt: skip
ODD: list[Any] = [
    None, True, -1, 0, 2**31, 2**63, 2**64, 10**400, -(2**63), 1.5, 1e308, math.nan, math.inf, "",
    "x" * 100_000, "\0", "../../etc/passwd", "\ud800", [], {}, [[]], {"": {}}, [0] * 1000,
]  # fmt: skip


def deep(seed: random.Random) -> bytes:
    """Return JSON nested tens of thousands deep, or one that only begins so."""
    depth = seed.choice([100, 990, 5_000, 100_000])
    opening, closing = seed.choice([(b"[", b"]"), (b'{"a":', b"}")])
    return opening * depth + b"1" + closing * (depth if seed.random() < 0.7 else depth // 2)


def broken_bytes(data: bytes, seed: random.Random) -> bytes:
    """Return bytes with a few local damages."""
    found = bytearray(data)
    for _ in range(seed.choice([1, 1, 1, 2, 5])):
        at = seed.randrange(len(found) + 1)
        match seed.randrange(8):
            case 0 | 1 if at < len(found):
                found[at] ^= 1 << seed.randrange(8)
            case 2:
                del found[at:]
            case 3:
                del found[at : at + seed.randrange(1, 9)]
            case 4:
                found[at:at] = seed.randbytes(seed.randrange(1, 9))
            case 5:
                found[at:at] = found[at : at + seed.randrange(1, 40)]
            case 6:
                found[at : at + 1] = seed.choice([b"\0", b"\xff", b'"', b"\\u0000", b"{", b"]"])
            case 7:
                found += seed.randbytes(seed.randrange(1, 200))
    return bytes(found)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every container and key in a JSON value."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from places(value[key])


def broken_json(value: Any, seed: random.Random) -> bytes:
    """Return JSON with a few values or keys replaced, removed or said twice."""
    value = json.loads(json.dumps(value))
    for _ in range(seed.choice([1, 1, 2, 4])):
        spots = list(places(value))
        if not spots:
            break
        parent, key = seed.choice(spots)
        match seed.randrange(5):
            case 0 | 1 | 2:
                parent[key] = copy.deepcopy(seed.choice(ODD))
            case 3:
                del parent[key]
            case 4 if isinstance(parent, dict):
                parent[seed.choice(["", "\0", "__metadata__", "shape", "a" * 1000, "../x"])] = (
                    parent.pop(key)
                )
    text = json.dumps(value).encode()
    match seed.randrange(10):
        case 0:
            return deep(seed)
        case 1:  # a key that stands twice
            return text.replace(b"{", b"{" + text[1 : text.find(b",")] + b",", 1)
        case 2:
            return text.replace(b":", b":" + deep(seed) + b',"z":', 1)
        case 3:
            return seed.choice([b"\xef\xbb\xbf", b"\xff\xfe", b"\0", b" " * 9999]) + text
        case _:
            return text


def broken_safetensors(seed: random.Random) -> bytes:
    """Return a damaged safetensors file."""
    good = save(TENSORS, metadata={"format": "pt"})
    length = struct.unpack("<Q", good[:8])[0]
    header, body = good[8 : 8 + length], good[8 + length :]
    match seed.randrange(6):
        case 0:
            return broken_bytes(good, seed)
        case 1:  # the header alone
            header = broken_bytes(header, seed)
        case 2:
            odd = [0, 1, length - 1, length + 1, 2**31, 2**32, 2**63, 2**64 - 1, 25_000_001]
            return struct.pack("<Q", seed.choice(odd)) + header + body
        case 3:
            body = broken_bytes(body, seed)
        case _:
            header = broken_json(json.loads(header), seed)
    return struct.pack("<Q", len(header)) + header + body


def try_safetensors(folder: Path, seed: random.Random) -> bool:
    """Read a damaged file; returns whether it was taken."""
    data = broken_safetensors(seed)
    path = folder / "model.safetensors"
    path.write_bytes(data)
    try:
        checkpoint = open_checkpoint([path])
        tensors = {name: checkpoint.tensor(name) for name in checkpoint.header}
    except ZooError:
        return False
    right = load(data)  # safetensors' own reading of the same bytes
    assert tensors.keys() == right.keys()
    for name, tensor in right.items():
        assert checkpoint.header[name] == tuple(tensor.shape)
        assert tensors[name].dtype == tensor.dtype
        ours, theirs = (each.reshape(-1).view(torch.uint8) for each in (tensors[name], tensor))
        assert torch.equal(ours, theirs)
    return True


def try_index(folder: Path, seed: random.Random) -> bool:
    """Fetch a split checkpoint whose index is damaged; returns whether it was taken."""
    names = list(TENSORS)
    shards = {"one.safetensors": names[:2], "two.safetensors": names[2:]}
    for shard, held in shards.items():
        if not (folder / shard).exists():
            (folder / shard).write_bytes(save({name: TENSORS[name] for name in held}))
    index = {
        "metadata": {"total_size": 1},
        "weight_map": {name: shard for shard, held in shards.items() for name in held},
    }
    good = json.dumps(index).encode()
    data = broken_bytes(good, seed) if seed.random() < 0.4 else broken_json(index, seed)
    (folder / "model.safetensors.index.json").write_bytes(data)
    try:
        fetched = fetch_weights(WeightsSpec(source=str(folder)))
    except ZooError:
        return False
    assert {path.name for path in fetched.weights} <= shards.keys()
    found = json.loads(data)["weight_map"]
    assert open_checkpoint(fetched.weights).header == {
        name: tuple(TENSORS[name].shape) for name in found
    }
    return True


def try_config(folder: Path, seed: random.Random) -> bool:
    """Read a damaged config.json; returns whether it was taken."""
    good = json.dumps(CONFIG).encode()
    data = broken_bytes(good, seed) if seed.random() < 0.5 else broken_json(CONFIG, seed)
    (folder / "config.json").write_bytes(data)
    try:
        value = open_repo(str(folder)).json("config.json")
    except ZooError:
        return False
    assert json.dumps(value) == json.dumps(json.loads(data))  # NaN is not equal to itself
    return True


def try_pickle(folder: Path, seed: random.Random) -> bool:
    """Convert a damaged pickle; returns whether it was taken."""
    path = folder / "pytorch_model.bin"
    zipped = seed.random() < 0.5
    torch.save({"state_dict": TENSORS}, path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(broken_bytes(path.read_bytes(), seed))
    try:
        fetched = fetch_weights(WeightsSpec(source=str(folder)))
        with safe_open(fetched.weights[0], framework="pt") as converted:
            assert set(converted.keys())
    except ZooError:
        return False
    return True


def peak() -> float:
    """Return the most memory that was resident since the last reset, megabytes."""
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1000


@pytest.mark.parametrize(
    ("attempt", "few"),
    [(try_safetensors, 20), (try_index, 20), (try_config, 50), (try_pickle, 5)],
    ids=["safetensors", "index", "config", "pickle"],
)
def test_damaged_files_end_in_a_zoo_error_or_the_right_answer(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    attempt: Callable[[Path, random.Random], bool],
    few: int,
) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "zoo"))
    folder = tmp_path / "model"
    folder.mkdir()
    Path("/proc/self/clear_refs").write_text("5")  # begin to count the peak anew
    before = peak()

    taken = 0
    for number in range(CASES):
        start = time.process_time()
        try:
            taken += attempt(folder, random.Random(number))
        except Exception as error:
            raise AssertionError(f"seed {number}: {type(error).__name__}: {error}") from error
        assert time.process_time() - start < SECONDS, f"seed {number}"

    assert peak() - before < MEGABYTES
    # Neither all refused nor all taken: the damages reach what is behind the first check.
    assert few < taken < CASES - few
