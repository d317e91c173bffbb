import numpy as np
import pytest

from talkjax.media import align, paste
from talkjax.ops import geometry


def transform(scale, angle, x, y):
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[c, -s, x], [s, c, y]], dtype=np.float32)


def noise(rows, columns, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), dtype=np.uint8)


def mask_of(size_px):
    return paste.paste_mask(size_px, mask_top_fraction=0.35, feather_fraction=0.1)


def test_mask_is_zero_at_the_border_and_above_its_top_and_one_inside():
    mask = mask_of(100)[:, :, 0]
    assert mask.dtype == np.float32
    for edge in (mask[:36], mask[-1], mask[:, 0], mask[:, -1]):
        assert (edge == 0).all()
    assert (mask[45:90, 10:90] == 1).all()
    assert (np.diff(mask[35:46, 50]) > 0).all()


def test_a_mask_without_room_is_refused():
    with pytest.raises(ValueError, match="leave no room"):
        paste.paste_mask(64, mask_top_fraction=0.8, feather_fraction=0.1)


@pytest.mark.parametrize(
    "matrix",
    [
        transform(1.3, 0.2, 40, 30),
        transform(0.4, -0.3, 60, 50),
        transform(3.0, 0.05, -60, -40),
        transform(1.0, 0.0, 400, 400),
    ],
    ids=["larger", "shrunk", "over the border", "outside"],
)
def test_pixels_outside_the_mask_are_bit_identical(matrix):
    frame = noise(180, 200)
    mask = mask_of(64)
    pasted = paste.paste(frame, noise(64, 64, seed=1), matrix, mask)
    # Independent of cv2: where a frame pixel falls in the crop, bilinear support included.
    ys, xs = np.mgrid[:180, :200]
    points = np.stack([xs.ravel(), ys.ravel()], axis=1).astype(np.float64)
    in_crop = geometry.transform_points(geometry.invert(matrix), points).reshape(180, 200, 2)
    inside = (
        (in_crop[..., 0] > 0)
        & (in_crop[..., 0] < 63)
        & (in_crop[..., 1] > np.floor(0.35 * 64) - 0.1)
        & (in_crop[..., 1] < 63)
    )
    np.testing.assert_array_equal(pasted[~inside], frame[~inside])
    if inside.any():
        assert (pasted[inside] != frame[inside]).mean() > 0.5


def test_inside_the_mask_the_frame_shows_the_generated_crop_where_it_belongs():
    # Brightness says the row: 3 grey levels each.
    rows = np.arange(64, dtype=np.uint8) * 3
    generated = np.broadcast_to(rows[:, None, None], (64, 64, 3)).copy()
    matrix = transform(1.5, 0.1, 40, 30)
    pasted = paste.paste(noise(180, 200), generated, matrix, mask_of(64))
    for row, column in [(35, 20), (40, 32), (50, 45)]:
        x, y = geometry.transform_points(matrix, np.array([[column, row]], dtype=np.float64))[0]
        assert abs(int(pasted[round(y), round(x), 0]) - 3 * row) <= 3


def test_pasting_back_its_own_crop_changes_next_to_nothing():
    ys, xs = np.mgrid[:180, :200]
    smooth = 128 + 60 * np.sin(xs / 23) + 50 * np.cos(ys / 17)
    frame = np.repeat(smooth[:, :, None], 3, axis=2).round().astype(np.uint8)
    matrix = transform(1.2, 0.15, 50, 30)
    pasted = paste.paste(frame, align.crop(frame, matrix, 96), matrix, mask_of(96))
    assert np.abs(pasted.astype(int) - frame).max() <= 2


def test_the_source_frame_is_left_alone_unless_asked():
    frame, generated = noise(180, 200), noise(64, 64, seed=1)
    before = frame.copy()
    matrix = transform(1.3, 0.2, 40, 30)
    pasted = paste.paste(frame, generated, matrix, mask_of(64))
    np.testing.assert_array_equal(frame, before)
    assert paste.paste(frame, generated, matrix, mask_of(64), in_place=True) is frame
    np.testing.assert_array_equal(frame, pasted)


def test_frames_that_cannot_be_pasted_are_refused():
    frame, generated = noise(180, 200), noise(64, 64, seed=1)
    with pytest.raises(ValueError, match="has no face"):
        paste.paste(frame, generated, np.full((2, 3), np.nan, np.float32), mask_of(64))
    frame.setflags(write=False)
    with pytest.raises(ValueError, match="read-only"):
        paste.paste(frame, generated, transform(1, 0, 0, 0), mask_of(64), in_place=True)
