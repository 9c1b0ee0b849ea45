"""Images to descriptors of their keypoints, by OpenCV's SIFT. No torch.

Lowe, "Distinctive Image Features from Scale-Invariant Keypoints", 2004; RootSIFT: Arandjelovic and
Zisserman, "Three things everyone should know to improve object retrieval", 2012.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from zoo.errors import InputError, MissingExtraError, OptionError
from zoo.preprocess import PLAIN, Array, Ask, Batch, Sample
from zoo.preprocess.opening import open_image, quiet_pillow
from zoo.spec import KeypointPreprocess

WIDTH = 128  # of a descriptor


class KeypointPreprocessor:
    """Finds and describes the keypoints of images.

    Args:
        recipe: Of the row.
        inputs: Names of the inputs: descriptors, and which of them are real.
    """

    window = 64

    def __init__(self, recipe: KeypointPreprocess, *, inputs: Sequence[str]) -> None:
        self.recipe = recipe
        self._descriptors, self._mask = inputs

    def prepare(self, items: Sequence[Any], ask: Ask = PLAIN) -> list[Sample | InputError]:
        """Describe images; a bad one gives its error in its place.

        Raises:
            OptionError: `ask` has a role or a prompt; images have neither.
            MissingExtraError: OpenCV is not installed.
        """
        if ask != PLAIN:
            raise OptionError("Images have no roles and no prompts. Leave role= and prompt= out.")
        with quiet_pillow():  # OpenCV itself uses all processors
            return [self._try(item) for item in items]

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Fill up images of fewer keypoints; the mask says where."""
        rows = [sample.arrays[self._descriptors] for sample in samples]
        most = max(map(len, rows))
        values = np.zeros((len(rows), most, WIDTH), np.float32)  # (B, N, 128)
        mask = np.zeros((len(rows), most), np.int64)
        for index, row in enumerate(rows):
            values[index, : len(row)] = row
            mask[index, : len(row)] = 1
        return {self._descriptors: values, self._mask: mask}

    def descriptors(self, item: Any) -> Array:  # noqa: ANN401  as open_image
        """Return the descriptors of one image (N, 128), those of the strongest keypoints first.

        Raises:
            InputError: It is no image, or has no keypoint.
        """
        try:
            import cv2
        except ModuleNotFoundError as error:
            raise MissingExtraError("OpenCV, which finds keypoints,", extra="classic") from error
        image = open_image(item, "grey")
        longer = max(image.size)
        if longer > self.recipe.longest:
            scale = self.recipe.longest / longer
            size = tuple(max(1, round(side * scale)) for side in image.size)
            image = image.resize((size[0], size[1]), Image.Resampling.BOX)
        library: Any = cv2  # its type hints lack SIFT
        sift = library.SIFT_create(nfeatures=self.recipe.most)  # not to be shared between threads
        points, found = sift.detectAndCompute(np.asarray(image), None)
        if found is None:
            raise InputError("The image has no keypoint: it is flat, or very small.")
        strongest = sorted(range(len(points)), key=lambda i: -points[i].response)
        # OpenCV keeps all that are as strong as the weakest it was asked for
        values = found[strongest[: self.recipe.most]].astype(np.float32)  # (N, 128)
        return root_sift(values) if self.recipe.root else values

    def _try(self, item: Any) -> Sample | InputError:  # noqa: ANN401
        try:
            values = self.descriptors(item)
        except InputError as error:
            return error
        return Sample({self._descriptors: values}, values.size)


def root_sift(descriptors: Array) -> Array:
    """(N, 128) -> (N, 128): scaled to unit sum, then the square root, which gives unit length."""
    sums = descriptors.sum(axis=1, keepdims=True)
    result: Array = np.sqrt(descriptors / np.maximum(sums, np.float32(1e-12)))
    return result
