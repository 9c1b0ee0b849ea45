"""Other ways to compute the same: what a right graph looks like. None of them may be refused."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.mutations.attention import attend
from tests.mutations.kinds import patch
from zoo.nn.attention import SelfAttention


def explicit_attention(net: nn.Module) -> None:
    """Logits, softmax and sum one by one, as exporters write attention."""
    for part in net.modules():
        if isinstance(part, SelfAttention):
            patch(part, attend)


def explicit_norms(net: nn.Module) -> None:
    """Layer norms from mean and variance; batch norms as one factor and one sum."""
    for part in net.modules():
        if isinstance(part, nn.LayerNorm):
            patch(part, _layer_norm)
        elif isinstance(part, nn.BatchNorm2d):
            patch(part, _batch_norm)


def explicit_gelu(net: nn.Module) -> None:
    """Gelu by the error function, as opsets before 20 have it."""
    for part in net.modules():
        if getattr(part, "activation", None) is F.gelu:
            setattr(part, "activation", _gelu)  # noqa: B010  a Module knows no such attribute


def one_by_one(net: nn.Module) -> None:
    """Linear layers a sample at a time: another order of sums in the products."""
    for part in net.modules():
        if type(part) is nn.Linear:
            patch(part, _linear)


def _layer_norm(self: Any, x: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    variance = centred.square().mean(-1, keepdim=True)
    out: Tensor = centred / torch.sqrt(variance + self.eps) * self.weight + self.bias
    return out


def _batch_norm(self: Any, x: Tensor) -> Tensor:
    factor = self.weight / torch.sqrt(self.running_var + self.eps)
    shift = self.bias - self.running_mean * factor
    out: Tensor = x * factor[:, None, None] + shift[:, None, None]
    return out


def _gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))


def _linear(self: Any, x: Tensor) -> Tensor:
    product = torch.cat([part @ self.weight.t() for part in torch.split(x, 1)])
    return product if self.bias is None else product + self.bias


REWRITES = (explicit_attention, explicit_norms, explicit_gelu, one_by_one)
