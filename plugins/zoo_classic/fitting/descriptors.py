"""Fit a codebook: k-means over the descriptors of images. No torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from zoo.errors import InputError, OptionError
from zoo.fitting import Fit
from zoo.preprocess import Array, Preprocessor
from zoo_classic.descriptor_config import DescriptorConfig

MOST = 200_000  # descriptors that the codebook is learnt from
ROUNDS = 50  # of k-means, if it does not settle before
CHUNK = 8_192  # descriptors that are compared with all words at a time


def fit_codebook(config: DescriptorConfig, items: Iterable[Any], preprocessor: Preprocessor) -> Fit:
    """Learn a codebook, and for a histogram how few images have each word.

    The same images give the same codebook.

    Raises:
        InputError: An image is bad, or there are fewer descriptors than words.
        OptionError: There is nothing to learn.
    """
    if config.pooling == "mean":
        raise OptionError("The mean of descriptors needs no codebook: encode without fitting.")
    images = list(_descriptors(items, preprocessor))
    everything = np.concatenate(images) if images else np.empty((0, config.width), np.float32)
    if len(everything) < config.words:
        raise InputError(
            f"{len(images)} images have {len(everything)} descriptors, fewer than the codebook has "
            f"words ({config.words}). Give more images, or lower words with "
            "spec.with_config(words=...)."
        )
    rng = np.random.default_rng(0)
    if len(everything) > MOST:
        everything = everything[np.sort(rng.choice(len(everything), MOST, replace=False))]
    words = k_means(everything.astype(np.float64), config.words, rng)
    tensors: dict[str, Array] = {"words": words}
    if config.pooling == "bovw":
        with_word = np.zeros(config.words)
        for image in images:
            with_word[np.unique(nearest(image.astype(np.float64), words))] += 1
        tensors["weights"] = np.log((1 + len(images)) / (1 + with_word)) + 1
    return Fit(config=replace(config, fitted=True), tensors=tensors)


def _descriptors(items: Iterable[Any], preprocessor: Preprocessor) -> Iterable[Array]:
    source, index = iter(items), 0
    while window := list(islice(source, preprocessor.window)):
        for sample in preprocessor.prepare(window):
            if isinstance(sample, InputError):
                raise sample.at(index)
            yield next(iter(sample.arrays.values()))
            index += 1


def k_means(points: Array, number: int, rng: np.random.Generator) -> Array:
    """Return the centres (number, D) of Lloyd's algorithm from k-means++ seeds.

    Args:
        points: (N, D) float64, at least as many as centres.
        number: Of centres.
        rng: For the seeds, and for centres that lose all their points.
    """
    centres = _seeds(points, number, rng)
    before = None
    for _ in range(ROUNDS):
        owner = nearest(points, centres)
        if before is not None and np.array_equal(owner, before):
            break
        before = owner
        counts = np.bincount(owner, minlength=number)
        sums = np.zeros_like(centres)
        np.add.at(sums, owner, points)
        empty = counts == 0
        centres = sums / np.maximum(counts, 1)[:, None]
        if empty.any():
            centres[empty] = points[rng.choice(len(points), int(empty.sum()), replace=False)]
    return centres


def nearest(points: Array, centres: Array) -> Array:
    """Return the index of the nearest centre of each point (N,)."""
    lengths = (centres**2).sum(axis=1)
    found = [
        (lengths - 2 * points[start : start + CHUNK] @ centres.T).argmin(axis=1)
        for start in range(0, len(points), CHUNK)
    ]
    return np.concatenate(found)


def _seeds(points: Array, number: int, rng: np.random.Generator) -> Array:
    """Return points that lie apart: each drawn by its squared distance to those before."""
    chosen = [int(rng.integers(len(points)))]
    distance = ((points - points[chosen[0]]) ** 2).sum(axis=1)
    for _ in range(number - 1):
        total = distance.sum()
        share = distance / total if total > 0 else np.full(len(points), 1 / len(points))
        chosen.append(int(rng.choice(len(points), p=share)))
        distance = np.minimum(distance, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
    return points[chosen].copy()
