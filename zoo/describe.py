"""Rows for readers: dictionaries for `--json`, and what is done with items in words. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from zoo.recipes import (
    AudioPreprocess,
    ImagePreprocess,
    KeypointPreprocess,
    Preprocess,
    TermPreprocess,
    VideoPreprocess,
    WordPreprocess,
)
from zoo.records import to_plain
from zoo.spec import ModelSpec, Space


def row_to_dict(row: ModelSpec) -> dict[str, Any]:
    """Return every field of a row, and what it derives from them, as JSON-able values.

    A record inside the row becomes a dictionary whose `type` names the record's class. Key maps
    are given by name only: their rules are code for the loader, not facts about the model.

    Raises:
        TypeError: JSON has nothing for a value.
    """
    plain = to_plain(replace(row, family=replace(row.family, keymaps=())))
    plain["family"]["keymaps"] = [keymap.name for keymap in row.family.keymaps]
    plain["weights"]["repo"] = row.weights.repo
    del plain["type"]
    derived = {"modality": row.modality, "dim": row.dim, "pooling": row.pooling}
    return {"name": row.name, "aliases": plain["aliases"], **derived, **plain}


def space_to_dict(space: Space, rows: Sequence[ModelSpec]) -> dict[str, Any]:
    """Return a joint space with its towers' rows in place of their names.

    Args:
        space: The space.
        rows: Its towers.
    """
    towers = {row.modality: row_to_dict(row) for row in rows}
    return {**to_plain(space), "towers": towers}


def preparation_of(recipe: Preprocess) -> tuple[str, str]:
    """Return what the items are, in the plural, and what is done with each."""
    if isinstance(recipe, ImagePreprocess):
        return "images", _image(recipe)
    if isinstance(recipe, VideoPreprocess):
        return "clips", f"up to {recipe.frames} frames, spread evenly, each {_image(recipe.frame)}"
    if isinstance(recipe, AudioPreprocess):
        return "sounds", f"resampled to {recipe.rate} Hz, {_sound(recipe)}"
    if isinstance(recipe, KeypointPreprocess):
        kind = "RootSIFT" if recipe.root else "SIFT"
        return "images", (
            f"shrunk to {recipe.longest} pixels on the longer side, grey; {kind} of up to "
            f"{recipe.most:,} keypoints"
        )
    if isinstance(recipe, TermPreprocess):
        return "texts", f"in lower case, cut into terms that match {recipe.pattern}"
    if isinstance(recipe, WordPreprocess):
        return "texts", f"cut at {recipe.max_length:,} known words"
    return "texts", f"cut at {recipe.max_length:,} tokens, special ones included"


def _image(recipe: ImagePreprocess) -> str:
    height, width = (read + left for read, left in zip(recipe.size, recipe.unread, strict=True))
    how = f"squashed to {height} x {width} pixels"
    if recipe.resize is not None:
        first = (
            f"resized to {recipe.resize} pixels on the shorter side"
            if isinstance(recipe.resize, int)
            else f"squashed to {recipe.resize[0]} x {recipe.resize[1]} pixels"
        )
        how = f"{first}, then cut to the centre {height} x {width}"
    if any(recipe.unread):
        how += f", of which the first {recipe.size[0]} x {recipe.size[1]} are read"
    mean, std = (", ".join(f"{value:g}" for value in part) for part in (recipe.mean, recipe.std))
    grey = ", grey" if recipe.channels == "grey" else ""
    return f"{how} ({recipe.resample}{grey}); mean {mean}, deviation {std}"


def _sound(recipe: AudioPreprocess) -> str:
    length = f"of {recipe.longest / recipe.rate:g} s at most"
    if recipe.length is not None:
        length = f"cut or filled up to {recipe.length / recipe.rate:g} s"
    if recipe.features == "log_mel":
        spacing = 1000 * recipe.hop / recipe.rate
        return f"{length}, as {recipe.mels} log-mel bands every {spacing:g} ms"
    return f"{length}{', scaled to mean 0 and variance 1' if recipe.normalize else ''}"
