"""Tensors in files that are no checkpoints: iGPT's colours. No torch at import."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zoo.errors import FormatError
from zoo.fields import Fields
from zoo.weights.jsonfile import read_json

if TYPE_CHECKING:
    import torch


def read_colours(path: Path, *, entry: str) -> Mapping[str, torch.Tensor]:
    """Return `clusters` (K, 3) of a `preprocessor_config.json`; `entry` is not looked at.

    Raises:
        FormatError: It has none, or they are no colours: RGB in [-1, 1], each once.
    """
    import torch

    value = Fields(read_json(path, path.name), path.name).get("clusters")
    try:
        colours = np.array(value, np.float64)
    except (TypeError, ValueError) as error:
        raise FormatError(f"{path} has clusters that are no table of numbers.") from error
    if colours.ndim != 2 or colours.shape[1] != 3 or not (np.abs(colours) <= 1).all():
        raise FormatError(f"{path} holds no clusters of colours: RGB, each number in [-1, 1].")
    if len(np.unique(colours, axis=0)) < len(colours):
        raise FormatError(f"{path} has a colour twice; which of both is nearest would be chance.")
    return {"clusters": torch.from_numpy(colours)}
