"""Clips to normalised pixels: a file, an array or a list of frames. No torch.

Files are decoded by PyAV (FFmpeg). Frames are opened, resized and normalised as images are.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image

from zoo.errors import InputError, MissingExtraError, OptionError
from zoo.preprocess import PLAIN, Array, Ask, Batch, Sample, stack
from zoo.preprocess.files import file_bytes, one_line
from zoo.preprocess.image import ImagePreprocessor
from zoo.preprocess.opening import quiet_pillow, readable_formats
from zoo.spec import VideoPreprocess

MOST = 1_000_000  # frames of a file; evenly spread ones would show nothing of more


class VideoPreprocessor:
    """Decodes, samples, resizes, crops and normalises clips.

    Args:
        recipe: What the model was trained on.
        name: Of the network's input.
    """

    window = 4  # a clip of 64 frames has 50 MB

    def __init__(self, recipe: VideoPreprocess, *, name: str = "clip") -> None:
        self.recipe = recipe
        self.name = name
        self._frames = ImagePreprocessor(recipe.frame)

    def prepare(self, items: Sequence[Any], ask: Ask = PLAIN) -> list[Sample | InputError]:
        """Prepare clips; a bad one gives its error in its place.

        Raises:
            OptionError: `ask` has a role or a prompt; clips have neither.
            MissingExtraError: PyAV is not installed.
        """
        if ask != PLAIN:
            raise OptionError("Clips have no roles and no prompts. Leave role= and prompt= out.")
        with quiet_pillow():
            return [self._try(item) for item in items]

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Join clips of equal length along a new first axis.

        Raises:
            InputError: They differ in length.
        """
        if len({sample.group for sample in samples}) > 1:
            raise InputError(
                "Clips of different lengths cannot share a batch. Use encode, or one batch a "
                "length."
            )
        return stack(samples)

    def pixels(self, item: Any) -> Array:  # noqa: ANN401  path, bytes, array, tensor or frames
        """Return one clip as (T, 3, H, W) float32.

        Raises:
            InputError: It is no clip, or a broken one.
        """
        if isinstance(item, str | Path | bytes | bytearray | memoryview):
            frames = _from_file(item, self.recipe.frames)
        elif isinstance(item, list | tuple):
            frames = [item[i] for i in chosen(len(item), self.recipe.frames)]
        else:
            frames = _from_array(item, self.recipe.frames)
        if not frames:
            raise InputError("The clip has no frames.")
        with ThreadPoolExecutor(os.cpu_count() or 1, "zoo-frames") as pool:
            pixels = list(pool.map(self._frames.pixels, frames))
        pixels += pixels[-1:] * (-len(pixels) % self.recipe.multiple)
        return np.stack(pixels)

    def _try(self, item: Any) -> Sample | InputError:  # noqa: ANN401
        try:
            pixels = self.pixels(item)
        except InputError as error:
            return error
        return Sample({self.name: pixels}, pixels[:, 0].size, group=len(pixels))


def chosen(frames: int, most: int) -> list[int]:
    """Return which frames of a clip are kept: all, or the middles of equal stretches."""
    if frames <= most:
        return list(range(frames))
    return [(2 * i + 1) * frames // (2 * most) for i in range(most)]


def _from_array(item: Any, most: int) -> list[Array]:  # noqa: ANN401
    """Return frames (H, W, C) or, of a tensor, (C, H, W)."""
    if getattr(item, "ndim", None) not in (3, 4):
        raise InputError(
            f"{type(item).__name__} is no clip. Pass the path or the bytes of a video file, a list "
            "of frames, or an array (frames, height, width, 3)."
        )
    clip = item if item.ndim == 4 else item[None]  # one image
    return [clip[i] for i in chosen(len(clip), most)]


def _from_file(item: str | Path | bytes | bytearray | memoryview, most: int) -> list[Any]:
    """Return the frames of a video file that are kept, as Pillow images; an image is one frame.

    The file is decoded twice: what its header says of the number of frames is often wrong, and all
    frames at once may not fit into memory.
    """
    data, name = file_bytes(item, "clip")
    if _is_image(data):
        return [data]
    try:
        import av
    except ModuleNotFoundError as error:
        raise MissingExtraError("PyAV, which reads video files,", extra="video") from error

    def decoded() -> Iterator[Any]:
        # open for reading, which its type does not know
        with cast(Any, av.open(io.BytesIO(data))) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number == MOST:
                    raise InputError(f"{name} has more than {MOST:,} frames. Cut it into pieces.")
                yield frame

    try:
        count = sum(1 for _ in decoded())
        wanted = set(chosen(count, most))
        return [frame.to_image() for i, frame in enumerate(decoded()) if i in wanted]
    except InputError:
        raise
    except Exception as error:  # a decoder given hostile bytes may raise anything
        raise InputError(
            f"{name}: not a video that can be read ({one_line(error)}). Readable is what FFmpeg "
            "reads, such as MP4, MKV, MOV, WebM."
        ) from error


def _is_image(data: bytes) -> bool:
    """Whether a file is a single image, which FFmpeg would decode to other colours than Pillow."""
    try:
        with Image.open(io.BytesIO(data), formats=readable_formats()) as image:
            return getattr(image, "n_frames", 1) == 1
    except Exception:  # a decoder given hostile bytes may raise anything: no image
        return False
