"""`prepare_clip` on real clips, and on each bad file: what the list beside them says."""

import csv

import cv2
import numpy as np
import pytest
import simplejpeg

from data_prep.clip import prepare_clip
from data_prep.defects import FrameWatch
from data_prep.layouts import list_clips
from data_prep.layouts.api import Clip
from data_prep.outcome import FILTERS, Kept, Reject
from data_prep.settings import Settings
from talkjax.data import schema
from talkjax.errors import UserError
from talkjax.media.reader import Frame, FrameReader
from talkjax.ops.geometry import eye_centres
from talkjax.ops.mel import log_mel

# What a training clip gets, per file of EXPECT.csv: the filter, or frames and a part of a note.
BAD_FILES = {
    "truncated_no_index.mp4": ("unreadable", "truncated"),
    "truncated_half.mp4": (26, "28 of 75 frames could be read"),
    "no_audio.mp4": ("no_audio", "no audio"),
    "audio_only.mp4": ("no_video", "no video stream"),
    "zero_bytes.mp4": ("unreadable", "empty"),
    "text_renamed.mp4": ("unreadable", "not a video"),
    "no_face.mp4": ("no_face", "no face found in 63 frames"),
    "two_faces.mp4": (63, "2 faces at once"),
    "face_leaves.mp4": ("face_lost", "face missing in frames 4"),
    "variable_fps.mp4": (73, ""),
    "fps_50.mp4": (74, ""),
    "fps_23976.mp4": (75, ""),
    "rotated_by_metadata.mp4": (75, ""),
    "tiny_64x64.mp4": ("face_too_small", "px wide"),
    "uhd_3840x2160.mp4": (15, ""),
    "odd_353x287_yuv444.mp4": (50, ""),
    "gray_8bit.mp4": (50, ""),
    "hevc_10bit.mp4": (50, ""),
    "audio_48k_stereo.mp4": (50, ""),
    "audio_8k_mono.mp4": (50, "8000 Hz"),
    "silent_audio.mp4": ("silent", "silent audio"),
    "very_short_0.1s.mp4": ("too_short", "0.12 s of video (3 frames), want at least 0.5 s"),
    "audio_longer.mp4": (40, "audio cut from 5.96 s to 1.60 s"),
    "video_longer.mp4": (25, "video cut from 3.00 s to 1.00 s"),
    "audio_starts_late_0.4s.mp4": (75, "no audio from 0.00 s"),
    "edit_list_skips_0.5s.mp4": (62, ""),
    "negative_start.mkv": (75, ""),
    "gray_ffv1.mkv": (20, ""),
    "corrupt_middle.mp4": (75, "71 of 75 frames could be read"),
    "corrupt_middle.mpg": (35, "34 of 35 frames could be read"),
    "name with spaces, ünï 空.mp4": (75, ""),
    "mp4_named.avi": (75, ""),
}
NO_VIDEOS = (".wav", ".png", ".jpg", ".gif")


def clip_of(folder, name, **options) -> Clip:
    return Clip(clip_id="x", root=str(folder), source=name, identity="i", split="train", **options)


@pytest.fixture(scope="module")
def real(grid) -> Kept:
    found = {clip.source: clip for clip in list_clips("grid", grid)}
    result = prepare_clip(found["lbbq9s.mpg"], Settings())
    assert isinstance(result, Kept)
    return result


def test_every_video_of_the_bad_list_is_tested(shared):
    with open(shared / "data" / "bad" / "EXPECT.csv", encoding="utf-8") as file:
        names = {row["file"] for row in csv.DictReader(file)}
    assert {name for name in names if not name.endswith(NO_VIDEOS)} == BAD_FILES.keys()


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_file_gets_what_the_list_says(shared, name):
    want, text = BAD_FILES[name]
    result = prepare_clip(clip_of(shared / "data" / "bad", name), Settings())
    if isinstance(want, str):
        assert isinstance(result, Reject)
        assert result.filter == want and want in FILTERS
        assert text in result.detail and "\n" not in result.detail
    else:
        assert isinstance(result, Kept)
        schema.validate(result.record)
        assert result.record.num_frames == pytest.approx(want, abs=1)
        assert text in " ".join(result.about.notes)


def test_eyes_sit_where_the_geometry_says_and_pictures_agree(real):
    record = real.record
    size = record.size_px
    eyes = eye_centres(record.landmarks_xy_px).mean(axis=0)
    assert eyes == pytest.approx(
        np.array([[size / 3, 0.28 * size], [size * 2 / 3, 0.28 * size]]), abs=1.5
    )
    pictures = [simplejpeg.decode_jpeg(jpeg, "RGB") for jpeg in record.frames_jpeg]
    assert {picture.shape for picture in pictures} == {(size, size, 3)}
    # GRID s1: skin between the eyes and the blue wall beside the head.
    middle = pictures[0][50:60, 58:70].reshape(-1, 3).mean(axis=0)
    assert middle[0] > middle[1] > middle[2]


def test_record_of_a_grid_clip_is_whole(real):
    record = real.record
    schema.validate(record)
    assert (record.num_frames, record.source_hw, record.identity) == (75, (288, 360), "grid_s1")
    assert record.texts == {"transcript": "lay blue by q nine soon"}
    assert [word for _, _, word in record.words] == ["lay", "blue", "by", "q", "nine", "soon"]
    assert np.diff(record.frame_times_s) == pytest.approx(0.04)
    want = log_mel(record.audio_i16.astype(np.float32) / 32768)
    assert np.abs(want - record.mel.astype(np.float32)).max() < 0.005
    assert (real.about.fps, real.about.audio_rate_hz) == (25, 44100)


def test_equal_input_gives_equal_bytes(grid, real):
    clip = next(c for c in list_clips("grid", grid) if c.source == "lbbq9s.mpg")
    again = prepare_clip(clip, Settings())
    assert schema.encode(again.record) == schema.encode(real.record)


def test_grey_first_frames_are_cut_off_with_a_note_and_the_words_move(grid):
    clip = next(c for c in list_clips("grid", grid) if c.source == "prii9a.mpg")
    result = prepare_clip(clip, Settings())
    first = 75 - result.record.num_frames
    assert first in range(12, 17)
    assert "flat (damaged) frames 0-2" in result.about.notes[0]
    # "place" is spoken from 14250 to 23250 thousandths of a frame.
    start, end, word = result.record.words[0]
    assert (start, end, word) == (
        pytest.approx(max(0.57 - first / 25, 0)),
        pytest.approx(0.93 - first / 25),
        "place",
    )
    strict = prepare_clip(clip, Settings(on_defect="reject"))
    assert isinstance(strict, Reject) and strict.filter == "shot_cut"


def test_a_cut_by_time_is_the_same_part_of_the_clip(grid, real):
    part = prepare_clip(clip_of(grid, "lbbq9s.mpg", start_s=1.0, end_s=2.0), Settings())
    whole = real.record
    assert part.record.num_frames == 25
    assert part.record.frame_times_s == pytest.approx(whole.frame_times_s[25:50])
    assert np.array_equal(part.record.audio_i16, whole.audio_i16[25 * 640 : 50 * 640])
    # The face is followed from another frame on, so the crops agree, not to the bit.
    assert part.record.crop_to_source == pytest.approx(whole.crop_to_source[25:50], abs=2.0)


def test_sound_from_a_file_of_its_own(shared):
    bad = shared / "data" / "bad"
    silent = clip_of(bad, "no_audio.mp4", audio_source="video_longer.mp4")
    result = prepare_clip(silent, Settings())
    assert isinstance(result, Kept)
    assert "where the audio ends" in result.about.notes[-1]


def test_a_video_keeps_its_own_sound_beside_a_file_of_sound(grid, real):
    clip = clip_of(grid, "lbbq9s.mpg", audio_source="bbaf2n.mpg")
    result = prepare_clip(clip, Settings())
    assert np.array_equal(result.record.audio_i16, real.record.audio_i16)


def test_several_faces_can_be_refused(shared):
    clip = clip_of(shared / "data" / "bad", "two_faces.mp4")
    result = prepare_clip(clip, Settings(several_faces="reject"))
    assert isinstance(result, Reject)
    assert (result.filter, result.detail) == ("several_faces", "2 faces at once, want one")


def test_a_cut_between_two_shots_is_found(shared, grid):
    frames = []
    for path in (grid / "lbbq9s.mpg", shared / "data/public/wild/id02_grid_lbbc2a.mpg"):
        with FrameReader(path) as reader:
            frames += [frame.rgb for frame in reader][:30]
    watch = FrameWatch()
    for index, rgb in enumerate(frames):
        frame = Frame(index, index / 25, cv2.resize(rgb, (360, 288)))
        assert list(watch.watched([frame])) == [frame]
    assert [(d.name, d.first) for d in watch.defects(60)] == [("shot_cut", 30)]


@pytest.mark.parametrize("change", [{"size_px": 4}, {"several_faces": "all"}, {"min_seconds": 0}])
def test_senseless_settings_are_refused(change):
    with pytest.raises(UserError, match=next(iter(change))):
        Settings(**change)
