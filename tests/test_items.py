"""What is one item, and what is several."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from zoo.items import is_single
from zoo.spec import Modality

SOUND = np.zeros(100, np.float32)

ONE: dict[str, tuple[Modality, Any]] = {
    "a text": ("text", "a"),
    "numpy's text": ("text", np.array(["a"])[0]),
    "a path": ("image", Path("a.png")),
    "bytes": ("image", b"a"),
    "a file that is open": ("image", io.BytesIO(b"a\nb")),
    "an image's array": ("image", np.zeros((8, 8, 3))),
    "an image's tensor": ("image", torch.zeros(3, 8, 8)),
    "a clip": ("video", np.zeros((2, 8, 8, 3))),
    "a sound and its rate": ("audio", (SOUND, 16_000)),
    "a list of samples and its rate": ("audio", ([0.0, 0.1], 16_000)),
    "a rate that is none": ("audio", (SOUND, None)),
    "a rate and a sound": ("audio", (16_000, SOUND)),
    "a sound of the Hub's data sets": ("audio", {"array": SOUND, "sampling_rate": 16_000}),
    "nothing": ("text", None),
}
SEVERAL: dict[str, tuple[Modality, Any]] = {
    "a list": ("text", ["a"]),
    "two texts": ("text", ("a", "b")),
    "a generator": ("image", iter([b"a"])),
    "a file of lines": ("text", io.StringIO("a\nb\n")),
    "a batch of images": ("image", np.zeros((2, 8, 8, 3))),
    "a batch of clips": ("video", np.zeros((2, 2, 8, 8, 3))),
    "a column of texts": ("text", np.array(["a", "b"])),
    "a column of paths": ("image", np.array(["a.png", "b.png"])),
    "a column of objects": ("image", np.array([b"a", b"b"], dtype=object)),
    "two sounds": ("audio", ((SOUND, 16_000), (SOUND, 16_000))),
    "two paths": ("audio", ("a.wav", "b.wav")),
    "two paths of numpy's": ("audio", tuple(np.array(["a.wav", "b.wav"]))),
}


@pytest.mark.parametrize(("modality", "items"), ONE.values(), ids=ONE)
def test_one_item_is_one(modality: Modality, items: Any) -> None:
    assert is_single(items, modality)


@pytest.mark.parametrize(("modality", "items"), SEVERAL.values(), ids=SEVERAL)
def test_several_items_are_several(modality: Modality, items: Any) -> None:
    assert not is_single(items, modality)
