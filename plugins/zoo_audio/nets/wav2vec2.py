"""wav2vec 2.0 and what grew out of it: convolutions over the waveform, then a transformer.

Baevski et al., arXiv 2006.11477; layers and names of checkpoints as in transformers 5.23,
models/wav2vec2/modeling_wav2vec2.py (Apache-2.0). Shapes: B sounds, S samples, N tokens (frames of
25 ms, 20 ms apart), D width, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.encoded import Encoded
from zoo.nn.attention import SelfAttention, key_mask
from zoo.nn.mlp import Mlp
from zoo.nn.pool import masked_mean, unit
from zoo_audio.configs import Wav2Vec2Config

PIECE = 256  # frames that are added up at a time


class TimeNorm(nn.Module):
    """Each channel brought to mean 0 and variance 1 over the whole sound: a group norm of one.

    Written out, because ONNX Runtime's GroupNormalization takes the difference of two large means
    for the variance, which gives NaN where a channel hardly moves (version 1.31). Means are taken
    in two steps: half a minute has 96,000 frames here, and a runtime that adds them one after the
    other loses two digits.

    Args:
        channels: Number of channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.eps = 1e-5
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, S) -> (B, C, S), computed in float32 at least, as PyTorch's own group norm is."""
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        wide = wide - _mean(wide)
        variance = _mean(wide.square())  # (B, C, 1)
        wide = wide * (self.weight[:, None] / (variance + self.eps).sqrt()) + self.bias[:, None]
        return wide.to(x.dtype)


def _mean(x: Tensor) -> Tensor:
    """(B, C, S) -> (B, C, 1), the mean over time."""
    size = x.shape[2]
    padded = F.pad(x, (0, -size % PIECE))
    pieces = padded.reshape(*x.shape[:2], -1, PIECE)  # (B, C, S / PIECE, PIECE)
    return pieces.sum(dim=3).sum(dim=2, keepdim=True) / size


class StemLayer(nn.Module):
    """A convolution without padding, a norm or none, GELU.

    Args:
        config: Of the network.
        index: Of the layer; a group norm stands after the first alone.
    """

    def __init__(self, config: Wav2Vec2Config, index: int) -> None:
        super().__init__()
        channels = config.channels
        self.conv = nn.Conv1d(
            channels if index else 1,
            channels,
            config.kernels[index],
            stride=config.strides[index],
            bias=config.stem_bias,
        )
        self.norm: nn.Module | None = None
        if config.stem_norm == "layer":
            self.norm = nn.LayerNorm(channels)
        elif index == 0:
            self.norm = TimeNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, S) -> (B, C, S')."""
        x = self.conv(x)  # (B, C, S')
        if isinstance(self.norm, nn.LayerNorm):
            x = self.norm(x.transpose(1, 2)).transpose(1, 2)
        elif self.norm is not None:
            x = self.norm(x)
        return F.gelu(x)


class Positions(nn.Module):
    """Positions relative to the neighbours: a grouped convolution over time, then GELU.

    The weight is kept as a direction and a length for each place of the kernel, as it was trained.

    Args:
        config: Of the network.
    """

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__()
        self.groups = config.position_groups
        kernel = config.position_kernel
        self.length = nn.Parameter(torch.ones(1, 1, kernel))
        self.direction = nn.Parameter(
            torch.randn(config.width, config.width // self.groups, kernel)
        )
        self.bias = nn.Parameter(torch.zeros(config.width))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, N, D), silent where the mask is False -> (B, N, D)."""
        kernel = self.direction.shape[-1]
        norm = torch.linalg.vector_norm(self.direction, dim=(0, 1), keepdim=True)  # (1, 1, kernel)
        weight = self.direction * (self.length / norm)
        x = F.conv1d(
            x.transpose(1, 2), weight, self.bias, padding=kernel // 2, groups=self.groups
        )  # (B, D, N), and one more where the kernel is even
        if kernel % 2 == 0:
            x = x[:, :, :-1]
        return F.gelu(x).transpose(1, 2)  # (B, N, D)


class StackedPositions(nn.Module):
    """The same by several convolutions, each with a norm without weights and GELU.

    Args:
        config: Of the network.
    """

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__()
        width, kernel = config.width, config.position_kernel
        self.layers = nn.ModuleList(
            nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=config.position_groups)
            for _ in range(config.position_depth)
        )
        self.norm = nn.LayerNorm(width, elementwise_affine=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, N, D), mask (B, N) -> (B, N, D), silent where the mask is False."""
        frames = x.shape[1]
        for layer in self.layers:
            x = layer(x.transpose(1, 2))[:, :, :frames].transpose(1, 2)  # (B, N, D)
            x = F.gelu(self.norm(x))
            if mask is not None:  # the next convolution would see the rest
                x = x * mask[..., None].to(x.dtype)
        return x


class Block(nn.Module):
    """Attention and feed-forward, normalised before each or after each sum.

    Args:
        config: Of the network.
    """

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__()
        self.pre_norm = config.pre_norm
        self.attention = SelfAttention(config.width, config.heads)
        self.attention_norm = nn.LayerNorm(config.width, eps=config.eps)
        self.mlp = Mlp(config.width, config.hidden)
        self.mlp_norm = nn.LayerNorm(config.width, eps=config.eps)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B, N, D), mask (B, 1, 1, N) -> (B, N, D)."""
        if self.pre_norm:
            x = x + self.attention(self.attention_norm(x), mask)
            hidden: Tensor = self.mlp(self.mlp_norm(x))
            return x + hidden
        x = self.attention_norm(x + self.attention(x, mask))
        out: Tensor = self.mlp_norm(x + self.mlp(x))
        return out


class Wav2Vec2(nn.Module):
    """One vector a sound and one a frame.

    Args:
        config: Numbers that fix the network.

    Attributes:
        normalize: Whether the pooled vector leaves with unit L2 norm.
    """

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__()
        self.config = config
        self.normalize = config.normalize
        self.stem = nn.ModuleList(StemLayer(config, i) for i in range(len(config.kernels)))
        self.project_norm = nn.LayerNorm(config.channels, eps=config.eps)
        self.project = nn.Linear(config.channels, config.width)
        self.positions = (StackedPositions if config.position_depth else Positions)(config)
        self.norm = nn.LayerNorm(config.width, eps=config.eps)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))

    def forward(self, waveform: Tensor, waveform_mask: Tensor | None = None) -> Encoded:
        """Samples (B, S), mask (B, S) nonzero where real -> pooled (B, D), tokens (B, N, D)."""
        x = waveform[:, None]  # (B, 1, S)
        for layer in self.stem:
            x = layer(x)  # (B, C, N) in the end
        x = self.project(self.project_norm(x.transpose(1, 2)))  # (B, N, D)
        mask = None if waveform_mask is None else self._frames(waveform_mask, x)
        if mask is not None:
            x = x * mask[..., None].to(x.dtype)  # the convolution of positions would see the rest
        x = x + self.positions(x, mask)
        if not self.config.pre_norm:
            x = self.norm(x)
        keys = key_mask(mask)
        for block in self.blocks:
            x = block(x, keys)
        if self.config.pre_norm:
            x = self.norm(x)
        pooled = masked_mean(x, mask)  # (B, D)
        if mask is None and self.config.stem_norm == "layer":  # the same outputs, whatever came in
            mask = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)  # (B, N)
        return Encoded(pooled=unit(pooled) if self.normalize else pooled, tokens=x, mask=mask)

    def _frames(self, mask: Tensor, x: Tensor) -> Tensor:
        """Mask (B, S) -> (B, N) bool, True for the frames that see real samples alone."""
        lengths = mask.long().sum(dim=1, keepdim=True)  # (B, 1)
        for kernel, stride in zip(self.config.kernels, self.config.strides, strict=True):
            lengths = (lengths - kernel) // stride + 1
        return torch.arange(x.shape[1], device=x.device)[None, :] < lengths
