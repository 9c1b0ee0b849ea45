"""The feed-forward halves of transformer blocks."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from zoo.nn.activations import ACTIVATIONS, ActivationName


class Mlp(nn.Module):
    """Two linear layers with an activation between them.

    Args:
        width: Of a token.
        hidden: Width between the layers.
        activation: Between the layers.
    """

    def __init__(self, width: int, hidden: int, *, activation: ActivationName = "gelu") -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        out: Tensor = self.fc2(self.activation(self.fc1(x)))
        return out


class SwiGlu(nn.Module):
    """silu(gate) * value with both halves in one projection, gate first (DINOv2's w12, w3).

    Args:
        width: Of a token.
        hidden: Width of each half.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 2 * hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        gate, value = self.fc1(x).chunk(2, dim=-1)
        out: Tensor = self.fc2(F.silu(gate) * value)
        return out
