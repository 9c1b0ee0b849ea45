"""Random weights under which every part of a network matters.

Default inits hide bugs: LayerScale at 1e-5 silences the blocks, BatchNorm at (0, 1) and zero biases
make whole tensors invisible. Live weights keep activations near unit scale and leave nothing at
zero, so that a mistake anywhere changes the output.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

BIAS = 0.1  # standard deviation of biases
SPREAD = 0.1  # of scales around 1
EMBEDDING = 0.5  # of looked-up and learned tokens


def make_live(module: nn.Module, seed: int = 0) -> None:
    """Fill every parameter and statistic of a module, the same on every machine.

    Args:
        module: On the CPU, in any floating dtype; changed in place.
        seed: Of the generator; drawn in float32, in order of names.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(like: Tensor, std: float, mean: float = 0.0) -> None:
        values = torch.randn(like.shape, generator=generator, dtype=torch.float32)
        like.copy_(values * std + mean)

    with torch.no_grad():
        for _, part in sorted(module.named_modules(), key=lambda pair: pair[0]):
            if isinstance(part, _BatchNorm) and part.track_running_stats:
                assert part.running_mean is not None, "statistics are tracked"
                assert part.running_var is not None, "statistics are tracked"
                normal(part.running_mean, BIAS)
                part.running_var.copy_(
                    torch.rand(part.running_var.shape, generator=generator) + 0.5
                )
            for name, parameter in part.named_parameters(recurse=False):
                if isinstance(part, nn.Embedding):
                    normal(parameter, EMBEDDING)
                elif isinstance(part, nn.Linear | nn.modules.conv._ConvNd) and name == "weight":
                    normal(parameter, 1 / math.sqrt(parameter[0].numel()))
                elif name == "bias":
                    normal(parameter, BIAS)
                elif parameter.ndim == 1:  # norms, LayerScale
                    normal(parameter, SPREAD, mean=1.0)
                else:  # class tokens, positions, free matrices
                    fan = parameter.shape[-1] if parameter.ndim == 2 else 0
                    normal(parameter, 1 / math.sqrt(fan) if fan else EMBEDDING)
