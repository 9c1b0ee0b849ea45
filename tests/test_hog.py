"""HOG against scikit-image.

scikit-image's compiled histogram adds magnitudes up in C floats, so its own float64 answer is good
to about 5e-8. `histograms` repeats it in NumPy in either precision: in float32 it gives
scikit-image's bits, which shows that it is the same algorithm, and in float64 it is the reference
for our float64.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage.feature import _hoghistogram, hog

import zoo
from tests.reference import FLOAT64, images, relative_error, tolerance
from zoo_classic.families.hog import ROWS
from zoo_classic.hog_config import HogConfig

ROW = ROWS[0]


Image2D = NDArray[Any]
C_FLOAT = 1e-7  # scikit-image's own rounding, about 4e-8 here
EDGE = np.float32  # scikit-image also keeps the edges of bins in C floats


def histograms(
    across: Image2D,
    down: Image2D,
    width: int,
    height: int,
    _image_width: int,
    _image_height: int,
    columns: int,
    rows: int,
    kinds: int,
    out: Image2D,
    *,
    sums: type[np.floating[Any]] = np.float64,
) -> None:
    """Fill `out` as skimage/feature/_hoghistogram.pyx does, sums kept in a given precision."""
    magnitude = np.hypot(across, down)
    orientation = np.rad2deg(np.arctan2(down, across)) % 180
    for row, column, kind in np.ndindex(rows, columns, kinds):
        cell = np.s_[row * height : (row + 1) * height, column * width : (column + 1) * width]
        start, stop = EDGE(180 / kinds * kind), EDGE(180 / kinds * (kind + 1))
        total = sums(0)
        for value in magnitude[cell][(orientation[cell] >= start) & (orientation[cell] < stop)]:
            total = sums(float(total) + float(value))
        out[row, column, kind] = sums(total / sums(width * height))


def scikit_image(image: Image2D, config: HogConfig, *, feature_vector: bool = True) -> Image2D:
    """Return scikit-image's descriptor of one grey image."""
    result: Image2D = hog(
        image,
        orientations=config.orientations,
        pixels_per_cell=(config.cell, config.cell),
        cells_per_block=(config.block, config.block),
        block_norm="L2-Hys",
        feature_vector=feature_vector,
    )
    return result


def expected(image: Image2D, config: HogConfig, *, feature_vector: bool = True) -> Image2D:
    """Return scikit-image's descriptor with histograms in float64."""
    with mock.patch.object(_hoghistogram, "hog_histograms", histograms):
        return scikit_image(image, config, feature_vector=feature_vector)


def test_the_float64_reference_is_scikit_image_but_for_its_precision() -> None:
    image = images(1, 64, 48)[0, 0].numpy()
    config = HogConfig(size=(64, 48))

    in_c_floats = partial(histograms, sums=np.float32)
    with mock.patch.object(_hoghistogram, "hog_histograms", in_c_floats):
        repeated = scikit_image(image, config)

    np.testing.assert_array_equal(repeated, scikit_image(image, config))


@pytest.mark.parametrize(
    "config",
    [
        ROW.config,
        ROW.config.tiny(),
        HogConfig(size=(67, 93)),
        HogConfig(size=(40, 72), orientations=7, cell=6, block=3),
    ],
    ids=["row", "tiny", "odd size", "other numbers"],
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_vectors_equal_scikit_image(config: HogConfig, dtype: torch.dtype) -> None:
    batch = images(3, *config.size, dtype=dtype)[:, :1]

    ours = config.build()(batch).pooled

    assert ours.shape == (3, config.dim)
    theirs = np.stack([scikit_image(image[0].numpy(), config) for image in batch])
    assert relative_error(ours, theirs) <= max(C_FLOAT, tolerance(dtype))
    theirs = np.stack([expected(image[0].numpy(), config) for image in batch])
    assert relative_error(ours, theirs) <= tolerance(dtype)


def test_edges_along_bin_borders_vote_as_in_scikit_image() -> None:
    ramp = np.arange(64.0)
    down, across = np.meshgrid(ramp, ramp, indexing="ij")
    # gradients of 0, 90, 180, 270, 45 and 135 degrees, and none at all
    patterns = [across, down, -across, -down, down + across, down - across, 0 * down]
    pixels = torch.from_numpy(np.stack(patterns) / 128)[:, None]
    config = HogConfig(size=(64, 64))

    ours = config.build()(pixels).pooled

    theirs = np.stack([expected(image[0].numpy(), config) for image in pixels])
    assert relative_error(ours, theirs) <= FLOAT64
    assert not ours[-1].any()


def test_eight_bit_images_vote_as_in_scikit_image() -> None:
    values = np.random.default_rng(0).integers(0, 256, (4, 1, 128, 64)) / 255
    net = ROW.config.build()

    ours = net(torch.from_numpy(values)).pooled

    theirs = np.stack([expected(image[0], ROW.config) for image in values])
    assert relative_error(ours, theirs) <= FLOAT64


def test_tokens_are_blocks_row_by_row() -> None:
    pixels = images(1, 64, 48)[:, :1]
    config = HogConfig(size=(64, 48))

    tokens = config.build()(pixels).tokens

    blocks = expected(pixels[0, 0].numpy(), config, feature_vector=False)
    assert relative_error(tokens[0], blocks.reshape(7 * 5, 36)) <= FLOAT64


def test_gradients_reach_the_image_even_where_it_is_flat() -> None:
    pixels = images(1, 32, 24)[:, :1]
    pixels[:, :, :16] = 0.5
    pixels.requires_grad_()

    ROW.config.tiny().build()(pixels).pooled.square().sum().backward()

    assert pixels.grad is not None
    assert torch.isfinite(pixels.grad).all()
    assert pixels.grad.any()


def test_normalize_gives_unit_vectors() -> None:
    config = replace(ROW.config.tiny(), normalize=True)

    pooled = config.build()(images(2, *config.size)[:, :1]).pooled

    torch.testing.assert_close(pooled.norm(dim=1), torch.ones(2, dtype=torch.float64))


def test_hog_encodes_images_without_weights_or_network() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    image = Image.fromarray(noise)

    vectors = zoo.load("hog").encode([image, image.rotate(90, expand=True)])

    grey = np.asarray(image.convert("L").resize((64, 128), Image.Resampling.BILINEAR)) / 255
    assert vectors.shape == (2, 3780)
    assert vectors.dtype == np.float32
    assert relative_error(vectors[0], expected(grey, ROW.config)) <= 1e-5  # pixels are float32
