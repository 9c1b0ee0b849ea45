"""Sounds to samples or log-mel spectrograms, the same as transformers makes them. No torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from zoo.errors import InputError, OptionError
from zoo.preprocess import PLAIN, Array, Ask, Batch, Sample, stack
from zoo.preprocess.sound import Samples, open_sound
from zoo.spec import AudioPreprocess, TensorSpec

VARIANCE = 1e-7  # added to it before the root, as Wav2Vec2FeatureExtractor does
FLOOR = 1e-10  # of a mel band's power
DECADES = 8.0  # below the loudest band
TOP = 8000.0  # Hz, upper edge of the highest mel band


class AudioPreprocessor:
    """Reads, resamples and normalises sounds.

    Args:
        recipe: What the model was trained on.
        inputs: Of the network: the sound, then what says which part of it is real, if there is one.

    Attributes:
        recipe: What the model was trained on.
        window: Items that are prepared at a time.
    """

    # Two windows of ten minutes each must fit into memory.
    window = 16

    def __init__(self, recipe: AudioPreprocess, inputs: Sequence[TensorSpec]) -> None:
        self.recipe = recipe
        self._sound, *masks = inputs
        self._mask = masks[0] if masks else None

    def prepare(self, items: Sequence[Any], ask: Ask = PLAIN) -> list[Sample | InputError]:
        """Prepare sounds on all processors; a bad one gives its error in its place.

        Raises:
            OptionError: `ask` has a role or a prompt; sounds have neither.
            MissingExtraError: A package that reads or resamples is not installed.
        """
        if ask != PLAIN:
            raise OptionError("Sounds have no roles and no prompts. Leave role= and prompt= out.")
        if len(items) == 1:
            return [self._try(items[0])]
        # libsndfile, soxr and numpy let other threads run
        with ThreadPoolExecutor(os.cpu_count() or 1, "zoo-sounds") as pool:
            return list(pool.map(self._try, items))

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Join samples along a new first axis; shorter ones are filled up if the model has a mask.

        Raises:
            InputError: The model takes only sounds of one length together, and these are not.
        """
        if self._sound.padding != "masked":
            if len({sample.group for sample in samples}) > 1:
                raise InputError(
                    "Sounds of different lengths cannot share a batch of this model: its vectors "
                    "would depend on the longest. Use encode, or one batch a length."
                )
            return stack(samples)
        rows = [sample.arrays[self._sound.name] for sample in samples]
        lengths = np.array([len(row) for row in rows])
        values = np.zeros((len(rows), lengths.max()), np.float32)  # (B, S)
        for target, row in zip(values, rows, strict=True):
            target[: len(row)] = row
        batch: Batch = {self._sound.name: values}
        if self._mask is not None:
            mask = np.arange(values.shape[1])[None, :] < lengths[:, None]  # (B, S)
            batch[self._mask.name] = mask.astype(np.int64)
        return batch

    def features(self, item: Any) -> tuple[Array, int]:  # noqa: ANN401  as open_sound
        """Return one sound as (S,) or (M, F) float32, and how many samples of it are real.

        Raises:
            InputError: It is no sound, a broken one, too short or too long.
        """
        recipe = self.recipe
        samples = open_sound(
            item,
            recipe.rate,
            longest=recipe.length or recipe.longest,
            cut=recipe.length is not None,
        )
        if len(samples) < recipe.shortest:
            raise InputError(
                f"{1000 * len(samples) / recipe.rate:.1f} milliseconds are too short; the model "
                f"needs {1000 * recipe.shortest / recipe.rate:g}."
            )
        real = len(samples)
        if recipe.normalize:
            # float32 and this order: the bits of Wav2Vec2FeatureExtractor
            samples = (samples - samples.mean()) / np.sqrt(samples.var() + VARIANCE)
        if recipe.length is not None:
            samples = np.pad(samples, (0, recipe.length - real))
        if recipe.features == "waveform":
            return samples, real
        return log_mel(samples, recipe), real

    def _try(self, item: Any) -> Sample | InputError:  # noqa: ANN401
        try:
            values, real = self.features(item)
        except InputError as error:
            return error
        arrays = {self._sound.name: values}
        length = self.recipe.length
        if length is None:
            alone = self._sound.padding == "forbidden"
            return Sample(arrays, real, group=real if alone else 0)
        if self._mask is not None:
            frames = self._mask.shape[-1]
            assert isinstance(frames, int), "a network of a fixed length has a fixed mask"
            spacing = length // frames  # samples from one frame to the next
            arrays[self._mask.name] = (np.arange(frames) < -(-real // spacing)).astype(np.int64)
        return Sample(arrays, length)


def log_mel(samples: Samples, recipe: AudioPreprocess) -> Array:
    """Return Whisper's spectrogram.

    openai/whisper, whisper/audio.py, `log_mel_spectrogram` (MIT), in float64 until the end: Hann
    windows, centred by reflection, the last one left out; power; mel bands; decimal logarithm, cut
    off below the loudest band; shifted to about [-1, 1].

    Args:
        samples: (S,) in [-1, 1].
        recipe: Of a row.

    Returns:
        (M, S / hop) float32.
    """
    half = recipe.window // 2
    padded = np.pad(samples.astype(np.float64), half, mode="reflect")
    frames = sliding_window_view(padded, recipe.window)[:: recipe.hop][:-1]  # (F, window)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(recipe.window) / recipe.window)
    power = np.abs(np.fft.rfft(frames * hann)) ** 2  # (F, window / 2 + 1)
    bands = power @ mel_filters(recipe.rate, recipe.window, recipe.mels).T  # (F, M)
    loudness = np.log10(bands.clip(min=FLOOR))
    loudness = np.maximum(loudness, loudness.max() - DECADES)
    return np.ascontiguousarray((loudness.T + 4.0) / 4.0, dtype=np.float32)


@cache
def mel_filters(rate: int, window: int, mels: int) -> Array:
    """Return triangular filters (M, window / 2 + 1) of equal area, evenly spaced in mels.

    The scale is that of M. Slaney, "Auditory Toolbox", 1998: linear below 1000 Hz, logarithmic
    above.
    """
    edges = _hertz(np.linspace(0.0, _mel(min(TOP, rate / 2)), mels + 2))
    bins = np.fft.rfftfreq(window, 1 / rate)
    widths = np.diff(edges)[:, None]  # (M + 1, 1)
    rising = (bins - edges[:-2, None]) / widths[:-1]
    falling = (edges[2:, None] - bins) / widths[1:]
    filters = np.maximum(0.0, np.minimum(rising, falling))  # (M, window / 2 + 1)
    area = 2.0 / (edges[2:] - edges[:-2])
    result: Array = filters * area[:, None]
    return result


_LINEAR = 200.0 / 3  # Hz a mel below the break
_BREAK = 1000.0  # Hz
_STEP = np.log(6.4) / 27  # of the logarithm a mel above the break


def _mel(hertz: float) -> float:
    if hertz < _BREAK:
        return hertz / _LINEAR
    return float(_BREAK / _LINEAR + np.log(hertz / _BREAK) / _STEP)


def _hertz(mels: Array) -> Array:
    start = _BREAK / _LINEAR
    result: Array = np.where(
        mels < start, mels * _LINEAR, _BREAK * np.exp(_STEP * (np.maximum(mels, start) - start))
    )
    return result
