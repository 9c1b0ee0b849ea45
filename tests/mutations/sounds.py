"""Bugs of encoders of sound."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

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


def _starts_late(net: Any) -> None:
    """Of the one frame too many that an even kernel gives, the first is dropped, not the last."""

    def forward(self: Any, x: Tensor, mask: Tensor | None = None) -> Tensor:
        norm = torch.linalg.vector_norm(self.direction, dim=(0, 1), keepdim=True)
        weight, half = self.direction * (self.length / norm), self.direction.shape[-1] // 2
        assert self.direction.shape[-1] % 2 == 0
        x = F.conv1d(x.transpose(1, 2), weight, self.bias, padding=half, groups=self.groups)
        return F.gelu(x[:, :, 1:]).transpose(1, 2)

    patch(net.positions, forward)


def _tanh_in_the_stem(net: Any) -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        return F.gelu(self.conv(x), approximate="tanh")

    assert net.stem[1].norm is None
    patch(net.stem[1], forward)


def _frames_too_many(net: Any) -> None:
    """Frames that see real samples at all count as real."""
    inner = net._frames
    net._frames = lambda mask, x: inner(F.pad(mask, (400, 0), value=1), x)


MUTATIONS = (
    Mutation(
        kind="norm over time without its mean",
        rows=GROUPED,
        apply=edit(_uncentred),
        site="stem.0.norm",
        causes=("the mean is not taken away",),
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
        causes=("eps is 0.001",),
    ),
    Mutation(
        kind="length of the positions' weights lost",
        rows=GROUPED,
        apply=edit(lambda net: net.positions.length.fill_(1.0)),
        site="positions",
        causes=("`length` is one everywhere",),
    ),
    Mutation(
        kind="positions' kernel starts one frame late",
        rows=GROUPED,
        apply=edit(_starts_late),
        site="positions",
    ),
    Mutation(
        kind="tanh for exact gelu in the stem",
        rows=GROUPED,
        apply=edit(_tanh_in_the_stem),
        site="stem.1",
    ),
    Mutation(
        kind="frames of padding are real",
        rows=MASKED,
        apply=edit(_frames_too_many),
        causes=("batch",),
    ),
    Mutation(
        kind="silence behind a sound is heard",
        rows=MASKED,
        apply=edit(_silence_heard),
        causes=("`waveform_mask` is left out",),
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
        causes=("rows of `positions.weight` are off by one",),
    ),
    Mutation(
        kind="positions of frames lost",
        rows=WHISPERS,
        apply=edit(lambda net: lost(net.positions.weight)),
        causes=("`positions.weight` is lost",),
    ),
    Mutation(
        kind="loudness normalised where it is not, or not",
        rows=("wav2vec2-base", "hubert-large"),
        apply=prepared(lambda r: replace(r, normalize=not r.normalize)),
        causes=("normalize is",),
    ),
    Mutation(
        kind="another window of the spectrogram",
        rows=WHISPERS,
        apply=prepared(lambda r: replace(r, window=r.window - 80)),
        causes=("window is 320, not 400",),
    ),
)
