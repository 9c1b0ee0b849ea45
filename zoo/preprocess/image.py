"""Images to normalised pixels, the same as Pillow, torchvision and timm make them. No torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from PIL import Image

from zoo.errors import InputError, OptionError
from zoo.preprocess import PLAIN, Array, Ask, Batch, Sample, stack
from zoo.preprocess.opening import open_image, quiet_pillow
from zoo.spec import ImagePreprocess

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
}
MAX_ASPECT = 500  # beyond it the resized image would be thousands of times longer than what is kept


class ImagePreprocessor:
    """Opens, resizes, crops and normalises images.

    Args:
        recipe: What the model was trained on.
        name: Of the network's input.

    Attributes:
        window: Items that are prepared at a time.
    """

    # Large enough to fill a GPU's batches, small enough that the first batch does not wait long
    # and that two windows of 224 x 224 pixels stay below 100 MB.
    window = 64

    def __init__(self, recipe: ImagePreprocess, *, name: str = "pixels") -> None:
        self.recipe = recipe
        self.name = name
        self._mean = np.array(recipe.mean, np.float32)[:, None, None]
        self._std = np.array(recipe.std, np.float32)[:, None, None]

    def prepare(self, items: Sequence[Any], ask: Ask = PLAIN) -> list[Sample | InputError]:
        """Prepare images on all processors; a bad one gives its error in its place.

        Raises:
            OptionError: `ask` has a role or a prompt; images have neither.
        """
        if ask != PLAIN:
            raise OptionError("Images have no roles and no prompts. Leave role= and prompt= out.")
        with quiet_pillow():
            if len(items) == 1 or _repeats(items):
                return [self._try(item) for item in items]
            # Pillow lets other threads run while it decodes and resizes
            with ThreadPoolExecutor(os.cpu_count() or 1, "zoo-pixels") as pool:
                return list(pool.map(self._try, items))

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Join samples of one size along a new first axis."""
        return stack(samples)

    def pixels(self, item: Any) -> Array:  # noqa: ANN401  as open_image
        """Return one image as (C, H, W) float32.

        Raises:
            InputError: It is no image, or a broken one.
        """
        image = fit(open_image(item, self.recipe.channels), self.recipe)
        values = np.asarray(image)  # (H, W) or (H, W, C) uint8
        planes = values[None] if values.ndim == 2 else values.transpose(2, 0, 1)  # (C, H, W)
        result = np.empty(planes.shape, np.float32)
        # these three operations in float32, in this order, are torchvision's bits
        np.divide(planes, np.float32(255), out=result)
        result -= self._mean
        result /= self._std
        return result

    def _try(self, item: Any) -> Sample | InputError:  # noqa: ANN401
        try:
            pixels = self.pixels(item)
        except InputError as error:
            return error
        return Sample({self.name: pixels}, pixels.shape[-1] * pixels.shape[-2])


def fit(image: Image.Image, recipe: ImagePreprocess) -> Image.Image:
    """Return an image resized and cropped to the recipe's size.

    Raises:
        InputError: It is so narrow that nothing sensible would be left.
    """
    height, width = (read + left for read, left in zip(recipe.size, recipe.unread, strict=True))
    resample = FILTERS[recipe.resample]
    if recipe.resize is None:
        tall, wide = height, width
    elif isinstance(recipe.resize, tuple):
        tall, wide = recipe.resize
    else:
        short, long = sorted(image.size)
        if long > MAX_ASPECT * short:
            raise InputError(
                f"{image.width} x {image.height} pixels are more than {MAX_ASPECT} times as long "
                "as wide. Cut the image into pieces."
            )
        # the longer side is cut off, not rounded, as torchvision and transformers do
        stretched = int(recipe.resize * long / short)
        wide, tall = (
            (recipe.resize, stretched)
            if image.width <= image.height
            else (stretched, recipe.resize)
        )
    if (wide, tall) != image.size:
        image = image.resize((wide, tall), resample)
    left, top = _margin(wide - width, recipe), _margin(tall - height, recipe)
    return image.crop((left, top, left + recipe.size[1], top + recipe.size[0]))


def _repeats(items: Sequence[Any]) -> bool:
    """Whether one Pillow image comes twice: two threads must not decode it at the same time."""
    images = [id(item) for item in items if isinstance(item, Image.Image)]
    return len(set(images)) < len(images)


def _margin(excess: int, recipe: ImagePreprocess) -> int:
    """Return the pixels to leave out before the crop; half of an odd excess is the recipe's.

    What is missing is black: Pillow's crop adds it.
    """
    if excess < 0 or recipe.crop_offset == "floor":
        return int(excess / 2)
    return round(excess / 2)
