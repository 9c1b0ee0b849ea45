"""Relative positions: what each pair of places adds to the scores of attention, from a table."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.nn.positions import resample_positions


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


def with_class(index: Tensor) -> Tensor:
    """(N, N) -> (1 + N, 1 + N): three more rows stand at the end of the table (BEiT).

    They are those of the class token to a patch, of a patch to it, and of it to itself.
    """
    places = index.shape[0]
    rows = index[-1, 0] + 1  # of the grid: the last is that of the last place to the first
    top = torch.cat((rows.expand(1) + 2, rows.expand(places)))[None]  # (1, 1 + N)
    rest = torch.cat((rows.expand(places, 1) + 1, index), dim=1)  # (N, 1 + N)
    return torch.cat((top, rest))


class RelativePositions(nn.Module):
    """A table of relative positions of a class token and a grid.

    Args:
        grid: Rows, columns that the table was learned on.
        heads: Of attention.
    """

    def __init__(self, grid: tuple[int, int], heads: int) -> None:
        super().__init__()
        self.grid = grid
        self.table = nn.Parameter(torch.zeros((2 * grid[0] - 1) * (2 * grid[1] - 1) + 3, heads))
        self.index: Tensor
        self.register_buffer("index", with_class(relative_index(*grid)), persistent=False)

    def make_buffers(self, device: torch.device) -> None:
        """Compute what no checkpoint holds."""
        self.index = with_class(relative_index(*self.grid, device))

    def forward(self, grid: tuple[int, int]) -> Tensor:
        """Return (1, H, 1 + N, 1 + N) for a grid; another size resamples the table.

        The authors resample when they train on; at run time transformers alone takes other sizes,
        linearly.
        """
        if grid == self.grid:
            return bias_from(self.table, self.index)
        source, target = ((2 * rows - 1, 2 * columns - 1) for rows, columns in (self.grid, grid))
        places = resample_positions(self.table[None, :-3], source, target, mode="linear")
        table = torch.cat((places[0], self.table[-3:]))
        return bias_from(table, with_class(relative_index(*grid, table.device)))
