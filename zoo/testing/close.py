"""How close is close."""

from __future__ import annotations

from typing import Any

import torch

# Relative RMS error against the reference. In float64 only the order of sums differs; in float32
# the same, 2**29 times larger, with room for twelve blocks of accumulation.
FLOAT64 = 1e-10
FLOAT32 = 2e-6


def relative_error(ours: Any, reference: Any) -> float:  # noqa: ANN401  tensors or arrays
    """Return ||ours - reference|| / ||reference||.

    Raises:
        AssertionError: Shapes differ, a number is not finite, or the reference is all zeros.
    """
    one, other = torch.as_tensor(ours).double(), torch.as_tensor(reference).double()
    assert one.shape == other.shape, f"shape {tuple(one.shape)}, reference {tuple(other.shape)}"
    assert torch.isfinite(one).all(), "a number is not finite"
    norm = other.norm()
    assert norm > 0, "the reference is all zeros: nothing can be learnt from it"
    return float((one - other).norm() / norm)


def tolerance(dtype: torch.dtype) -> float:
    """Return the bound for a dtype."""
    return FLOAT64 if dtype == torch.float64 else FLOAT32
