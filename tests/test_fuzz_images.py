"""Mutated image files give an InputError or pixels: no other exception, warning, hang or flood."""

from __future__ import annotations

import io
import random
import resource
import time
import warnings

import numpy as np
import pytest
from PIL import Image

from zoo.errors import InputError
from zoo.preprocess import Sample
from zoo.preprocess.image import ImagePreprocessor
from zoo.spec import ImagePreprocess

FORMATS = ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP")
MUTANTS = 120  # of each format
SLOWEST = 5.0  # seconds of the processor, for one file
GROWTH = 1_000_000  # kilobytes of the process's peak; the largest image allowed takes about 360,000

RECIPE = ImagePreprocess(size=(32, 32), resize=36)


def original(kind: str, number: int) -> bytes:
    """Return a small file of one format, in one of its modes."""
    generator = np.random.default_rng(number)
    image = Image.fromarray(generator.integers(0, 256, (24, 31, 3), dtype=np.uint8))
    modes = {
        "JPEG": ("RGB", "L", "CMYK"),
        "PNG": ("RGB", "RGBA", "P", "LA", "1"),
        "GIF": ("P", "L"),
        "TIFF": ("RGB", "L", "CMYK", "1"),
        "WEBP": ("RGB", "RGBA"),
        "BMP": ("RGB", "P", "L"),
    }[kind]
    options: dict[str, object] = {}
    if kind == "TIFF":
        options["compression"] = (None, "tiff_lzw", "tiff_adobe_deflate", "packbits")[number % 4]
    if kind in ("JPEG", "PNG", "TIFF"):
        exif = Image.Exif()
        exif[0x0112] = number % 8 + 1
        options["exif"] = exif
    buffer = io.BytesIO()
    image.convert(modes[number % len(modes)]).save(buffer, kind, **options)
    return buffer.getvalue()


def mutate(data: bytes, dice: random.Random) -> bytes:
    """Return a file with a few bits, bytes or stretches changed; headers are hit more often."""
    changed = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 4, 16))):
        reach = dice.choice((64, 256, len(changed)))
        place = dice.randrange(max(min(reach, len(changed)), 1))
        action = dice.randrange(6)
        if action == 0:
            changed[place] ^= 1 << dice.randrange(8)
        elif action == 1:
            changed[place] = dice.choice((0, 1, 127, 128, 255))
        elif action == 2:
            changed[place : place + 4] = dice.choice((b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"))
        elif action == 3:
            del changed[place : place + dice.randrange(1, 9)]
        elif action == 4:
            changed[place:place] = dice.randbytes(dice.randrange(1, 9))
        else:
            del changed[max(place, 4) :]
        if not changed:
            return b"\0"
    return bytes(changed)


@pytest.mark.parametrize("kind", FORMATS)
def test_mutated_files_are_pixels_or_input_errors(kind: str) -> None:
    dice = random.Random(f"mutants of {kind}")
    preprocessor = ImagePreprocessor(RECIPE)
    refused = 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number in range(MUTANTS):
            data = mutate(original(kind, number), dice)
            start = time.process_time()
            (result,) = preprocessor.prepare([data])
            assert time.process_time() - start < SLOWEST, f"mutant {number} of {kind}"
            if isinstance(result, InputError):
                refused += 1
                assert 10 < len(str(result)) < 600
            else:
                assert isinstance(result, Sample)
                assert result.arrays["pixels"].shape == (3, 32, 32)
                assert np.isfinite(result.arrays["pixels"]).all()

    assert MUTANTS // 10 < refused < MUTANTS, "the mutants are all alive or all dead"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < GROWTH


def test_files_joined_together_or_cut_anywhere_are_pixels_or_input_errors() -> None:
    preprocessor = ImagePreprocessor(RECIPE)
    items = []
    for index, kind in enumerate(FORMATS):
        data = original(kind, index)
        other = original(FORMATS[index - 1], index)
        items += [data[: len(data) * cut // 12] for cut in range(12)]
        items += [data + other, other[:20] + data, data[:20] + other[20:], data[::-1]]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = preprocessor.prepare(items)

    assert len(results) == len(items)
    assert {type(result) for result in results} == {Sample, InputError}
