"""Whisper's encoder: a log-mel spectrogram of 30 seconds to one token every 20 ms.

Radford et al., arXiv 2212.04356; openai/whisper, whisper/model.py (MIT). Shapes: B sounds, M mel
bands, F spectra, N tokens, D width.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from zoo.encoded import Encoded
from zoo.nn.attention import SelfAttention
from zoo.nn.mlp import Mlp
from zoo.nn.pool import masked_mean, unit
from zoo_audio.configs import WhisperConfig


class Block(nn.Module):
    """Attention and feed-forward, each normalised first.

    Args:
        config: Of the network.
    """

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.width, eps=config.eps)
        self.attention = SelfAttention(config.width, config.heads, key_bias=False)
        self.mlp_norm = nn.LayerNorm(config.width, eps=config.eps)
        self.mlp = Mlp(config.width, config.hidden)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        x = x + self.attention(self.attention_norm(x))
        hidden: Tensor = self.mlp(self.mlp_norm(x))
        return x + hidden


class Whisper(nn.Module):
    """One vector a sound and one a frame.

    Args:
        config: Numbers that fix the network.

    Attributes:
        normalize: Whether the pooled vector leaves with unit L2 norm.
    """

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__()
        self.normalize = config.normalize
        self.conv1 = nn.Conv1d(config.mels, config.width, 3, padding=1)
        self.conv2 = nn.Conv1d(config.width, config.width, 3, stride=2, padding=1)
        self.positions = nn.Embedding(config.positions, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width, eps=config.eps)

    def forward(self, mel: Tensor, frame_mask: Tensor | None = None) -> Encoded:
        """(B, M, F), mask (B, N) nonzero where real -> pooled (B, D), tokens (B, N, D), mask.

        The silence that fills a sound up to 30 seconds is attended to, as in training; the mask
        keeps it out of the mean.
        """
        x = F.gelu(self.conv1(mel))  # (B, D, F)
        x = F.gelu(self.conv2(x)).transpose(1, 2)  # (B, N, D)
        x = x + self.positions.weight
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        pooled = masked_mean(x, frame_mask)  # (B, D)
        return Encoded(
            pooled=unit(pooled) if self.normalize else pooled,
            tokens=x,
            mask=None if frame_mask is None else frame_mask.bool(),
        )
