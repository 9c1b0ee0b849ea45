"""What a network returns: one record for every kind of encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class Encoded(NamedTuple):
    """A batch's representations; what a network does not have is None.

    B samples, N tokens, P prefix tokens, W width of a token, D width of a vector, C channels.

    Attributes:
        pooled: (B, D) one vector a sample; None for late interaction.
        tokens: (B, N, W) one vector a patch, word piece or frame.
        mask: (B, N) bool, True where a token is real; None where all are.
        prefix: (B, P, W) class token, then distillation token or registers.
        pyramid: (B, C, H, W) feature maps, finest first.
    """

    pooled: Tensor | None = None
    tokens: Tensor | None = None
    mask: Tensor | None = None
    prefix: Tensor | None = None
    pyramid: tuple[Tensor, ...] | None = None
