"""How close is close: shared by all tests that hold our output against an independent library's."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.testing.close import (
    FLOAT32 as FLOAT32,
    FLOAT64 as FLOAT64,
    relative_error as relative_error,
    tolerance as tolerance,
)


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
