"""A few inputs and what the network makes of them: a bundle's proof for other machines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save
from torch import nn

from zoo import samples
from zoo.bundle import GOLDEN
from zoo.errors import InputError
from zoo.manifest import Golden
from zoo.preprocess import Array, Batch, Preprocessor
from zoo.spec import ModelSpec
from zoo.verify import golden_key, relative_error
from zoo_export.binding import dynamic_dims
from zoo_export.parity.double import in_float64
from zoo_export.parity.eager import arrays, forward
from zoo_export.parity.precisions import ROUNDINGS
from zoo_export.parity.reference import Reference

# Another machine sums in another order. Its error may be this many times that of eager float32
# here; the floor is a few units of float32's rounding, for outputs that eager gets nearly exactly.
# A GPU that rounds to TF32 is a hundred times above.
ALLOWED = 8
FLOOR = 1e-6

# In low precision most of an error is rounding that is the same everywhere, and structure has been
# proven: the gate's own factor, with room for sums that hardware rounds as it goes.
ALLOWED_LOW = 4
FLOOR_LOW = 2  # units of rounding


def write_golden(
    row: ModelSpec,
    module: nn.Module,
    preprocessor: Preprocessor,
    outputs: Sequence[str],
    folder: Path,
    *,
    low: Reference | None = None,
) -> Golden:
    """Write golden.safetensors: inputs, and outputs computed in float64.

    Args:
        row: The row, bound to its profile.
        module: Its network, in float32.
        preprocessor: Of the bound row.
        outputs: Names of the arrays that the graph gives.
        folder: Of the bundle.
        low: What a graph of low precision was judged by.
    """
    allowed, floor, eager_dtype = ALLOWED, FLOOR, torch.float32
    eager_module = module
    if low is not None:
        allowed, floor = ALLOWED_LOW, FLOOR_LOW * ROUNDINGS[low.precision].unit
        eager_module, eager_dtype = low.module, low.dtype
    oracle = in_float64(module)
    tensors: dict[str, Array] = {}
    limits = dict.fromkeys(outputs, FLOOR)
    chosen = golden_items(row, preprocessor)
    for case, items in enumerate(chosen):
        batch = _batch(preprocessor, items)
        exact = arrays(forward(row, oracle, batch, torch.float64), outputs)
        eager = arrays(forward(row, eager_module, batch, eager_dtype), outputs)
        for name, array in batch.items():
            tensors[golden_key(case, "in", name)] = array
        for name in outputs:
            least = floor if eager[name].dtype.kind == "f" else FLOOR
            error = relative_error(eager[name], exact[name])
            limits[name] = max(limits[name], allowed * error + least)
            tensors[golden_key(case, "out", name)] = exact[name].astype(eager[name].dtype)
    # safetensors writes memory as it lies, whatever the strides
    (folder / GOLDEN).write_bytes(
        save({name: np.ascontiguousarray(array) for name, array in tensors.items()})
    )
    texts: tuple[tuple[str, ...], ...] = ()
    if row.modality == "text":
        texts = tuple(tuple(items) for items in chosen)
    return Golden(cases=len(chosen), limits=limits, texts=texts)


def golden_items(row: ModelSpec, preprocessor: Preprocessor) -> list[list[Any]]:
    """Return the items of two batches: the smallest that the profile allows, and one of three."""
    everything: Sequence[Any] = samples.images()
    if row.modality == "text":
        everything = samples.texts()
    elif row.modality == "audio":
        everything = samples.sounds()
    prepared = preprocessor.prepare(everything)
    good = [item for item, sample in zip(everything, prepared, strict=True)
            if not isinstance(sample, InputError)]  # fmt: skip
    if row.inputs[0].padding == "forbidden":
        good = good[:1]  # what shares a batch has one length
    batch = dynamic_dims(row)["batch"]
    sizes = dict.fromkeys((batch.min, min(max(3, batch.min), batch.max)))
    return [[good[(start + i) % len(good)] for i in range(size)]
            for start, size in enumerate(sizes)]  # fmt: skip


def _batch(preprocessor: Preprocessor, items: Sequence[Any]) -> Batch:
    prepared = preprocessor.prepare(items)
    return preprocessor.collate([s for s in prepared if not isinstance(s, InputError)])
