import numpy as np
import pytest

from talkjax.media import align


def transform(scale, x, y):
    return np.array([[scale, 0, x], [0, scale, y]], dtype=np.float32)


def test_the_identity_crop_is_the_picture():
    rgb = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    np.testing.assert_array_equal(align.crop(rgb, transform(1, 5, 3), 48), rgb[3:51, 5:53])


def test_shrinking_averages_instead_of_aliasing():
    # A checkerboard of single pixels is grey from afar.
    ys, xs = np.mgrid[:240, :240]
    board = np.repeat(((xs + ys) % 2 * 255)[:, :, None], 3, axis=2).astype(np.uint8)
    small = align.crop(board, transform(4.0, 20, 20), 40)
    assert np.abs(small.astype(int) - 127.5).max() < 8


@pytest.mark.parametrize("scale", [0.7, 1.0, 1.4, 1.6, 3.3, 12.0])
def test_a_crop_pixel_shows_the_source_pixel_that_the_transform_names(scale):
    ys, xs = np.mgrid[:600, :600]
    ramp = np.stack([xs / 4, ys / 4, 0 * xs], axis=2).astype(np.uint8)
    cropped = align.crop(ramp, transform(scale, 10, 30), 40).astype(float)
    at = np.array([8, 20, 31])
    # Less than the error of confusing pixel centres with pixel borders, (scale - 1) / 8.
    tolerance = max(0.8, 0.1 * scale)
    np.testing.assert_allclose(cropped[20, at, 0], (scale * at + 10) / 4 - 0.4, atol=tolerance)
    np.testing.assert_allclose(cropped[at, 20, 1], (scale * at + 30) / 4 - 0.4, atol=tolerance)


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_outside_the_picture_its_border_is_repeated(scale):
    rgb = np.full((100, 100, 3), 77, dtype=np.uint8)
    rgb[:, :8] = 200
    cropped = align.crop(rgb, transform(scale, -60 * scale, -10 * scale), 40)
    np.testing.assert_array_equal(cropped, np.full((40, 40, 3), 200, dtype=np.uint8))


def test_a_frame_without_a_face_cannot_be_cropped():
    rgb = np.zeros((10, 10, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match="has no face"):
        align.crop(rgb, np.full((2, 3), np.nan, dtype=np.float32), 8)


def test_bounds_stay_inside_the_picture_and_are_never_empty():
    assert align.bounds_in_source(
        transform(1, 10, 20), size_px=30, source_hw=(100, 200), margin_px=0.0
    ) == (19, 51, 9, 41)
    top, bottom, left, right = align.bounds_in_source(
        transform(1, 900, -900), size_px=30, source_hw=(100, 200)
    )
    assert (bottom - top, right - left) == (1, 1)
