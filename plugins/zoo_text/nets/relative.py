"""Distances between tokens, for the networks that have no absolute positions."""

from __future__ import annotations

import torch
from torch import Tensor


def clipped_distances(tokens: int, limit: int, device: torch.device) -> Tensor:
    """Return (N, N) int64: key's place - query's, cut to +-limit, counted from -limit."""
    places = torch.arange(tokens, device=device)
    return (places[None, :] - places[:, None]).clamp(-limit, limit) + limit
