"""What only the network tells: shapes, FLOPs, memory; on the meta device, without memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from zoo.errors import ZooError
from zoo.frozen import FrozenMap
from zoo.records import to_plain
from zoo.spec import Dim, ModelSpec

# The length that FLOPs are stated at, where a row takes any: a short paragraph, five seconds.
LENGTHS = {"text": 128, "audio": 80_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Numbers of one row.

    Attributes:
        digest: Of what they follow from; another config has another.
        input: Name of an input to its shape, one sample.
        outputs: Name of an output to its shape for that input.
        flops: Of that pass, a multiplication and an addition counted as two.
        activations: Bytes that its tensors take at most at once, in float32, besides parameters.
        problem: Why there are none, if that is so.
    """

    digest: str
    input: Mapping[str, tuple[int, ...]] = FrozenMap()
    outputs: Mapping[str, tuple[int, ...]] = FrozenMap()
    flops: int = 0
    activations: int = 0
    problem: str = ""


def digest_of(row: ModelSpec) -> str:
    """Return what says whether numbers still hold: config and inputs."""
    parts = [to_plain(part, defaults=False) for part in (row.config, row.inputs, row.preprocess)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def typical_shapes(row: ModelSpec) -> dict[str, tuple[int, ...]]:
    """Return the shape of each input for one sample of typical size."""
    return {tensor.name: tuple(_size(row, size) for size in tensor.shape) for tensor in row.inputs}


def measure(row: ModelSpec) -> Measured:
    """Run the row's network on the meta device; needs torch."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from zoo.cards.peak import PeakMode
    from zoo.nn.meta import on_meta

    digest, shapes = digest_of(row), typical_shapes(row)
    if row.export == "none" or row.opaque:
        return Measured(digest=digest, problem="it is no network of the zoo's")
    if getattr(row.config, "fitted", True) is False:
        return Measured(digest=digest, problem="they follow from what it is fitted to")
    kinds = {"float32": torch.float32, "int64": torch.int64}
    try:
        with on_meta():
            module = row.config.build().eval().requires_grad_(False)
            inputs = {
                tensor.name: torch.zeros(shapes[tensor.name], dtype=kinds[tensor.dtype])
                for tensor in row.inputs
            }
            before = [*module.parameters(), *module.buffers(), *inputs.values()]
            memory = PeakMode(before)
            with torch.inference_mode(), FlopCounterMode(display=False) as counter, memory:
                encoded = module(**inputs)
    except (RuntimeError, KeyError, ZooError) as error:  # what the meta device cannot follow
        first = next(iter(str(error).strip().splitlines()), "")
        return Measured(digest=digest, problem=f"{type(error).__name__}: {first[:120]}")
    outputs = {}
    for name in ("pooled", "tokens", "prefix"):
        value = getattr(encoded, name)
        if value is not None:
            outputs[name] = tuple(value.shape)
    for level, value in enumerate(encoded.pyramid or ()):
        outputs[f"pyramid {level}"] = tuple(value.shape)
    return Measured(
        digest=digest,
        input=shapes,
        outputs=outputs,
        flops=int(counter.get_total_flops()),
        activations=memory.peak,
    )


def _size(row: ModelSpec, size: int | Dim) -> int:
    if isinstance(size, int):
        return size
    if size.name == "batch":
        return 1
    wanted = LENGTHS.get(row.modality, size.typical)
    return min(max(wanted, size.min), size.max) if row.modality in LENGTHS else size.typical
