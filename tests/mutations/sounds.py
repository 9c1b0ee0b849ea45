"""Bugs of encoders of sound."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from tests.mutations.kinds import Mutation, edit, lost, patch, prepared

GROUPED = ("wav2vec2-base", "hubert-base")
MASKED = ("hubert-large", "wav2vec2-large-lv60")
WHISPERS = ("whisper-tiny", "whisper-base")


def _uncentred(net: Any) -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        variance = x.square().mean(-1, keepdim=True)
        scale = self.weight[:, None] / (variance + self.eps).sqrt()
        return x * scale + self.bias[:, None]

    patch(net.stem[0].norm, forward)


def _over_the_batch(net: Any) -> None:
    """Statistics of all sounds of a batch together."""

    def forward(self: Any, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x, dim=(0, 2), keepdim=True, correction=0)
        scale = self.weight[:, None] / (variance + self.eps).sqrt()
        return (x - mean) * scale + self.bias[:, None]

    patch(net.stem[0].norm, forward)


def _silence_heard(net: Any) -> None:
    patch(net, lambda self, waveform, waveform_mask=None: type(self).forward(self, waveform))


MUTATIONS = (
    Mutation(
        kind="norm over time without its mean",
        rows=GROUPED,
        apply=edit(_uncentred),
        site="stem.0.norm",
    ),
    Mutation(
        kind="norm over time of the whole batch",
        rows=GROUPED,
        apply=edit(_over_the_batch),
        causes=("batch",),
    ),
    Mutation(
        kind="norm over time with eps 1e-3",
        rows=GROUPED,
        apply=edit(lambda net: setattr(net.stem[0].norm, "eps", 1e-3)),
        site="stem.0.norm",
    ),
    Mutation(
        kind="length of the positions' weights lost",
        rows=GROUPED,
        apply=edit(lambda net: net.positions.length.fill_(1.0)),
        site="positions",
    ),
    Mutation(
        kind="silence behind a sound is heard",
        rows=MASKED,
        apply=edit(_silence_heard),
        causes=("batch", "left out"),
    ),
    Mutation(
        kind="a convolution's bias lost",
        rows=WHISPERS,
        apply=edit(lambda net: lost(net.conv2.bias)),
        site="conv2",
        causes=("bias",),
    ),
    Mutation(
        kind="positions of frames off by one",
        rows=WHISPERS,
        apply=edit(lambda net: net.positions.weight.copy_(net.positions.weight.roll(1, dims=0))),
    ),
    Mutation(
        kind="loudness normalised where it is not, or not",
        rows=("wav2vec2-base", "hubert-large"),
        apply=prepared(lambda r: replace(r, normalize=not r.normalize)),
    ),
    Mutation(
        kind="another window of the spectrogram",
        rows=WHISPERS,
        apply=prepared(lambda r: replace(r, window=r.window - 80)),
    ),
)
