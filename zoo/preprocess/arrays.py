"""Arrays and tensors to 8-bit Pillow images. No torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zoo.arrays import to_numpy
from zoo.errors import InputError

CHANNELS = (1, 3, 4)
SLACK = 1e-3  # of floats beyond [0, 1]: rounding after a resize or an augmentation


def image_from_array(item: Any) -> Image.Image:  # noqa: ANN401  anything with __array__
    """Return an image in mode L, RGB or RGBA.

    Shapes are (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); for tensors also channels first, which
    wins where both are possible. Values: uint8 as they are; uint16 from 0 to 65535; bool; floats
    from 0 to 1; other integers from 0 to 255.

    Raises:
        InputError: Another shape or type, no pixels, or values that are not finite or out of range.
    """
    array = to_numpy(item)
    if array.size == 0:
        raise InputError(f"The array of shape {array.shape} has no pixels.")
    array = _bytes(_channels_last(array, is_tensor=hasattr(item, "detach")))
    return Image.fromarray(array[..., 0] if array.shape[-1] == 1 else np.ascontiguousarray(array))


def image_from_grey16(values: NDArray[Any]) -> Image.Image:
    """Return 16-bit grey (H, W), in any integer type, as an image in mode L.

    Raises:
        InputError: A value does not fit into 16 bits.
    """
    if values.min() < 0 or values.max() > 65535:
        raise InputError(
            f"Grey values from {values.min()} to {values.max()} are no 16-bit image. Scale them to "
            "0..65535, or to floats in [0, 1]."
        )
    return Image.fromarray(_from_uint16(values.astype(np.uint16)))


def _channels_last(array: NDArray[Any], *, is_tensor: bool) -> NDArray[Any]:
    """Return (H, W, C)."""
    if array.ndim == 2:
        return array[..., None]
    if array.ndim == 3 and is_tensor and array.shape[0] in CHANNELS:
        return array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[-1] in CHANNELS:
        return array
    hint = ""
    if array.ndim == 3 and array.shape[0] in CHANNELS:
        hint = " It has channels first: pass array.transpose(1, 2, 0)."
    elif array.ndim == 4:
        hint = " It is a batch: pass list(array)."
    raise InputError(
        f"An array of shape {array.shape} is no image. Expected (H, W), (H, W, 1), (H, W, 3) or "
        f"(H, W, 4).{hint}"
    )


def _bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        return _from_uint16(array)
    if array.dtype == np.bool_:
        return np.where(array, np.uint8(255), np.uint8(0))
    if array.dtype.kind == "f":
        low, high = float(array.min()), float(array.max())
        if not np.isfinite(low) or not np.isfinite(high):
            raise InputError("The array has values that are not finite. Replace NaN and infinity.")
        if low < -SLACK or high > 1 + SLACK:
            raise InputError(
                f"Float values from {low:.4g} to {high:.4g} are outside [0, 1]. Divide by the "
                "largest value of the type (255), or pass uint8. Pass pixels that are not "
                "normalised yet: encode does that."
            )
        # rounded, not cut: x / 255 * 255 is often a little less than x
        scaled = np.rint(array.astype(np.float64).clip(0, 1) * 255)
        whole: NDArray[np.uint8] = scaled.astype(np.uint8)
        return whole
    if array.dtype.kind in "iu":
        if array.min() < 0 or array.max() > 255:
            raise InputError(
                f"{array.dtype} values from {array.min()} to {array.max()} are outside 0..255. "
                "Scale them, or pass uint16 for 16-bit images."
            )
        return array.astype(np.uint8)
    raise InputError(f"An array of {array.dtype} is no image. Pass uint8, uint16 or floats.")


def _from_uint16(array: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Return 0..65535 as 0..255, rounded; 257 * x becomes x."""
    scaled: NDArray[np.uint8] = ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return scaled
