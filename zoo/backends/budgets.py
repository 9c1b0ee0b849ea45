"""What one batch may cost on each kind of device. No torch.

A processor's caches are small, and sorting by length makes small batches nearly free of padding; a
GPU wants to be filled, and so do the matrix units that a processor may have for 16-bit floats.
Measured with benchmarks/, but for sounds: ten seconds at 16 kHz are the tokens of a text batch, and
a first convolution that keeps a fifth of the samples at 512 channels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from zoo.spec import Modality

IMAGE = 224 * 224  # pixels
SECOND = 16_000  # samples of sound


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Most that one batch may cost, padding included.

    Attributes:
        tokens: Of texts.
        pixels: Of images and clips.
        samples: Of sounds.
    """

    tokens: int
    pixels: int
    samples: int

    def of(self, modality: Modality) -> int:
        """Return what is counted of a modality, the unit of `Sample.size`."""
        if modality == "text":
            return self.tokens
        return self.samples if modality == "audio" else self.pixels


PROCESSOR = Budget(tokens=512, pixels=8 * IMAGE, samples=10 * SECOND)
PROCESSOR_16_BIT = replace(PROCESSOR, tokens=1536)
GPU = Budget(tokens=65_536, pixels=128 * IMAGE, samples=64 * 30 * SECOND)

# Of batches that run side by side on a processor, in torch and in ONNX Runtime.
LANE = replace(PROCESSOR, pixels=4 * IMAGE)
LANE_16_BIT = replace(LANE, tokens=768)
ONNX_LANE = replace(PROCESSOR, pixels=2 * IMAGE)
