"""What the gate feeds: real items, extremes, and noise of every shape. No torch.

A sample is one item alone, without batch axis and without padding. The oracle sees it so, once; a
candidate sees it in several batches, at several positions, beside other samples, padded or not.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from zoo import samples as bundled
from zoo.errors import InputError
from zoo.preprocess import Array, Preprocessor
from zoo.spec import (
    AudioPreprocess,
    Dim,
    ImagePreprocess,
    KeypointPreprocess,
    ModelSpec,
    TensorSpec,
    TextPreprocess,
    VideoPreprocess,
)
from zoo_export.parity.profile import Profile, Range

# Rare signs that no vocabulary of words holds; tokenizers of bytes take them apart instead.
UNKNOWN = "\u2a33 \u2a34 \u2a35 \u2a36 \u2a37"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One item alone.

    Attributes:
        name: What it is, in words.
        arrays: Input's name to array, without batch axis and padding; masks are left out, but for
            those of inputs of one fixed length.
        sizes: Dynamic axis to its size, the batch left out.
    """

    name: str
    arrays: Mapping[str, Array]
    sizes: Mapping[str, int]


def dynamic(spec: ModelSpec) -> dict[str, Dim]:
    """Return the row's dynamic axes by name, the batch left out."""
    dims = (size for tensor in spec.inputs for size in tensor.shape[1:] if isinstance(size, Dim))
    return {dim.name: dim for dim in dims}


def _ranges(spec: ModelSpec, profile: Profile) -> dict[str, Range]:
    return {name: profile.range(dim) for name, dim in dynamic(spec).items()}


def points(spec: ModelSpec, profile: Profile) -> dict[str, dict[str, int]]:
    """Return the shapes of the lattice: `typical`, then the others that differ from it.

    Where there are two axes, one point is neither square nor round.
    """
    ranges = _ranges(spec, profile)
    found = {"typical": {name: axis.typical for name, axis in ranges.items()}}
    wanted = {
        "smallest": {name: axis.min for name, axis in ranges.items()},
        "odd": {
            name: axis.odd if index == 0 else axis.typical
            for index, (name, axis) in enumerate(ranges.items())
        },
        "largest": {name: axis.max for name, axis in ranges.items()},
    }
    for name, sizes in wanted.items():
        if sizes not in found.values():
            found[name] = sizes
    return found


def real_samples(
    spec: ModelSpec, profile: Profile, preprocessor: Preprocessor | None, *, most: int
) -> list[Sample]:
    """Return bundled photographs, sounds or sentences as the row prepares them.

    Args:
        spec: The row.
        profile: What does not fit it is left out.
        preprocessor: Of the row; without one there are photographs, but no sentences.
        most: Number of items.
    """
    recipe = spec.preprocess
    if isinstance(recipe, ImagePreprocess):
        sizes = points(spec, profile)["typical"]
        size = tuple(
            sizes.get(name, own) for name, own in zip(("height", "width"), recipe.size, strict=True)
        )
        if preprocessor is None or size != recipe.size:
            preprocessor = _image_preprocessor(spec, recipe, size)
        items: Sequence[Any] = bundled.images()[:most]
        return list(_prepared(spec, profile, preprocessor, items, [path.stem for path in items]))
    if isinstance(recipe, AudioPreprocess) and preprocessor is not None:
        items, names = sound_items(recipe)
        return list(_prepared(spec, profile, preprocessor, items, names))
    if isinstance(recipe, VideoPreprocess) and preprocessor is not None:
        items = clip_items()
        return list(_prepared(spec, profile, preprocessor, items, ["one photo", "six photos"]))
    if isinstance(recipe, KeypointPreprocess) and preprocessor is not None:
        items = bundled.images()[:most]
        return list(_prepared(spec, profile, preprocessor, items, [path.stem for path in items]))
    if spec.modality != "text" or recipe is None or preprocessor is None:
        return []
    texts = bundled.texts()
    longest = max((axis.max for axis in _ranges(spec, profile).values()), default=0)
    most_words: int = getattr(recipe, "max_length", longest)
    long = " ".join(texts * (1 + min(most_words, longest) // 8))
    items = [*texts[:most], UNKNOWN, long]
    names = [*(f"sentence {i}" for i in range(len(items) - 2)), "unknown tokens", "long text"]
    return list(_prepared(spec, profile, preprocessor, items, names))


def made_samples(
    spec: ModelSpec, shapes: Mapping[str, Mapping[str, int]], *, real: bool
) -> Iterator[Sample]:
    """Yield extremes and noise over the shapes of the lattice, the same on every machine.

    Constants stand at the typical shape; where there is one shape only, so does everything, and
    noise is left out if there are real samples.

    Args:
        spec: The row.
        shapes: As `points` gives them.
        real: Whether there are real samples of the typical shape.
    """
    for point, sizes in shapes.items():
        kinds = {"typical": ["low", "high"], "largest": ["extreme"]}.get(point, ["noise"])
        if len(shapes) == 1:
            kinds += ["extreme"] if real else ["extreme", "noise"]
        for kind in kinds:
            name = f"{kind}, {point} shape"
            rng = np.random.default_rng(zlib.crc32(name.encode()))
            arrays = {
                tensor.name: _fill(spec, tensor, _shape(tensor, sizes), kind, rng)
                for tensor in spec.inputs
                if carried(tensor)
            }
            yield Sample(name=name, arrays=arrays, sizes=sizes)


def clip_items() -> list[Any]:
    """Return two clips made of the bundled photographs."""
    photos = bundled.images()
    return [photos[:1], photos]


def sound_items(recipe: AudioPreprocess) -> tuple[list[Any], list[str]]:
    """Return the bundled sounds and silence of an odd length, with their names."""
    paths = bundled.sounds()
    silence = np.zeros(max(recipe.shortest, recipe.rate // 8) + 1, np.float32)
    return [*paths, (silence, recipe.rate)], [*(path.stem for path in paths), "silence"]


def carried(tensor: TensorSpec) -> bool:
    """Whether a sample has this input: a mask only where lengths do not tell it."""
    return not tensor.skippable or tensor.padding == "fixed"


def _prepared(
    spec: ModelSpec,
    profile: Profile,
    preprocessor: Preprocessor,
    items: Sequence[Any],
    names: Sequence[str],
) -> Iterator[Sample]:
    """Yield what the preprocessor makes of items, one at a time, where it fits the profile."""
    ranges = _ranges(spec, profile)
    for name, prepared in zip(names, preprocessor.prepare(items), strict=True):
        if isinstance(prepared, InputError):
            continue  # such as a text of which a tokenizer makes nothing
        batch = preprocessor.collate([prepared])
        arrays = {tensor.name: batch[tensor.name][0] for tensor in spec.inputs if carried(tensor)}
        sizes = {
            size.name: arrays[tensor.name].shape[axis]
            for tensor in spec.inputs
            if not tensor.skippable
            for axis, size in enumerate(tensor.shape[1:])
            if isinstance(size, Dim)
        }
        if all(ranges[axis].min <= size <= ranges[axis].max for axis, size in sizes.items()):
            yield Sample(name=name, arrays=arrays, sizes=sizes)


def _image_preprocessor(
    spec: ModelSpec, recipe: ImagePreprocess, size: tuple[int, ...]
) -> Preprocessor:
    from zoo.preprocess.image import ImagePreprocessor

    height, width = size
    if size != recipe.size:
        recipe = replace(recipe, size=(height, width), resize=None)
    return ImagePreprocessor(recipe, name=spec.inputs[0].name)


def _shape(tensor: TensorSpec, sizes: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(sizes[s.name] if isinstance(s, Dim) else s for s in tensor.shape[1:])


def _fill(
    spec: ModelSpec, tensor: TensorSpec, shape: tuple[int, ...], kind: str, rng: np.random.Generator
) -> Array:
    """Return an array of a kind: `noise`, `low`, `high`, `extreme` (saturated noise)."""
    if tensor.skippable:  # the second half is padding, but for what fills all
        return (np.arange(shape[-1]) < shape[-1] // (1 if kind == "high" else 2)).astype(np.int64)
    if tensor.dtype == "int64":
        return _ids(spec, shape, kind, rng)
    if isinstance(spec.preprocess, AudioPreprocess) and spec.preprocess.normalize:
        return _waveform(shape, kind, rng)
    low, high = _bounds(spec, tensor)
    if kind == "noise":
        middle, spread = (high + low) / 2, (high - low) / 4
        return (middle + spread * rng.standard_normal(shape)).astype(np.float32)
    if kind == "extreme":
        return np.where(rng.random(shape) < 0.5, low, high).astype(np.float32)
    return np.broadcast_to(low if kind == "low" else high, shape).astype(np.float32)


def _waveform(shape: tuple[int, ...], kind: str, rng: np.random.Generator) -> Array:
    """Return samples of mean 0 and variance 1, as normalising leaves no others; silence for `low`.

    `high` is a slow square wave, `extreme` is silence but for a few clicks.
    """
    time = np.arange(shape[-1])
    values = {
        "low": np.zeros(shape),
        "high": np.where(time % 160 < 80, 1.0, -1.0),
        "extreme": np.where(rng.random(shape) < 2e-3, rng.choice([-20.0, 20.0], shape), 0.0),
    }
    return values.get(kind, rng.standard_normal(shape)).astype(np.float32)


def _bounds(spec: ModelSpec, tensor: TensorSpec) -> tuple[Array, Array]:
    """Return the smallest and largest value of an input, for images a channel each."""
    recipe = spec.preprocess
    if isinstance(recipe, VideoPreprocess):
        recipe = recipe.frame
    if isinstance(recipe, ImagePreprocess) and tensor is spec.inputs[0]:
        mean, std = (np.array(v)[:, None, None] for v in (recipe.mean, recipe.std))
        return (0 - mean) / std, (1 - mean) / std
    return np.array(-1.0), np.array(1.0)


def _ids(spec: ModelSpec, shape: tuple[int, ...], kind: str, rng: np.random.Generator) -> Array:
    """Return token ids that are never padding; constant ones are the first and the last word."""
    vocab: int = getattr(spec.config, "vocab", 2)
    words = np.array([word for word in range(vocab) if word != pad_id(spec)], dtype=np.int64)
    if kind == "low":
        return np.full(shape, words[0])
    if kind == "high":
        return np.full(shape, words[-1])
    if kind == "extreme":
        return rng.choice(words[[0, -1]], shape)
    return rng.choice(words, shape)


def pad_id(spec: ModelSpec) -> int:
    """Return the token id that fills shorter texts."""
    return spec.preprocess.pad_id if isinstance(spec.preprocess, TextPreprocess) else 0
