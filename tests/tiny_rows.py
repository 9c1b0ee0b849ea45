"""Rows over tiny configs, with inputs and preprocessing that fit them."""

from __future__ import annotations

from dataclasses import replace

from zoo.registry import default_registry
from zoo.spec import (
    AudioPreprocess,
    Dim,
    ImagePreprocess,
    ModelSpec,
    TensorSpec,
    TextPreprocess,
)


def tiny_row(name: str) -> ModelSpec:
    """Return a row over its tiny config."""
    return tiny(default_registry().row(name))


def tiny(row: ModelSpec) -> ModelSpec:
    """Return the same row, tiny: inputs, image size and length follow the config."""
    config = row.config.tiny()
    stride: int = getattr(config, "stride", 1)
    own: tuple[int, int] | None = getattr(config, "image_size", getattr(config, "size", None))
    longest: int | None = getattr(config, "longest", None)
    recipe = row.preprocess
    if isinstance(recipe, ImagePreprocess):
        size = own or (64, 64)
        recipe = replace(recipe, size=size, resize=None)
    elif isinstance(recipe, TextPreprocess) and longest is not None:
        recipe = replace(recipe, max_length=min(recipe.max_length, longest))
    elif isinstance(recipe, AudioPreprocess):
        positions: int | None = getattr(config, "positions", None)
        if positions is not None:
            length = positions * stride * recipe.hop
            recipe = replace(recipe, length=length, mels=getattr(config, "mels"))  # noqa: B009

    def dim(axis: Dim) -> Dim:
        if axis.name == "batch":
            return axis
        if isinstance(recipe, ImagePreprocess):
            side = recipe.size[axis.name == "width"]
            largest = max(side, 64 // stride * stride) if stride < 32 else 96
            return replace(axis, min=stride, typical=side, max=largest, multiple=stride)
        if isinstance(recipe, AudioPreprocess):
            return replace(axis, typical=4_000, max=20_000)
        most = axis.max if longest is None else min(axis.max, longest)
        return replace(axis, typical=min(axis.typical, most), max=most)

    def tensor(spec: TensorSpec) -> TensorSpec:
        shape = tuple(dim(size) if isinstance(size, Dim) else size for size in spec.shape)
        if isinstance(recipe, ImagePreprocess) and not isinstance(shape[-1], Dim):
            shape = (*shape[:2], *recipe.size)
        if isinstance(recipe, AudioPreprocess) and recipe.length is not None:
            spectra = recipe.length // recipe.hop
            shape = (
                shape[0],
                *((spectra // stride,) if spec.skippable else (recipe.mels, spectra)),
            )
        return replace(spec, shape=shape)

    return replace(row, config=config, preprocess=recipe, inputs=tuple(map(tensor, row.inputs)))


def distinct_rows() -> list[ModelSpec]:
    """Return one tiny row for each config and preprocessing kind that differs."""
    found: dict[str, ModelSpec] = {}
    for row in default_registry():
        if row.export == "torch":
            found.setdefault(repr(row.config.tiny()), row)
    return [tiny(row) for row in found.values()]
