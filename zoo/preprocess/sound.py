"""Anything that is a sound to one channel of float32 samples at a given rate. No torch.

Whatever is handed in, the answer is a sound or an InputError that says what to do. Files are read
by libsndfile (WAV, FLAC, OGG, MP3, AIFF, ...).
"""

from __future__ import annotations

import io
import reprlib
from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.arrays import to_numpy
from zoo.errors import InputError, MissingExtraError
from zoo.preprocess.files import file_bytes, one_line

Samples = NDArray[np.float32]

RATES = (1_000, 768_000)  # Hz; beyond, a header is broken
LOUDEST = 4.0  # of floats; decoders overshoot full scale a little, integers by thousands
CHANNELS = 32
FILTER = "HQ"  # of soxr: linear phase, 20 bits, passband up to 0.913 of the Nyquist frequency
MARGIN = 0.1  # seconds that are read beyond what is kept, for the filter


def open_sound(
    item: Any,  # noqa: ANN401  every kind of sound that Python knows
    rate: int,
    *,
    longest: int,
    cut: bool = False,
) -> Samples:
    """Return one channel of samples at a rate.

    Args:
        item: A path, the bytes of a file, a pair (array, rate), or a mapping with `array` and
            `sampling_rate`. An array is (S,), or has its channels along its shorter axis; integers
            count from their type's full scale, floats lie in [-1, 1].
        rate: Hz.
        longest: Samples at that rate.
        cut: Whether more than `longest` is left out; else it is refused.

    Raises:
        InputError: It is no sound, a broken one or too long a one; the text says what to do.
        MissingExtraError: A package that reads or resamples is not installed.
    """
    seconds = longest / rate
    if isinstance(item, str | Path | bytes | bytearray | memoryview):
        values, own = _from_file(item, seconds, cut=cut)
    else:
        values, own = _from_array(*_pair(item))
    return _finished(values, own, rate, seconds, cut=cut)


def _finished(values: NDArray[Any], own: int, rate: int, seconds: float, *, cut: bool) -> Samples:
    """Return samples (S, C) at their own rate as one channel at another."""
    if len(values) > seconds * own:
        if not cut:
            raise InputError(
                f"{len(values) / own:.1f} seconds are more than {seconds:g}. Cut the sound into "
                "pieces."
            )
        values = values[: ceil((seconds + MARGIN) * own)]
    mono = values[:, 0] if values.shape[1] == 1 else values.mean(axis=1, dtype=np.float32)
    if not np.isfinite(mono).all():
        raise InputError("The sound has samples that are not finite. Replace NaN and infinity.")
    if own != rate:
        mono = _resampled(mono, own, rate)
    return np.ascontiguousarray(mono[: round(seconds * rate)], np.float32)


def _resampled(mono: Samples, own: int, rate: int) -> Samples:
    try:
        import soxr
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"soxr, which turns {own} Hz into {rate} Hz,", extra="audio") from (
            error
        )
    result: Samples = soxr.resample(mono, own, rate, quality=FILTER)
    return result


def _from_file(
    item: str | Path | bytes | bytearray | memoryview, seconds: float, *, cut: bool
) -> tuple[Samples, int]:
    """Return (S, C) and the file's rate; of a long file only what is needed is decoded."""
    data, name = file_bytes(item, "sound")
    try:
        import soundfile
    except ModuleNotFoundError as error:
        raise MissingExtraError("soundfile, which reads sounds,", extra="audio") from error
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            own, frames = _rate(file.samplerate), file.frames
            if frames > seconds * own and not cut:
                raise InputError(
                    f"{name}: {frames / own:.1f} seconds are more than {seconds:g}. Cut the sound "
                    "into pieces."
                )
            most = ceil((seconds + MARGIN) * own)
            values = file.read(most, dtype="float32", always_2d=True)  # (S, C)
    except InputError:
        raise
    except Exception as error:  # a decoder given hostile bytes may raise anything
        raise InputError(
            f"{name}: not a sound that can be read ({one_line(error)}). Readable: WAV, FLAC, OGG, "
            "MP3, AIFF."
        ) from error
    if not len(values):
        raise InputError(f"{name}: no samples at all. Record or fetch the sound again.")
    return values, own


def _pair(item: Any) -> tuple[Any, Any]:  # noqa: ANN401  anything
    """Return what should be an array, and its rate."""
    if isinstance(item, Mapping) and {"array", "sampling_rate"} <= item.keys():
        return item["array"], item["sampling_rate"]
    if isinstance(item, tuple) and len(item) == 2:
        return item
    if hasattr(item, "__array__"):
        raise InputError(
            "An array does not say its rate. Pass the pair (array, rate), such as (array, 16000)."
        )
    raise InputError(
        f"{type(item).__name__} is no sound. Pass a path, the bytes of a sound file, or a pair "
        "(array, rate)."
    )


def _from_array(item: Any, rate: Any) -> tuple[Samples, int]:  # noqa: ANN401
    """Return (S, C) and the rate."""
    own = _rate(rate)
    array = to_numpy(item)
    if array.ndim == 2 and array.shape[0] < array.shape[1]:
        array = array.T
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[1] > CHANNELS:
        raise InputError(
            f"An array of shape {np.shape(item)} is no sound. Expected (samples,), or samples and "
            f"at most {CHANNELS} channels."
        )
    if not array.size:
        raise InputError(f"The array of shape {np.shape(item)} has no samples.")
    return _full_scale(array), own


def _full_scale(array: NDArray[Any]) -> Samples:
    """Return numbers in [-1, 1]."""
    kind = array.dtype
    if kind.kind == "f":
        values: Samples = array.astype(np.float32)
        peak = float(np.abs(values).max())
        if peak > LOUDEST and np.isfinite(peak):
            raise InputError(
                f"Float samples of up to {peak:.4g} are outside [-1, 1]. Divide by the full scale "
                "(32768 for 16 bits), or pass integers."
            )
        return values
    if kind in (np.int16, np.int32):
        full = float(np.iinfo(kind).max) + 1
        scaled: Samples = (array / full).astype(np.float32)
        return scaled
    if kind == np.uint8:
        centred: Samples = ((array.astype(np.float32) - 128) / 128).astype(np.float32)
        return centred
    raise InputError(f"An array of {kind} is no sound. Pass floats, int16, int32 or uint8.")


def _rate(value: Any) -> int:  # noqa: ANN401  whatever was given
    try:
        rate = int(value)
        fits = bool(rate == value) and RATES[0] <= rate <= RATES[1]
    except (TypeError, ValueError, OverflowError):
        fits = False
    if not fits:
        raise InputError(
            f"{reprlib.repr(value)} is no sampling rate. Pass (array, rate), the rate a whole "
            f"number of Hz from {RATES[0]} to {RATES[1]}."
        )
    return rate
