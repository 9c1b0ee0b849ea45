"""Group norms in a form that runtimes compute as closely as PyTorch.

The exporter writes a group norm as InstanceNormalization over all numbers of a group. ONNX
Runtime's takes the mean first and then the variance, but adds a group's numbers one after the other
(version 1.31, on a processor): the error grows with the map, and by the mean over the deviation.
128 x 256 x 256 numbers came out 24 times as far from float64 as PyTorch's own; where a whole group
has one value, as in a black image, they were wrong in the first digit (docs/export.md).
"""

from __future__ import annotations

from torch import Tensor


def group_norm(
    x: Tensor,
    groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(B, C, ...) -> (B, C, ...), each group of channels brought to mean 0 and variance 1.

    Means are taken axis by axis, so that no sum is longer than one axis. What the first mean leaves
    is small, and taken away too: where the mean is large, rounding would else be most of what is
    left.
    """
    batch, channels, *places = x.shape
    y = x.reshape(batch, groups, channels // groups, *places)  # (B, G, C / G, ...)
    y = y - _mean(y)
    y = y - _mean(y)
    y = y / (_mean(y * y) + eps).sqrt()
    y = y.reshape(x.shape)
    each = (channels, *(1 for _ in places))
    if weight is not None:
        y = y * weight.reshape(each)
    return y if bias is None else y + bias.reshape(each)


def _mean(x: Tensor) -> Tensor:
    """(B, G, C / G, ...) -> (B, G, 1, ...)."""
    for axis in range(x.ndim - 1, 1, -1):
        x = x.mean(dim=axis, keepdim=True)
    return x
