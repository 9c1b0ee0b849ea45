"""Resampling matrices give what torch's interpolate gives."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import torch
from torch import Tensor
from torch.nn import functional as F

from zoo.nn.positions import resample_positions

SIZES = [((4, 4), (7, 3)), ((16, 16), (37, 37)), ((37, 37), (16, 16)), ((5, 9), (1, 20)),
         ((14, 14), (14, 28)), ((37, 37), (36, 38)), ((1, 3), (4, 2)), ((24, 24), (7, 7)),
         ((7, 7), (8, 6)), ((32, 32), (3, 5)), ((2, 2), (9, 1)), ((6, 6), (6, 6))]  # fmt: skip
EXACT = 1e-12  # float64, of the largest value


def table(source: tuple[int, int], dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(source[0] * 100 + source[1])
    return torch.randn(1, source[0] * source[1], 6, generator=generator, dtype=dtype)


def as_image(positions: Tensor, source: tuple[int, int]) -> Tensor:
    return positions.reshape(1, *source, -1).permute(0, 3, 1, 2)


def as_table(image: Tensor) -> Tensor:
    return image.permute(0, 2, 3, 1).reshape(1, -1, image.shape[1])


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize(("source", "target"), SIZES)
def test_given_a_size_it_equals_interpolate(
    source: tuple[int, int], target: tuple[int, int], antialias: bool
) -> None:
    positions = table(source)
    expected = as_table(
        F.interpolate(as_image(positions, source), target, mode="bicubic", antialias=antialias)
    )
    ours = resample_positions(positions, source, target, antialias=antialias)
    assert (ours - expected).abs().max() <= EXACT * expected.abs().max()


@pytest.mark.parametrize(("source", "target"), SIZES)
def test_with_an_offset_it_equals_interpolate_by_scale_factor(
    source: tuple[int, int], target: tuple[int, int]
) -> None:
    positions = table(source)
    factors = tuple((target[axis] + 0.1) / source[axis] for axis in (0, 1))
    expected = as_table(
        F.interpolate(as_image(positions, source), scale_factor=factors, mode="bicubic")
    )
    ours = resample_positions(positions, source, target, offset=0.1)
    assert (ours - expected).abs().max() <= EXACT * expected.abs().max()


@pytest.mark.parametrize(("source", "target"), SIZES)
def test_corner_aligned_linear_equals_scipy_zoom(
    source: tuple[int, int], target: tuple[int, int]
) -> None:
    positions = table(source)
    factors = (target[0] / source[0], target[1] / source[1], 1)
    expected = scipy.ndimage.zoom(positions.reshape(*source, -1).numpy(), factors, order=1)
    ours = resample_positions(positions, source, target, mode="linear_corners")
    assert np.abs(ours.numpy().reshape(expected.shape) - expected).max() <= EXACT * 10


def test_an_offset_changes_the_result() -> None:
    positions = table((37, 37))
    plain = resample_positions(positions, (37, 37), (16, 16))
    shifted = resample_positions(positions, (37, 37), (16, 16), offset=0.1)
    assert (plain - shifted).abs().max() > 1e-2


def test_half_precision_is_resampled_in_float32() -> None:
    positions = table((16, 16), torch.float16)
    ours = resample_positions(positions, (16, 16), (7, 9))
    exact = resample_positions(positions.float(), (16, 16), (7, 9))
    assert ours.dtype == torch.float16
    assert torch.equal(ours, exact.half())
