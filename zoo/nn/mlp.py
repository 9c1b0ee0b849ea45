"""The feed-forward halves of transformer blocks."""

from __future__ import annotations

from torch import Tensor, nn

from zoo.nn.activations import ACTIVATIONS, ActivationName


class Mlp(nn.Module):
    """Two linear layers with an activation between them.

    Args:
        width: Of a token.
        hidden: Width between the layers.
        activation: Between the layers.
        bias: Whether the layers have one.
    """

    def __init__(
        self, width: int, hidden: int, *, activation: ActivationName = "gelu", bias: bool = True
    ) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden, bias=bias)
        self.fc2 = nn.Linear(hidden, width, bias=bias)
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        out: Tensor = self.fc2(self.activation(self.fc1(x)))
        return out


class GatedMlp(nn.Module):
    """activation(gate) * value with both halves in one projection, gate first (DINOv2's w12, w3).

    Args:
        width: Of a token.
        hidden: Width of each half.
        activation: Of the gate.
        bias: Whether the layers have one.
    """

    def __init__(
        self, width: int, hidden: int, *, activation: ActivationName = "silu", bias: bool = True
    ) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 2 * hidden, bias=bias)
        self.fc2 = nn.Linear(hidden, width, bias=bias)
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        gate, value = self.fc1(x).chunk(2, dim=-1)
        out: Tensor = self.fc2(self.activation(gate) * value)
        return out
