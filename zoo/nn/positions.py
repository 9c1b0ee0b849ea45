"""Position embeddings at another image size: two matrix products instead of a Resize operator.

Resampling along one axis is linear, so a grid (H, W, D) becomes R @ grid @ C^T with one small
matrix an axis. The coefficients are those of torch's `interpolate`; matrices need no operator that
an inference engine may refuse (TensorRT takes no antialiased Resize).

Coefficients: Keys, "Cubic convolution interpolation for digital image processing", 1981, with
a = -0.75 in torch's plain bicubic and a = -0.5 in its antialiased one (Pillow's).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

PositionMode = Literal["bicubic", "linear", "linear_corners"]


def resample_positions(
    positions: Tensor,
    source: tuple[int, int],
    target: tuple[int, int],
    *,
    mode: PositionMode = "bicubic",
    antialias: bool = False,
    offset: float = 0.0,
) -> Tensor:
    """Return the position embeddings of another grid.

    Args:
        positions: (1, H * W, D).
        source: H, W of the grid that the embeddings were learned on, in patches.
        target: H, W of the grid that is wanted, in patches.
        mode: `bicubic`, `linear`, or `linear_corners`: linear with the corners kept in place
            (scipy.ndimage.zoom, order 1).
        antialias: Whether a bicubic filter widens when the grid shrinks.
        offset: Added to the target size when the scale of plain bicubic is computed, as DINO's
            authors do.

    Returns:
        (1, H' * W', D) in the dtype of `positions`; half precision is resampled in float32.
    """
    dtype = positions.dtype if positions.dtype == torch.float64 else torch.float32
    grid = positions.to(dtype).reshape(source[0], -1)  # (H, W * D)

    def matrix(axis: int) -> Tensor:
        scale = source[axis] / (target[axis] + offset)
        steps = torch.arange(target[axis], device=grid.device, dtype=dtype)  # (target,)
        if mode == "linear_corners":
            return linear_corners_matrix(steps, source[axis])
        if mode == "linear":
            return linear_matrix(steps, source[axis], scale)
        return (
            antialiased_matrix(steps, source[axis], scale)
            if antialias
            else bicubic_matrix(steps, source[axis], scale)
        )

    rows = matrix(0) @ grid  # (H', W * D)
    rows = rows.reshape(target[0], source[1], -1)  # (H', W, D)
    grid = matrix(1) @ rows  # (H', W', D)
    return grid.reshape(1, target[0] * target[1], -1).to(positions.dtype)  # (1, H' * W', D)


def bicubic_matrix(steps: Tensor, source: int, scale: float) -> Tensor:
    """(target,) indices -> (target, source): torch's bicubic, four taps, borders repeated."""
    centre = scale * (steps + 0.5) - 0.5
    first = centre.floor()
    fraction = centre - first
    taps = torch.arange(source, device=steps.device, dtype=steps.dtype)  # (source,)
    matrix = torch.zeros_like(steps[:, None] * taps)  # (target, source)
    for shift in (-1, 0, 1, 2):
        weight = _cubic((fraction - shift).abs(), a=-0.75)  # (target,)
        index = (first + shift).clamp(0, source - 1)  # (target,)
        matrix = matrix + torch.where(index[:, None] == taps, weight[:, None], 0.0)
    return matrix


def antialiased_matrix(steps: Tensor, source: int, scale: float) -> Tensor:
    """(target,) indices -> (target, source): torch's antialiased bicubic, rows sum to one."""
    centre = scale * (steps + 0.5)
    taps = torch.arange(source, device=steps.device, dtype=steps.dtype)  # (source,)
    distance = (taps + 0.5 - centre[:, None]).abs() / max(scale, 1.0)  # (target, source)
    weights = _cubic(distance, a=-0.5)
    return weights / weights.sum(dim=1, keepdim=True)


def linear_matrix(steps: Tensor, source: int, scale: float) -> Tensor:
    """(target,) indices -> (target, source): torch's linear, two taps, borders repeated."""
    centre = (scale * (steps + 0.5) - 0.5).clamp(0, source - 1)
    taps = torch.arange(source, device=steps.device, dtype=steps.dtype)  # (source,)
    return (1 - (taps - centre[:, None]).abs()).clamp(min=0)


def linear_corners_matrix(steps: Tensor, source: int) -> Tensor:
    """(target,) indices -> (target, source): linear, first and last sample stay in place."""
    centre = steps * ((source - 1) / max(steps.shape[0] - 1, 1))
    taps = torch.arange(source, device=steps.device, dtype=steps.dtype)  # (source,)
    return (1 - (taps - centre[:, None]).abs()).clamp(min=0)


def _cubic(distance: Tensor, a: float) -> Tensor:
    """Keys' kernel at distances >= 0, in samples; zero from 2 on."""
    near = ((a + 2) * distance - (a + 3)) * distance * distance + 1
    far = ((distance - 5) * distance + 8) * distance * a - 4 * a
    return torch.where(distance < 1, near, torch.where(distance < 2, far, 0.0))
