"""What is a sound, what is none, and what is done on the way to samples."""

from __future__ import annotations

import io
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
import torch
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from zoo import samples
from zoo.errors import InputError
from zoo.preprocess.sound import open_sound

RATE = 16_000
LONGEST = 10 * RATE
SOUNDS = samples.sounds()


def tone(rate: int = RATE, seconds: float = 0.5, hertz: float = 440.0) -> NDArray[np.float32]:
    time = np.arange(round(rate * seconds)) / rate
    return (0.5 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def wav(values: NDArray[Any], rate: int = RATE, subtype: str = "FLOAT") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, values, rate, format="WAV", subtype=subtype)
    return buffer.getvalue()


def opened(item: Any, rate: int = RATE, **options: Any) -> NDArray[np.float32]:
    return open_sound(item, rate, **{"longest": LONGEST, **options})


def test_a_path_its_text_and_its_bytes_are_one_sound() -> None:
    path = SOUNDS[1]

    first = opened(path)

    assert first.dtype == np.float32
    assert first.shape == (16_000,)
    np.testing.assert_array_equal(opened(str(path)), first)
    np.testing.assert_array_equal(opened(path.read_bytes()), first)


def test_16_bit_files_give_what_python_itself_reads() -> None:
    with wave.open(str(SOUNDS[1])) as file:
        values = np.frombuffer(file.readframes(file.getnframes()), np.int16)

    np.testing.assert_array_equal(opened(SOUNDS[1]), values / np.float32(32768))
    np.testing.assert_array_equal(opened((values, RATE)), values / np.float32(32768))


@pytest.mark.parametrize(
    "item",
    [
        (tone(), RATE),
        (tone().astype(np.float64), np.int64(RATE)),
        (torch.from_numpy(tone()), RATE),
        (tone()[None], RATE),
        (tone()[:, None], RATE),
        {"array": tone(), "sampling_rate": RATE, "path": None},
        wav(tone()),
        bytearray(wav(tone())),
    ],
    ids=[
        "pair",
        "float64",
        "tensor",
        "channels first",
        "channels last",
        "datasets",
        "wav",
        "bytes",
    ],
)
def test_every_kind_of_sound_gives_the_same_samples(item: Any) -> None:
    np.testing.assert_array_equal(opened(item), tone())


def test_channels_are_averaged() -> None:
    both = np.stack([tone(), np.zeros_like(tone())])

    np.testing.assert_allclose(opened((both, RATE)), tone() / 2, atol=1e-7)
    np.testing.assert_allclose(opened(wav(both.T)), tone() / 2, atol=1e-7)


def test_another_rate_is_resampled_by_soxrs_hq() -> None:
    fast = tone(44_100)

    found = opened((fast, 44_100))

    np.testing.assert_array_equal(found, soxr.resample(fast, 44_100, RATE, quality="HQ"))
    middle = slice(2000, -2000)
    np.testing.assert_allclose(found[middle], tone()[middle], atol=1e-4)


def test_what_the_lower_rate_cannot_hold_is_filtered_out() -> None:
    """Every other sample of 12 kHz at 48 kHz would be 4 kHz at 16 kHz."""
    high = tone(48_000, hertz=12_000.0)

    assert np.abs(opened((high, 48_000))[500:-500]).max() < 1e-4


def test_integers_count_from_full_scale() -> None:
    np.testing.assert_array_equal(
        opened((np.array([0, 16384, -32768], np.int16), RATE)), [0, 0.5, -1]
    )
    np.testing.assert_array_equal(opened((np.array([0, 2**30], np.int32), RATE)), [0, 0.5])
    np.testing.assert_array_equal(opened((np.array([128, 0, 192], np.uint8), RATE)), [0, -1, 0.5])


def test_a_long_sound_is_refused_or_cut() -> None:
    long = tone(seconds=1.0)

    for item in ((long, RATE), wav(long)):
        with pytest.raises(InputError, match=r"1\.0 seconds are more than 0\.5\. Cut the sound"):
            opened(item, longest=RATE // 2)
        np.testing.assert_array_equal(opened(item, longest=RATE // 2, cut=True), long[: RATE // 2])


def test_a_cut_sound_begins_as_the_whole_does() -> None:
    """Only what is needed is read of a long file, and the filter must not see that end."""
    fast = tone(44_100, seconds=2.0)

    whole, cut = opened((fast, 44_100)), opened(wav(fast, 44_100), longest=RATE, cut=True)

    assert len(cut) == RATE
    np.testing.assert_allclose(cut, whole[:RATE], atol=1e-6)


BAD = {
    "no rate": (tone(), "Pass the pair"),
    "a rate of nothing": ((tone(), 0), "0 is no sampling rate"),
    "half a rate": ((tone(), 0.5), "is no sampling rate"),
    "a text as rate": ((tone(), "fast"), "'fast' is no sampling rate"),
    "no rate but None": ((tone(), None), "None is no sampling rate"),
    "the rate first": ((RATE, tone()), "is no sampling rate. Pass .array, rate."),
    "no samples": ((np.empty(0, np.float32), RATE), "has no samples"),
    "an image": ((np.zeros((64, 64), np.float32), RATE), "is no sound"),
    "a batch": ((np.zeros((2, 1, 64), np.float32), RATE), "is no sound"),
    "integers as floats": ((tone() * 30_000, RATE), "outside .-1, 1."),
    "not a number": ((np.full(99, np.nan, np.float32), RATE), "not finite"),
    "infinity": ((np.full(99, np.inf, np.float32), RATE), "not finite"),
    "texts": ((np.array(["a", "b"]), RATE), "is no sound"),
    "booleans": ((np.ones(99, bool), RATE), "is no sound"),
    "a number": (7, "int is no sound"),
    "a list": ([0.0, 0.1], "list is no sound"),
    "a lacking file": ("no/such.wav", "There is no file 'no/such.wav'"),
    "a URL": ("https://example.org/a.wav", "is a URL"),
    "a folder": (str(SOUNDS[0].parent), "is a folder"),
    "a text file": (SOUNDS[0].parents[1] / "texts.txt", "not a sound that can be read"),
    "half a header": (wav(tone())[:20], "not a sound that can be read"),
    "empty bytes": (b"", "are empty"),
    "a file without samples": (wav(np.empty(0, np.float32)), "no samples at all"),
}


@pytest.mark.parametrize(("item", "match"), BAD.values(), ids=BAD)
def test_what_is_no_sound_is_refused_with_the_reason(item: Any, match: str) -> None:
    with pytest.raises(InputError, match=match):
        opened(item)


@settings(max_examples=150, deadline=None)
@given(
    cut=st.integers(0, 2000),
    places=st.lists(st.integers(0, 1999), max_size=8),
    value=st.binary(min_size=8, max_size=8),
)
def test_broken_files_give_samples_or_an_input_error(
    cut: int, places: list[int], value: bytes
) -> None:
    data = bytearray(SOUNDS[0].read_bytes()[: 2000 + cut])
    for place, byte in zip(places, value, strict=False):
        data[place % len(data)] = byte
    try:
        found = opened(bytes(data))
    except InputError:
        return
    assert np.isfinite(found).all()


def test_a_missing_package_gives_its_pip_line(tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules["soundfile"] = sys.modules["soxr"] = None
import numpy as np
from zoo.errors import MissingExtraError
from zoo.preprocess.sound import open_sound
silence = np.zeros(800, np.float32)
open_sound((silence, 16000), 16000, longest=16000)
for item in ({str(SOUNDS[0])!r}, (silence, 8000)):
    try:
        open_sound(item, 16000, longest=16000)
    except MissingExtraError as error:
        assert "encoder-zoo[audio]" in str(error), error
    else:
        raise SystemExit("nothing was raised")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
