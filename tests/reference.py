"""How close is close: shared by all tests that hold our output against an independent library's."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

# Relative RMS error against the reference. In float64 only the order of sums differs; in float32
# the same, 2**29 times larger, with room for twelve blocks of accumulation.
FLOAT64 = 1e-10
FLOAT32 = 2e-6


def relative_error(ours: Any, reference: Any) -> float:  # tensors or arrays
    """Return ||ours - reference|| / ||reference||; the shapes must agree."""
    one, other = torch.as_tensor(ours).double(), torch.as_tensor(reference).double()
    assert one.shape == other.shape, f"shape {tuple(one.shape)}, reference {tuple(other.shape)}"
    assert torch.isfinite(one).all()
    norm = other.norm()
    assert norm > 0, "the reference is all zeros: nothing can be learnt from it"
    return float((one - other).norm() / norm)


def tolerance(dtype: torch.dtype) -> float:
    """Return the bound for a dtype."""
    return FLOAT64 if dtype == torch.float64 else FLOAT32


def make_live(module: nn.Module, seed: int = 0) -> nn.Module:
    """Fill a reference module with weights under which every part matters; returns it in eval mode.

    Written apart from the product's own `make_live`, on purpose simple: all floats random, scales
    around one, variances positive.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            if not tensor.is_floating_point():
                continue
            noise = torch.randn(tensor.shape, generator=generator, dtype=torch.float32)
            if name.endswith("running_var"):
                tensor.copy_(noise.abs() * 0.5 + 0.5)
            elif tensor.ndim <= 1 and not name.endswith(("bias", "beta", "running_mean")):
                tensor.copy_(noise * 0.1 + 1.0)
            elif tensor.ndim <= 1:
                tensor.copy_(noise * 0.1)
            else:
                fan = tensor[0].numel()
                tensor.copy_(noise * (0.5 if fan < 4 else fan**-0.5))
    return module.eval()


def images(batch: int, height: int, width: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return seeded noise with some structure, (B, 3, H, W)."""
    generator = torch.Generator().manual_seed(height * 31 + width)
    coarse = torch.randn(batch, 3, 4, 4, generator=generator, dtype=torch.float64)
    smooth = nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    noise = torch.randn(batch, 3, height, width, generator=generator, dtype=torch.float64)
    return (smooth + 0.3 * noise).to(dtype)
