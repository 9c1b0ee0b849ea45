"""HOG: how strong edges of each direction are, cell by cell. No parameters.

Histograms of Oriented Gradients for Human Detection, Dalal and Triggs 2005, with the choices of
scikit-image (skimage/feature/_hog.py, BSD-3-Clause): central differences that are zero on the
border, each pixel votes for exactly one bin, a cell holds mean magnitudes, blocks overlap.
Shapes: B samples, H and W pixels, R and C cells down and across, K orientations.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.encoded import Encoded
from zoo.nn.pool import unit
from zoo_classic.hog_config import HogConfig


class Hog(nn.Module):
    """Histograms of oriented gradients.

    Args:
        config: Its numbers.

    Attributes:
        normalize: Whether the pooled vector leaves with unit L2 norm.
    """

    def __init__(self, config: HogConfig) -> None:
        super().__init__()
        self.config = config
        self.normalize = config.normalize

    def forward(self, pixels: Tensor) -> Encoded:
        """(B, 1, H, W) -> pooled (B, D), tokens (B, N, block * block * K), blocks row by row."""
        down, across = gradients(pixels[:, 0])  # each (B, H, W)
        cells = F.avg_pool2d(self._votes(down, across), self.config.cell)  # (B, K, R, C)
        tokens = self._blocks(cells)  # (B, N, block * block * K)
        pooled = tokens.flatten(1)  # (B, D)
        return Encoded(pooled=unit(pooled) if self.normalize else pooled, tokens=tokens)

    def _votes(self, down: Tensor, across: Tensor) -> Tensor:
        """Gradients (B, H, W) -> magnitudes by bin (B, K, H, W).

        The angle is never computed: a gradient lies beyond a bin's edge if it lies to the left of
        the edge's direction. That needs no atan2, which runtimes have in several versions.
        """
        kinds = self.config.orientations
        magnitude = torch.linalg.vector_norm(torch.stack((down, across)), dim=0)  # (B, H, W)
        # opposite directions are one orientation: turn all gradients into [0, 180) degrees
        across = torch.where(down == 0, across.abs(), torch.where(down < 0, -across, across))
        down = down.abs()
        votes, rest = [], magnitude
        for edge in range(1, kinds):
            angle = math.pi * edge / kinds
            beyond = torch.where(
                math.cos(angle) * down >= math.sin(angle) * across,
                magnitude,
                torch.zeros_like(magnitude),
            )
            votes.append(rest - beyond)
            rest = beyond
        return torch.stack((*votes, rest), dim=1)  # (B, K, H, W)

    def _blocks(self, cells: Tensor) -> Tensor:
        """(B, K, R, C) -> (B, N, block * block * K), each block of L2-Hys norm."""
        side = self.config.block
        rows, columns = cells.shape[2] - side + 1, cells.shape[3] - side + 1
        blocks = torch.stack([
            cells[:, :, i:i + rows, j:j + columns] for i in range(side) for j in range(side)
        ], dim=1)  # (B, block * block, K, R', C')  # fmt: skip
        tokens = blocks.flatten(1, 2).flatten(2).transpose(1, 2)  # (B, N, block * block * K)
        tokens = self._scaled(tokens).clamp(max=self.config.clip)
        return self._scaled(tokens)

    def _scaled(self, blocks: Tensor) -> Tensor:
        energy = blocks.square().sum(dim=-1, keepdim=True)  # (B, N, 1)
        return blocks / torch.sqrt(energy + self.config.eps**2)


def gradients(image: Tensor) -> tuple[Tensor, Tensor]:
    """(B, H, W) -> differences of the neighbours below and above, and right and left, (B, H, W)."""
    down = F.pad(image[:, 2:] - image[:, :-2], (0, 0, 1, 1))
    across = F.pad(image[:, :, 2:] - image[:, :, :-2], (1, 1))
    return down, across
