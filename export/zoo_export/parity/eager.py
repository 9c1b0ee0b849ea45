"""Run a module as it is, in a dtype; a module as a candidate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import torch
from torch import nn

from zoo.encoded import Encoded
from zoo.preprocess import Array, Batch
from zoo.spec import ModelSpec
from zoo_export.outputs import named_outputs
from zoo_export.parity.cases import collate
from zoo_export.parity.samples import Sample
from zoo_export.parity.taps import Boundary, Values, tracing

Outputs = dict[str, Array]


def forward(spec: ModelSpec, module: nn.Module, batch: Batch, dtype: torch.dtype) -> Encoded:
    """Run a batch of arrays through a module; a mask of nothing is left out, as in eager use."""
    tensors = {}
    for tensor in spec.inputs:
        array = batch[tensor.name]
        if tensor.skippable and bool(array.all()):
            continue
        value = torch.from_numpy(np.ascontiguousarray(array))
        tensors[tensor.name] = value.to(dtype) if value.is_floating_point() else value
    with torch.inference_mode():
        return cast(Encoded, module(**tensors))


def arrays(encoded: Encoded, outputs: Sequence[str]) -> Outputs:
    """Return chosen outputs as numpy; half precision becomes float32.

    Raises:
        ValueError: The module has no such output.
    """
    named = named_outputs(encoded)
    unknown = [name for name in outputs if name not in named]
    if unknown:
        raise ValueError(f"The module gives {', '.join(named)}; not {', '.join(unknown)}.")
    found = {}
    for name in outputs:
        value = named[name].detach()
        if value.dtype in (torch.bfloat16, torch.float16):
            value = value.float()
        found[name] = value.cpu().numpy()
    return found


def run_each(
    spec: ModelSpec,
    module: nn.Module,
    samples: Sequence[Sample],
    outputs: Sequence[str],
    dtype: torch.dtype,
) -> list[Outputs]:
    """Run every sample alone and unpadded; the results have no batch axis."""
    results = []
    for sample in samples:
        batch = collate(spec, [sample], sample.sizes)
        found = arrays(forward(spec, module, batch, dtype), outputs)
        results.append({name: array[0] for name, array in found.items()})
    return results


class TorchCandidate:
    """A module as a candidate: another backend's, another dtype's, or a mutant in a test.

    Args:
        spec: The row, for its inputs.
        module: In evaluation mode.
        outputs: Names that it gives.
        dtype: Of its floating-point inputs.
    """

    def __init__(
        self,
        spec: ModelSpec,
        module: nn.Module,
        outputs: Sequence[str],
        *,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.spec = spec
        self.module = module
        self.outputs = tuple(outputs)
        self.dtype = dtype

    def run(self, batch: Mapping[str, Array]) -> Outputs:
        """Run a batch; a mask is always handed over, as a graph always has it."""
        tensors = {}
        for name, array in batch.items():
            value = torch.from_numpy(np.ascontiguousarray(array))
            tensors[name] = value.to(self.dtype) if value.is_floating_point() else value
        with torch.inference_mode():
            return arrays(cast(Encoded, self.module(**tensors)), self.outputs)

    def taps(self, batch: dict[str, Array], shapes: Mapping[Boundary, tuple[int, ...]]) -> Values:
        """Run a batch once and return the boundaries of its modules."""
        with tracing(self.module) as trace:
            self.run(batch)
        return {
            boundary: value
            for boundary, value in trace.values.items()
            if shapes.get(boundary) == value.shape
        }
