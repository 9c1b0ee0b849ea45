"""Configs of encoders of sound: numbers only; torch is imported when a network is built."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundConfig:
    """A transformer over frames of sound; the base of all configs of this package.

    Attributes:
        width: Of a token.
        depth: Blocks.
        heads: Attention heads of a block.
        hidden: Width inside a block's feed-forward half.
        eps: Of the layer norms.
        pooling: The mean of the tokens that the sound reaches; what fills it up is left out.
        normalize: Whether the vector is scaled to unit L2 norm.
    """

    width: int
    depth: int
    heads: int
    hidden: int
    eps: float = 1e-5
    pooling: Literal["mean"] = "mean"
    normalize: bool = False

    @property
    def dim(self) -> int:
        """Width of the pooled vector."""
        return self.width


@dataclass(frozen=True, slots=True, kw_only=True)
class Wav2Vec2Config(SoundConfig):
    """Convolutions over the waveform, then a transformer: wav2vec 2.0 and what grew out of it.

    Attributes:
        channels: Of each convolution of the stem.
        kernels: Samples, then frames, that each convolution of the stem sees.
        strides: Of each convolution of the stem.
        stem_norm: `group`: one norm, over time, after the first convolution, which makes a frame
            depend on the whole sound; `layer`: one after each, a frame by itself.
        stem_bias: Whether the stem's convolutions have a bias.
        pre_norm: Whether a block normalises what goes in (and the last what comes out), or else
            each of its sums.
        position_depth: Convolutions of positions one after the other, each normalised
            (data2vec); 0 is a single one under weight norm.
        position_kernel: Frames that a convolution of positions sees.
        position_groups: Of its channels.
    """

    channels: int = 512
    kernels: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    strides: tuple[int, ...] = (5, 2, 2, 2, 2, 2, 2)
    stem_norm: Literal["group", "layer"] = "group"
    stem_bias: bool = False
    pre_norm: bool = False
    position_depth: int = 0
    position_kernel: int = 128
    position_groups: int = 16

    @property
    def stride(self) -> int:
        """Samples from one token to the next."""
        return prod(self.strides)

    @property
    def shortest(self) -> int:
        """Samples that the first token sees; a shorter sound has no token."""
        field = 1
        for kernel, stride in zip(reversed(self.kernels), reversed(self.strides), strict=True):
            field = (field - 1) * stride + kernel
        return field

    @property
    def params(self) -> int:
        """Parameters of the network that `build` makes."""
        width, channels, layers = self.width, self.channels, len(self.kernels)
        stem = channels * self.kernels[0] + channels**2 * sum(self.kernels[1:])
        stem += channels * layers * self.stem_bias
        stem += 2 * channels * (layers if self.stem_norm == "layer" else 1)
        project = 2 * channels + (channels + 1) * width
        positions = self.position_kernel * width * (width // self.position_groups) + width
        if self.position_depth:
            positions *= self.position_depth
        else:
            positions += self.position_kernel  # the lengths of the weight norm
        return stem + project + positions + 2 * width + self.depth * _block(width, self.hidden)

    def build(self) -> nn.Module:
        """Build the network."""
        from zoo_audio.nets.wav2vec2 import Wav2Vec2

        return Wav2Vec2(self)

    def tiny(self) -> Self:
        """Return a version of a few thousand parameters with every feature still on."""
        return replace(
            self,
            width=32,
            depth=3,
            heads=2,
            hidden=48,
            channels=16,
            position_kernel=8,
            position_groups=4,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WhisperConfig(SoundConfig):
    """Two convolutions over a log-mel spectrogram of fixed length, then a transformer.

    Attributes:
        mels: Bands of the spectrogram.
        positions: Tokens, each with a stored position embedding.
    """

    mels: int = 80
    positions: int = 1500

    @property
    def stride(self) -> int:
        """Spectra from one token to the next."""
        return 2

    @property
    def params(self) -> int:
        """Parameters of the network that `build` makes."""
        width = self.width
        stem = (3 * self.mels + 1) * width + (3 * width + 1) * width
        blocks = self.depth * (_block(width, self.hidden) - width)  # keys have no bias
        return stem + self.positions * width + blocks + 2 * width

    def build(self) -> nn.Module:
        """Build the network."""
        from zoo_audio.nets.whisper import Whisper

        return Whisper(self)

    def tiny(self) -> Self:
        """Return a version of a few thousand parameters with every feature still on."""
        return replace(self, width=16, depth=2, heads=2, hidden=32, mels=8, positions=20)


def _block(width: int, hidden: int) -> int:
    """Return the parameters of a block: attention, feed-forward, two norms."""
    return 4 * (width + 1) * width + (2 * width + 1) * hidden + width + 4 * width
