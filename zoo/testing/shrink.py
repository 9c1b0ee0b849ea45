"""A row over its tiny config, and inputs for it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from zoo.spec import (
    AudioPreprocess,
    Dim,
    ImagePreprocess,
    ModelSpec,
    TensorSpec,
    TextPreprocess,
    VideoPreprocess,
    WordPreprocess,
)

SIDE = 64  # pixels of images, where the config has no size of its own
WORDS = {"length": (16, 48), "rows": (3, 6)}  # typical and most, of words and of rows of a word
FRAMES = (4, 8)  # typical and most, of clips
SAMPLES = (4_000, 20_000)  # typical and most, of sounds
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
        pad_id: int = getattr(config, "pad_id", recipe.pad_id)
        most_tokens = min(recipe.max_length, longest)
        roles = {
            name: replace(role, max_length=min(role.max_length or most_tokens, most_tokens))
            for name, role in recipe.roles.items()
        }
        recipe = replace(recipe, max_length=most_tokens, roles=roles, pad_id=pad_id)
    elif isinstance(recipe, VideoPreprocess):
        frame = replace(recipe.frame, size=own or (SIDE, SIDE), resize=None)
        recipe = replace(recipe, frame=frame, frames=FRAMES[1])
    elif isinstance(recipe, AudioPreprocess) and recipe.length is not None:
        length = getattr(config, "positions", 1) * stride * recipe.hop
        recipe = replace(recipe, length=length, mels=getattr(config, "mels", recipe.mels))
    elif isinstance(recipe, WordPreprocess):
        recipe = replace(recipe, buckets=getattr(config, "buckets", 0))

    def dim(axis: Dim) -> Dim:
        if axis.name == "batch":
            return axis
        if isinstance(recipe, ImagePreprocess):
            side = recipe.size[axis.name == "width"]
            largest = max(side, SIDE // stride * stride) if stride < 32 else 96
            return replace(axis, min=stride, typical=side, max=largest, multiple=stride)
        if isinstance(recipe, VideoPreprocess):
            return replace(axis, typical=FRAMES[0], max=FRAMES[1])
        if isinstance(recipe, AudioPreprocess):
            return replace(axis, typical=SAMPLES[0], max=SAMPLES[1])
        if isinstance(recipe, WordPreprocess):
            return replace(axis, typical=WORDS[axis.name][0], max=WORDS[axis.name][1])
        most = axis.max if longest is None else min(axis.max, longest)
        return replace(axis, typical=min(axis.typical, most), max=most)

    def tensor(spec: TensorSpec) -> TensorSpec:
        shape = tuple(dim(size) if isinstance(size, Dim) else size for size in spec.shape)
        if isinstance(recipe, ImagePreprocess) and not isinstance(shape[-1], Dim):
            shape = (*shape[:2], *recipe.size)
        if isinstance(recipe, VideoPreprocess):
            shape = (*shape[:3], *recipe.frame.size)
        if isinstance(recipe, AudioPreprocess) and recipe.length is not None:
            spectra = recipe.length // recipe.hop
            sizes = (spectra // stride,) if spec.skippable else (recipe.mels, spectra)
            shape = (shape[0], *sizes)
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
            least = tensor.shape[1].min if isinstance(tensor.shape[1], Dim) else 1
            lengths = torch.randint(least, shape[1] + 1, (samples, 1), generator=generator)
            value = (torch.arange(shape[1]) < lengths).long()
        else:
            assert row.vocab is not None, (
                f"{row.name}: its inputs {tensor.name!r} are integers; give its config `vocab`, "
                "their number"
            )
            value = torch.randint(1, row.vocab, shape, generator=generator)
        batch[tensor.name] = value
    return batch
