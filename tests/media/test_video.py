"""FrameReader and probe: 25 fps by timestamp, upright RGB, past damage."""

import numpy as np
import pytest

from talkjax.errors import UserError
from talkjax.media.video import FrameReader, probe
from tests.media.synthetic_media import number_of, numbered, write_video

BAD = "data/bad"


def read(path):
    with FrameReader(path) as reader:
        frames = list(reader)
    assert [f.index for f in frames] == list(range(len(frames)))
    assert all(f.time_s == pytest.approx(0.04 * f.index) for f in frames)
    return [f.rgb for f in frames], reader.notes


def numbers(path):
    return [number_of(rgb) for rgb in read(path)[0]]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
def test_a_25_fps_video_maps_one_to_one(tmp_path, name):
    # AVI knows no timestamps, only a frame rate.
    clock_hz = 25 if name.endswith("avi") else 90_000
    path = write_video(tmp_path / name, np.arange(30) / 25, clock_hz=clock_hz)
    assert numbers(path) == list(range(30))


def test_jittered_timestamps_map_one_to_one(tmp_path):
    jitter_s = np.random.default_rng(0).uniform(-0.015, 0.015, 60)
    jitter_s[0] = 0.0
    path = write_video(tmp_path / "a.mkv", np.arange(60) / 25 + jitter_s)
    assert numbers(path) == list(range(60))


def test_50_fps_gives_every_second_frame(tmp_path):
    path = write_video(tmp_path / "a.mp4", np.arange(101) / 50, nominal_fps=50)
    # 101 / 50 = 2.02 s are 50.5 frames, rounded half up.
    assert numbers(path) == list(range(0, 101, 2))


@pytest.mark.parametrize("fps", [24000 / 1001, 30000 / 1001, 60.0, 15.0])
def test_no_frame_is_off_by_more_than_half_an_interval_after_a_minute(tmp_path, fps):
    count = round(60 * fps)
    rate = round(fps * 1001) / 1001
    path = write_video(tmp_path / "a.mp4", np.arange(count) / fps, nominal_fps=round(rate))
    shown = numbers(path)
    assert len(shown) == 1500 or abs(len(shown) - 25 * count / fps) <= 0.5
    wanted = np.arange(len(shown)) / 25 * fps
    error_frames = (np.array(shown) - wanted + 112) % 225 - 112
    assert error_frames.max() <= 0.51 * max(1.0, fps / 25)
    assert error_frames.min() >= -1.0


def test_a_gap_holds_the_frame_before_it(tmp_path):
    path = write_video(tmp_path / "a.mp4", [0.0, 0.04, 0.08, 0.24, 0.28])
    assert numbers(path) == [0, 1, 2, 2, 2, 2, 3, 4]


def test_a_long_gap_is_noted(tmp_path):
    path = write_video(tmp_path / "a.mkv", [0.0, 0.04, 2.0])
    rgb, notes = read(path)
    assert len(rgb) == 51
    assert any("a.mkv: no frames from 0.04 s to 2.00 s" in note for note in notes)


def test_a_gap_of_hours_is_an_error_not_a_million_frames(tmp_path):
    path = write_video(tmp_path / "a.mkv", [0.0, 0.04, 9_000.0, 9_000.04])
    with pytest.raises(UserError, match=r"a\.mkv: no frames from 0\.\d s to 9000\.0 s"):
        read(path)


def test_a_damaged_duration_in_the_header_does_not_matter(tmp_path):
    path = write_video(tmp_path / "a.mkv", np.arange(10) / 25)
    data = path.read_bytes()
    assert data.count(b"00:00:00.4") == 1
    path.write_bytes(data.replace(b"00:00:00.4", b"00:0x:00.4"))
    assert numbers(path) == list(range(10))


def test_time_zero_is_the_first_frame(tmp_path):
    path = write_video(tmp_path / "a.mkv", 3.2 + np.arange(10) / 25)
    assert numbers(path) == list(range(10))
    assert probe(path).start_s == pytest.approx(3.2)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_display_rotation_is_applied(tmp_path, rotation):
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:24, :32] = 240
    picture[24:, :32] = 120
    path = write_video(tmp_path / "a.mp4", [0.0, 0.04], pictures=[picture] * 2, rotation=rotation)
    wanted = np.rot90(picture, rotation // 90)
    assert np.abs(read(path)[0][0].astype(int) - wanted).mean() < 4
    info = probe(path)
    assert (info.height, info.width) == wanted.shape[:2]
    assert info.rotation == rotation


@pytest.mark.parametrize(
    ("codec", "pixel_format", "name"),
    [("ffv1", "gray", "a.mkv"), ("ffv1", "yuv444p10le", "a.mkv"), ("mjpeg", "yuvj422p", "a.mov")],
)
def test_any_pixel_format_becomes_8_bit_rgb(tmp_path, codec, pixel_format, name):
    path = write_video(tmp_path / name, np.arange(20) / 25, codec=codec, pixel_format=pixel_format)
    rgb, _ = read(path)
    assert rgb[0].dtype == np.uint8
    assert [number_of(x) for x in rgb] == list(range(20))


def test_odd_sizes_are_kept(tmp_path):
    pictures = [numbered(i, width=53, height=37) for i in range(5)]
    path = write_video(
        tmp_path / "a.mp4", np.arange(5) / 25, pictures=pictures, pixel_format="yuv444p"
    )
    assert read(path)[0][0].shape == (37, 53, 3)


def test_a_second_iteration_starts_again(tmp_path):
    path = write_video(tmp_path / "a.mp4", np.arange(12) / 25)
    with FrameReader(path) as reader:
        first = [number_of(f.rgb) for f in reader]
        assert [number_of(f.rgb) for f in reader] == first == list(range(12))


@pytest.mark.parametrize("gop", [1, 12, 250])
@pytest.mark.parametrize("fps", [25, 30])
def test_windows_are_those_of_plain_reading(tmp_path, gop, fps):
    options = {"preset": "veryfast", "crf": "8", "g": str(gop), "bf": "2"}
    path = write_video(tmp_path / "a.mp4", np.arange(150) / fps, nominal_fps=fps, options=options)
    with FrameReader(path) as reader:
        plain = [f.rgb for f in reader]
        for first, stop in [(100, 110), (0, 3), (37, 38), (len(plain) - 4, len(plain))]:
            window = list(reader.window(first, stop))
            assert [f.index for f in window] == list(range(first, stop))
            for frame in window:
                np.testing.assert_array_equal(frame.rgb, plain[frame.index])


# What shared/data/bad/EXPECT.csv and the README of shared/data/public say.
COUNTS = {
    "bad/audio_longer.mp4": 40,
    "bad/video_longer.mp4": 75,
    "bad/fps_50.mp4": 74,
    "bad/fps_23976.mp4": 75,
    "bad/variable_fps.mp4": 73,
    "bad/edit_list_skips_0.5s.mp4": 62,
    "bad/negative_start.mkv": 75,
    "bad/audio_starts_late_0.4s.mp4": 75,
    "bad/very_short_0.1s.mp4": 3,
    "bad/mp4_named.avi": 75,
    "bad/name with spaces, ünï 空.mp4": 75,
    "bad/no_audio.mp4": 75,
    "bad/gray_ffv1.mkv": 20,
    "bad/gray_8bit.mp4": 50,
    "bad/hevc_10bit.mp4": 50,
    "bad/odd_353x287_yuv444.mp4": 50,
    "bad/uhd_3840x2160.mp4": 15,
    "bad/tiny_64x64.mp4": 75,
    "bad/animated.gif": 30,
    "public/grid_s1/lbbq9s.mpg": 75,
    "public/grid_s1/srbb4n.mpg": 74,
    "public/grid_s1/prii9a.mpg": 75,
}


@pytest.mark.parametrize("name", COUNTS)
def test_shared_videos_have_their_length_and_no_warning(shared, name):
    rgb, notes = read(shared / "data" / name)
    assert len(rgb) == COUNTS[name]
    assert notes == []


@pytest.mark.parametrize(
    ("name", "of", "at_least"),
    [
        ("truncated_half.mp4", 75, 25),
        ("corrupt_middle.mp4", 75, 65),
        ("corrupt_middle.mpg", 35, 30),
    ],
)
def test_damage_is_read_past_and_noted(shared, name, of, at_least):
    rgb, notes = read(shared / BAD / name)
    assert at_least <= len(rgb) <= of
    assert len(notes) == 1
    assert name in notes[0]
    assert f"of {of} frames could be read" in notes[0]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("truncated_no_index.mp4", "truncated"),
        ("zero_bytes.mp4", "empty"),
        ("text_renamed.mp4", "text file"),
        ("audio_only.mp4", "no video stream"),
        ("alpha.png", "is a picture"),
        ("no such file.mp4", "no such file"),
    ],
)
def test_what_is_no_video_is_one_line_that_names_the_file(shared, name, says):
    with pytest.raises(UserError, match=says) as caught:
        FrameReader(shared / BAD / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_random_bytes_and_folders_are_errors(tmp_path):
    (tmp_path / "a.mp4").write_bytes(np.random.default_rng(0).bytes(20_000))
    with pytest.raises(UserError, match=r"a\.mp4: is not a video"):
        FrameReader(tmp_path / "a.mp4")
    with pytest.raises(UserError, match="is not a file"):
        FrameReader(tmp_path)


def test_nothing_readable_is_an_error(tmp_path):
    path = write_video(tmp_path / "a.mkv", np.arange(20) / 25)
    data = bytearray(path.read_bytes())
    start = data.index(b"\x1f\x43\xb6\x75") + 16  # the first Matroska cluster
    data[start:] = bytes(len(data) - start)
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"a\.mkv: no frame of the video can be decoded"):
        read(path)


def test_the_rotated_copy_looks_like_its_original(shared):
    turned, _ = read(shared / BAD / "rotated_by_metadata.mp4")
    plain, _ = read(shared / "data/public/grid_s1/lbbq9s.mpg")
    assert turned[0].shape == plain[0].shape == (288, 360, 3)
    for i in (0, 40, 74):
        assert np.abs(turned[i].astype(int) - plain[i]).mean() < 4


def test_copies_in_other_clocks_show_the_same_moments(shared):
    plain, _ = read(shared / "data/public/grid_s1/lbbq9s.mpg")
    plain = np.stack(plain)[:, ::6, ::6].astype(int)
    for name, shift in [("edit_list_skips_0.5s.mp4", 12.5), ("negative_start.mkv", 0)]:
        copy, _ = read(shared / BAD / name)
        nearest = [int(np.abs(plain - rgb[::6, ::6]).mean((1, 2, 3)).argmin()) for rgb in copy]
        # Neighbours may look alike; the run as a whole may not lag.
        lag = np.median(np.array(nearest) - np.arange(len(copy)))
        assert abs(lag - shift) <= 1, name


def test_grey_video_is_grey_in_rgb(shared):
    for name in ("gray_8bit.mp4", "gray_ffv1.mkv"):
        rgb, _ = read(shared / BAD / name)
        assert np.ptp(rgb[0].astype(int), axis=-1).max() <= 2
        assert np.ptp(rgb[0]) > 150
