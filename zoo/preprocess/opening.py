"""Anything that is an image to a Pillow image of 8 bits a channel, upright and opaque. No torch.

Whatever bytes are handed in, the answer is an image or an InputError that says what to do.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zoo.errors import InputError
from zoo.preprocess.arrays import image_from_array, image_from_grey16
from zoo.preprocess.files import one_line, read_path

# What a decoder is trusted with: Pillow's EPS reader would start Ghostscript, and rare formats are
# where decoders break.
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "DIB", "PPM", "JPEG2000", "AVIF")

# Values of the EXIF tag 0x0112 and what turns the picture upright.
ORIENTATION = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
MODES = {"rgb": "RGB", "grey": "L"}


def open_image(
    item: Any,  # noqa: ANN401  every kind of image that Python knows
    channels: Literal["rgb", "grey"] = "rgb",
) -> Image.Image:
    """Return an image in mode RGB, or L for grey.

    Args:
        item: A path, the bytes of a file, a Pillow image, or an array or tensor as
            `image_from_array` takes it.
        channels: What to convert to. Alpha is dropped, not blended.

    Raises:
        InputError: It is no image, a broken one or too large a one; the text says what to do.
    """
    if isinstance(item, Image.Image):
        return _converted(_loaded(item, "The image"), channels)
    if isinstance(item, str | Path):
        return _converted(_from_bytes(*read_path(item)), channels)
    if isinstance(item, bytes | bytearray | memoryview):
        return _converted(_from_bytes(bytes(item), "The bytes"), channels)
    if hasattr(item, "__array__"):
        return _converted(image_from_array(item), channels)
    raise InputError(
        f"{type(item).__name__} is no image. Pass a path, the bytes of an image file, a Pillow "
        "image, or an array or tensor."
    )


def _from_bytes(data: bytes, name: str) -> Image.Image:
    if not data:
        raise InputError(f"{name}: empty, no bytes at all. Fetch or write the image again.")
    try:
        image = Image.open(io.BytesIO(data), formats=readable_formats())
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{name}: {one_line(error)}. Shrink the image first, or raise "
            "PIL.Image.MAX_IMAGE_PIXELS if you trust it."
        ) from error
    except Exception as error:  # a decoder given hostile bytes may raise anything
        raise InputError(
            f"{name}: not an image that can be read ({one_line(error)}). Readable: "
            f"{', '.join(readable_formats())}."
        ) from error
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise InputError(
            f"{name}: {image.width} x {image.height} pixels are more than {limit:,}. Shrink the "
            "image first, or raise PIL.Image.MAX_IMAGE_PIXELS if you trust it."
        )
    return _loaded(image, name)


def _loaded(image: Image.Image, name: str) -> Image.Image:
    """Decode; an image file on disk is read only now."""
    if not image.width or not image.height:
        raise InputError(f"{name}: {image.width} x {image.height} pixels, nothing to see.")
    try:
        # No JPEG draft mode: its shrunken decoding is another filter, and changes pixels wherever
        # it saves time (by up to 60 of 255 in a photo; at full size it saves none).
        image.load()
        orientation = image.getexif().get(ORIENTATION)
        turn = UPRIGHT.get(orientation) if isinstance(orientation, int) else None
        return image if turn is None else image.transpose(turn)
    except Exception as error:  # as above
        raise InputError(
            f"{name}: a broken {image.format or 'image'} file ({one_line(error)}). Fetch or save "
            "it again."
        ) from error


def _converted(image: Image.Image, channels: Literal["rgb", "grey"]) -> Image.Image:
    mode = MODES[channels]
    if image.mode == mode:
        return image
    try:
        if image.mode.startswith("I") or image.mode == "F":
            # Pillow's own conversion cuts off at 255
            return _from_deep(image).convert(mode)
        if image.mode in ("P", "PA", "La", "RGBa"):
            image = image.convert("LA" if image.mode == "La" else "RGBA")
        return image.convert(mode)
    except InputError:
        raise
    except Exception as error:  # as above: broken palettes show here
        raise InputError(
            f"An image of mode {image.mode} cannot become {mode} ({one_line(error)}). Convert it "
            "first."
        ) from error


def _from_deep(image: Image.Image) -> Image.Image:
    """Return more than 8 bits of grey as 8: white stays white."""
    values: NDArray[Any] = np.asarray(image)
    if image.mode == "F":
        return image_from_array(values)
    return image_from_grey16(values)


@cache
def readable_formats() -> tuple[str, ...]:
    """Return the formats of FORMATS that this build of Pillow has."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


_quiet_lock = threading.Lock()
_quiet_users = 0


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Keep Pillow's warnings about odd files away: each becomes an InputError or does not matter.

    `warnings.catch_warnings` would put all filters of the process back on leaving, also those that
    another thread set meanwhile; this adds and removes one filter of its own.
    """
    global _quiet_users
    with _quiet_lock:
        _quiet_users += 1
        warnings.filterwarnings("ignore", module=r"PIL\.")
        entry = warnings.filters[0]
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_users -= 1
            if not _quiet_users and entry in warnings.filters:
                warnings.filters.remove(entry)  # type: ignore[attr-defined]  # a list, typed as a Sequence
