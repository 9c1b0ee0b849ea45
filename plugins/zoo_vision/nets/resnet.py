"""ResNet, version 1.5: residual blocks in four stages, each a level of the feature pyramid.

Deep Residual Learning for Image Recognition, arXiv:1512.03385; the stride stands in the 3x3
convolution, as in torchvision (models/resnet.py, BSD-3-Clause), whose order of operations is kept.
Shapes: B samples, C channels, H and W pixels or places of a map.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from zoo.encoded import Encoded
from zoo.nn.pool import unit
from zoo_vision.resnet_config import SHRINK, ResNetConfig


class ConvNorm(nn.Module):
    """A convolution without bias and its batch norm."""

    def __init__(self, channels: int, width: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, kernel, stride, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, width, H / stride, W / stride)."""
        out: Tensor = self.norm(self.conv(x))
        return out


class Block(nn.Module):
    """Some convolutions beside a shortcut.

    Args:
        config: Says which kind of block.
        channels: That come in.
        width: Channels that leave.
        stride: Of the map that leaves, in places of the map that comes in.
    """

    def __init__(self, config: ResNetConfig, channels: int, width: int, stride: int) -> None:
        super().__init__()
        if config.block == "basic":
            layers = [ConvNorm(channels, width, 3, stride), ConvNorm(width, width, 3)]
        else:
            inner = width // SHRINK
            layers = [
                ConvNorm(channels, inner, 1),
                ConvNorm(inner, inner, 3, stride),
                ConvNorm(inner, width, 1),
            ]
        self.layers = nn.ModuleList(layers)
        same = channels == width and stride == 1
        self.shortcut = None if same else ConvNorm(channels, width, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, width, H / stride, W / stride)."""
        shortcut = x if self.shortcut is None else self.shortcut(x)
        last = len(self.layers) - 1
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index < last:
                x = F.relu(x)
        return F.relu(x + shortcut)


class ResNet(nn.Module):
    """A stem, four stages, the mean of the last map.

    Args:
        config: Its numbers.

    Attributes:
        blocks: The four stages.
        normalize: Whether the pooled vector leaves with unit L2 norm.
    """

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.normalize = config.normalize
        self.stem = ConvNorm(3, config.stem, 7, stride=2)
        channels = config.stem
        self.blocks = nn.ModuleList()
        for stage, (depth, width) in enumerate(zip(config.depths, config.widths, strict=True)):
            blocks = []
            for index in range(depth):
                stride = 2 if stage > 0 and index == 0 else 1
                blocks.append(Block(config, channels, width, stride))
                channels = width
            self.blocks.append(nn.Sequential(*blocks))

    def forward(self, pixels: Tensor) -> Encoded:
        """(B, 3, H, W) -> pooled (B, C), tokens (B, N, C) row by row, pyramid at 4, 8, 16, 32."""
        x = F.relu(self.stem(pixels))  # (B, C, H / 2, W / 2)
        x = F.max_pool2d(x, kernel_size=3, stride=2, padding=1)  # (B, C, H / 4, W / 4)
        levels = []
        for stage in self.blocks:
            x = stage(x)
            levels.append(x)
        pooled = x.mean(dim=(2, 3))  # (B, C)
        return Encoded(
            pooled=unit(pooled) if self.normalize else pooled,
            tokens=x.flatten(2).transpose(1, 2),  # (B, N, C)
            pyramid=tuple(levels),
        )
