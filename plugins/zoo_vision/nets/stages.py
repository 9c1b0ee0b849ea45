"""What networks of four stages share: a map that gets coarser, and an image that fits it."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from zoo.errors import InputError


class Stage(nn.Module):
    """Merging, but for the first stage, and blocks.

    Args:
        merging: What makes the map half as fine; None where it comes in as it stays.
        blocks: What follows, in order.
    """

    def __init__(self, merging: nn.Module | None, blocks: Iterable[nn.Module]) -> None:
        super().__init__()
        self.merging = merging
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> Tensor:
        """Return the map as it came in, or half of it with more channels; axes stay in place."""
        if self.merging is not None:
            x = self.merging(x)
        for block in self.blocks:
            x = block(x)
        return x


def check_sides(pixels: Tensor, side: int, fault: str) -> None:
    """Refuse images (B, 3, H, W) of which a rest would not be looked at.

    Args:
        pixels: The images.
        side: Of a patch, or of what a place of the last map sees.
        fault: Why another size cannot be, between the image's size and the side.

    Raises:
        InputError: Height or width is no multiple of the side.
    """
    height, width = pixels.shape[2:]
    if height % side or width % side:
        raise InputError(
            f"An image of {height} x {width} pixels {fault} {side} x {side}. Make height and width "
            f"multiples of {side}."
        )
