"""From frame to input, against a resize written out sample by sample."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.preprocess import Preprocessor, RegionError


def bilinear(image: np.ndarray, height: int, width: int) -> np.ndarray:
    result = np.empty((3, height, width))
    for row in range(height):
        for column in range(width):
            y = min(max((row + 0.5) * image.shape[0] / height - 0.5, 0), image.shape[0] - 1)
            x = min(max((column + 0.5) * image.shape[1] / width - 0.5, 0), image.shape[1] - 1)
            top, left = int(y), int(x)
            bottom, right = min(top + 1, image.shape[0] - 1), min(left + 1, image.shape[1] - 1)
            dy, dx = y - top, x - left
            upper = image[top, left] * (1 - dx) + image[top, right] * dx
            lower = image[bottom, left] * (1 - dx) + image[bottom, right] * dx
            result[:, row, column] = upper * (1 - dy) + lower * dy
    return result / 255


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 12), st.integers(1, 12), st.integers(0, 9))
def test_it_is_bilinear_with_half_pixel_centres(height, width, out_height, out_width, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    tensor = Preprocessor(out_height, out_width)(image)
    assert tensor.shape == (1, 3, out_height, out_width)
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    np.testing.assert_allclose(tensor[0], bilinear(image.astype(float), out_height, out_width), atol=1e-5)


def test_a_frame_of_the_right_size_is_only_scaled():
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    np.testing.assert_array_equal(Preprocessor(32, 32)(image)[0], image.transpose(2, 0, 1) * np.float32(1 / 255))


def test_a_region_is_cut_out_before_resizing_and_sizes_may_change_between_frames():
    preprocess = Preprocessor(8, 8)
    for height, width in ((50, 40), (31, 70), (50, 40)):
        image = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
        cut = image[7:30, 5:25].copy()
        np.testing.assert_array_equal(preprocess(image, (5, 7, 25, 30)), preprocess(cut))


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3), np.float64)]
)
def test_what_is_no_frame_is_refused(image):
    with pytest.raises(ValueError, match="a frame is"):
        Preprocessor(8, 8)(image)


@pytest.mark.parametrize("roi", [(0, 0, 0, 4), (0, 0, 5, 4), (-1, 0, 2, 2), (3, 3, 2, 4)])
def test_a_region_outside_the_frame_is_refused(roi):
    with pytest.raises(RegionError, match="does not lie inside a frame of 4x4 pixels"):
        Preprocessor(8, 8)(np.zeros((4, 4, 3), np.uint8), roi)


def test_an_image_of_floats_is_not_scaled() -> None:
    image = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    for size in ((6, 8), (4, 4)):
        of_bytes, of_floats = (Preprocessor(*size)(each) for each in (image, (image / 255).astype(np.float32)))
        np.testing.assert_allclose(of_floats, of_bytes, atol=1e-6)
