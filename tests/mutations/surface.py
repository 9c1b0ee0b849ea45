"""Bugs around a right network: batches, names, order and dtype of what enters and leaves."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tests.mutations.kinds import Mutation, batch_changed, noise, outputs_changed
from zoo.preprocess import Array

TEXTS = ("all-minilm-l6-v2", "roberta-base")
ALL = ("vit-b16", "all-minilm-l6-v2", "clip-b16-text", "resnet-50")
Found = dict[str, Array]


def _registers_as_tokens(found: Found, _batch: Mapping[str, Array]) -> Found:
    whole = np.concatenate((found["prefix"], found["tokens"]), axis=1)
    start = found["prefix"].shape[1] - 1
    return {**found, "tokens": whole[:, start : start + found["tokens"].shape[1]]}


def _position_of_batch(found: Found, _batch: Mapping[str, Array]) -> Found:
    """The last of several samples gets a little of the first."""
    found = {name: array.copy() for name, array in found.items()}
    if len(found["pooled"]) > 1:
        found["pooled"][-1] += 1e-4 * found["pooled"][0]
    return found


def _large_batches(found: Found, _batch: Mapping[str, Array]) -> Found:
    """Right up to a batch of 4, as an engine with a wrong kernel for larger ones."""
    if len(found["pooled"]) <= 4:
        return found
    return {**found, "pooled": found["pooled"] + 1e-3 * noise(found["pooled"])}


def _frozen(found: Found, _batch: Mapping[str, Array]) -> Found:
    return {name: array[:1] for name, array in found.items()}


def _repeated(found: Found, _batch: Mapping[str, Array]) -> Found:
    return {name: np.repeat(array[:1], len(array), axis=0) for name, array in found.items()}


def _cut_at_eight(batch: Found) -> Found:
    return {name: array[:, :8] for name, array in batch.items()}


def _not_pooled(found: Found, _batch: Mapping[str, Array]) -> Found:
    return {**found, "pooled": found["tokens"][:, 0]}


def _swap_tokens(found: Found, _batch: Mapping[str, Array]) -> Found:
    return {**found, "tokens": found["tokens"][:, ::-1]}


def _wide_dtype(found: Found, _batch: Mapping[str, Array]) -> Found:
    return {name: array.astype(np.float64) for name, array in found.items()}


def _nothing(found: Found, _batch: Mapping[str, Array]) -> Found:
    return {**found, "pooled": np.full_like(found["pooled"], np.nan)}


def _lost_output(found: Found, _batch: Mapping[str, Array]) -> Found:
    return {name: array for name, array in found.items() if name != "tokens"}


def _turned_image(batch: Found) -> Found:
    return {name: array[:, :, :, ::-1] for name, array in batch.items()}


def _zeroed_extremes(batch: Found) -> Found:
    """Clamp inputs as a graph with a Clip in the wrong place."""
    return {name: array.clip(-1.9, 1.9) for name, array in batch.items()}


MUTATIONS = (
    Mutation(
        kind="a register among the tokens",
        rows=("dinov2-b14-reg", "dinov2-g14-reg"),
        apply=outputs_changed(_registers_as_tokens),
    ),
    Mutation(
        kind="result depends on the place in the batch",
        rows=ALL,
        apply=outputs_changed(_position_of_batch),
        causes=("batch",),
    ),
    Mutation(
        kind="wrong for large batches only",
        rows=ALL,
        apply=outputs_changed(_large_batches),
        causes=("batch",),
    ),
    Mutation(kind="batch frozen at 1", rows=ALL, apply=outputs_changed(_frozen)),
    Mutation(
        kind="first sample for all", rows=ALL, apply=outputs_changed(_repeated), causes=("batch",)
    ),
    Mutation(kind="texts cut at 8 tokens", rows=TEXTS, apply=batch_changed(_cut_at_eight)),
    Mutation(
        kind="image mirrored", rows=("vit-b16", "resnet-50"), apply=batch_changed(_turned_image)
    ),
    Mutation(
        kind="inputs clamped",
        rows=("dinov2-b14", "resnet-50"),
        apply=batch_changed(_zeroed_extremes),
    ),
    Mutation(
        kind="outputs in the wrong order",
        causes=("batch",),
        rows=("vit-b16", "all-minilm-l6-v2"),
        apply=outputs_changed(_swap_tokens),
    ),
    Mutation(
        kind="first token named pooled",
        rows=("all-minilm-l6-v2", "mae-b16"),
        apply=outputs_changed(_not_pooled),
    ),
    Mutation(kind="an output lost", rows=ALL, apply=outputs_changed(_lost_output)),
    Mutation(kind="outputs in float64", rows=ALL, apply=outputs_changed(_wide_dtype)),
    Mutation(kind="not a number", rows=ALL, apply=outputs_changed(_nothing)),
)
