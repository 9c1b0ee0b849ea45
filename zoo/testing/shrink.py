"""A row over its tiny config, and inputs for it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from zoo.spec import Dim, ImagePreprocess, ModelSpec, TensorSpec, TextPreprocess

SIDE = 64  # pixels of images, where the config has no size of its own
_DTYPES = {"float32": torch.float32, "int64": torch.int64}


def tiny(row: ModelSpec) -> ModelSpec:
    """Return the same row, tiny: parameters, inputs, image size and length follow the config."""
    config = row.config.tiny()
    stride: int = getattr(config, "stride", 1)
    own: tuple[int, int] | None = getattr(config, "image_size", getattr(config, "size", None))
    longest: int | None = getattr(config, "longest", None)
    recipe = row.preprocess
    if isinstance(recipe, ImagePreprocess):
        recipe = replace(recipe, size=own or (SIDE, SIDE), resize=None)
    elif isinstance(recipe, TextPreprocess) and longest is not None:
        recipe = replace(recipe, max_length=min(recipe.max_length, longest))

    def dim(axis: Dim) -> Dim:
        if axis.name == "batch":
            return axis
        if isinstance(recipe, ImagePreprocess):
            side = recipe.size[axis.name == "width"]
            largest = max(side, SIDE // stride * stride) if stride < 32 else 96
            return replace(axis, min=stride, typical=side, max=largest, multiple=stride)
        most = axis.max if longest is None else min(axis.max, longest)
        return replace(axis, typical=min(axis.typical, most), max=most)

    def tensor(spec: TensorSpec) -> TensorSpec:
        shape = tuple(dim(size) if isinstance(size, Dim) else size for size in spec.shape)
        if isinstance(recipe, ImagePreprocess) and not isinstance(shape[-1], Dim):
            shape = (*shape[:2], *recipe.size)
        return replace(spec, shape=shape)

    small = replace(row, config=config, preprocess=recipe, inputs=tuple(map(tensor, row.inputs)))
    with torch.device("meta"):
        params = sum(parameter.numel() for parameter in config.build().parameters())
    return replace(small, params=params)


def example_batch(
    row: ModelSpec, samples: int = 3, *, dtype: torch.dtype = torch.float32, seed: int = 0
) -> dict[str, Tensor]:
    """Return seeded inputs of a row: noise, ids of its vocabulary, masks that end early.

    Args:
        row: A tiny one, as a rule.
        samples: Size of the batch.
        dtype: Of inputs that are not integers.
        seed: Of the generator.
    """
    generator = torch.Generator().manual_seed(seed)
    batch = {}
    for tensor in row.inputs:
        shape = [samples, *(size.typical if isinstance(size, Dim) else size
                            for size in tensor.shape[1:])]  # fmt: skip
        if _DTYPES[tensor.dtype] == torch.float32:
            value = torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
        elif tensor.skippable:
            lengths = torch.randint(1, shape[1] + 1, (samples, 1), generator=generator)
            value = (torch.arange(shape[1]) < lengths).long()
        else:
            value = torch.randint(1, row.vocab or 2, shape, generator=generator)
        batch[tensor.name] = value
    return batch
