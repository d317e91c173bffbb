"""Pictures as they are meant to be seen."""

import numpy as np
import PIL.Image
import pytest

from talkjax.errors import UserError
from talkjax.media.video import is_picture, read_picture

# Four corners of different colours, wider than high.
COLOURS = np.zeros((20, 32, 3), np.uint8)
COLOURS[:10, :16] = (250, 10, 10)
COLOURS[:10, 16:] = (10, 250, 10)
COLOURS[10:, :16] = (10, 10, 250)
COLOURS[10:, 16:] = (250, 250, 10)


def close(rgb, wanted, tolerance=6):
    assert rgb.dtype == np.uint8
    assert rgb.shape == wanted.shape
    return np.abs(rgb.astype(int) - wanted).mean() < tolerance


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tiff", "a.webp", "a.ppm"])
def test_lossless_pictures_are_exact(tmp_path, name):
    PIL.Image.fromarray(COLOURS).save(tmp_path / name, lossless=True)
    rgb, notes = read_picture(tmp_path / name)
    np.testing.assert_array_equal(rgb, COLOURS)
    assert notes == ()


# EXIF 2.3, table 6: what has to be done to the stored picture to see it upright.
ORIENTATIONS = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.transpose(1, 0, 2),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: np.rot90(x, 2).transpose(1, 0, 2),
    8: lambda x: np.rot90(x, 1),
}


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_exif_orientation_is_applied(tmp_path, orientation):
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    PIL.Image.fromarray(COLOURS).save(tmp_path / "a.png", exif=exif)
    rgb, _ = read_picture(tmp_path / "a.png")
    np.testing.assert_array_equal(rgb, ORIENTATIONS[orientation](COLOURS))


def test_transparent_parts_show_grey(tmp_path):
    rgba = np.dstack([COLOURS, np.full(COLOURS.shape[:2], 255, np.uint8)])
    rgba[:10, :, 3] = 0
    rgba[10:, :16, 3] = 128
    PIL.Image.fromarray(rgba).save(tmp_path / "a.png")
    rgb, notes = read_picture(tmp_path / "a.png")
    assert (rgb[:10] == 128).all()
    assert np.abs(rgb[15, 5].astype(int) - (69, 69, 189)).max() <= 1
    np.testing.assert_array_equal(rgb[10:, 16:], COLOURS[10:, 16:])
    assert "a.png: transparent picture, laid on grey (128)" in notes[0]


def test_16_bit_grey_is_scaled_not_clipped(tmp_path):
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    PIL.Image.fromarray(ramp).save(tmp_path / "a.png")
    rgb, _ = read_picture(tmp_path / "a.png")
    np.testing.assert_array_equal(rgb[..., 0].ravel(), np.arange(256))
    np.testing.assert_array_equal(rgb[..., 0], rgb[..., 2])


def test_palette_with_transparency_and_two_level_pictures(tmp_path):
    PIL.Image.fromarray(COLOURS).quantize(8).save(tmp_path / "p.png", transparency=0)
    rgb, notes = read_picture(tmp_path / "p.png")
    assert rgb.shape == COLOURS.shape
    assert len(notes) == 1
    PIL.Image.fromarray(COLOURS).convert("1").save(tmp_path / "b.png")
    assert set(np.unique(read_picture(tmp_path / "b.png")[0])) <= {0, 255}


def test_content_decides_what_is_a_picture(tmp_path, shared):
    PIL.Image.fromarray(COLOURS).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.mp4")
    assert is_picture(tmp_path / "a.mp4")
    bad = shared / "data/bad"
    for name in ("alpha.png", "cmyk.jpg", "animated.gif", "truncated.jpg"):
        assert is_picture(bad / name), name
    for name in ("zero_bytes.mp4", "text_renamed.mp4", "corrupt_middle.mpg", "no_face.mp4", "none"):
        assert not is_picture(bad / name), name
    assert not is_picture(bad)


def test_shared_pictures_look_like_their_original(shared):
    bad = shared / "data/bad"
    still, _ = read_picture(shared / "data/public/faces/id02_grid_still.png")
    for name in ("cmyk.jpg", "exif_rotated.jpg", "gray_16bit.png"):
        rgb, _ = read_picture(bad / name)
        assert rgb.ndim == 3, name
        height, width = rgb.shape[:2]
        original = np.asarray(PIL.Image.fromarray(still).resize((width, height)), float)
        # Not the same frame of the clip: layout and colours must agree, not pixels.
        wanted = original if name != "gray_16bit.png" else original.mean(-1, keepdims=True)
        assert np.abs(rgb - wanted).mean() < 25, name


def test_animation_gives_its_first_frame_and_a_note(shared):
    rgb, notes = read_picture(shared / "data/bad/animated.gif")
    assert rgb.shape[2] == 3
    assert "animated.gif: the picture has 12 frames; the first is used" in notes[0]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("truncated.jpg", "damaged or truncated"),
        ("zero_bytes.mp4", "empty"),
        ("text_renamed.mp4", "not a picture"),
        ("no such.png", "no such file"),
    ],
)
def test_what_is_no_picture_is_one_line_that_names_the_file(shared, name, says):
    with pytest.raises(UserError, match=says) as caught:
        read_picture(shared / "data/bad" / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
