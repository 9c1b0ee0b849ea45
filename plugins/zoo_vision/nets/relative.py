"""Which row of a table of relative positions belongs to which pair of places in a grid."""

from __future__ import annotations

import torch
from torch import Tensor


def relative_index(height: int, width: int, device: torch.device | None = None) -> Tensor:
    """Return (N, N): rows of a table of (2 height - 1) * (2 width - 1), for N = height * width.

    A row is (query - key) along the height, counted from the most negative, times the number of
    differences along the width, plus the same along the width.
    """
    places = torch.arange(height * width, device=device)  # (N,)
    down = places.div(width, rounding_mode="floor")
    along = places - down * width
    rows = down[:, None] - down[None, :] + height - 1  # (N, N)
    columns = along[:, None] - along[None, :] + width - 1  # (N, N)
    return rows * (2 * width - 1) + columns


def bias_from(table: Tensor, index: Tensor) -> Tensor:
    """(R, H) and (N, N) -> (1, H, N, N), to be added to the scores of attention."""
    places = index.shape[0]
    rows = table[index.flatten()]  # (N * N, H)
    return rows.reshape(places, places, -1).permute(2, 0, 1)[None]
