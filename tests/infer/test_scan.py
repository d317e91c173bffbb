import pathlib
import weakref

import numpy as np
import pytest

from talkjax.errors import UserError
from talkjax.infer import scan
from talkjax.media.track import Track
from talkjax.ops import geometry
from tests.infer.conftest import LANDMARKS, KnowingDetector

SIZE_PX = 32
PATH = pathlib.Path("a.mp4")


def _track(num_frames, *, missing=(), box_px=60.0):
    landmarks = np.repeat(LANDMARKS[None], num_frames, axis=0)
    # The face moves to the right by 1 px a frame.
    landmarks = landmarks + np.arange(num_frames, dtype=np.float32)[:, None, None] * [1, 0]
    landmarks = landmarks.astype(np.float32)
    for first, end in missing:
        landmarks[first:end] = np.nan
    found = np.isfinite(landmarks).all(axis=(1, 2))
    boxes = np.where(found[:, None], np.array([0, 0, box_px, box_px]), np.nan)
    return Track(boxes.astype(np.float32), landmarks, found, 1, (120, 160))


def _plan(track, missing_face):
    crops = geometry.smooth_crops(track.landmarks_xy_px, SIZE_PX, 2.5)
    return scan.planned_crops(PATH, track, crops, missing_face=missing_face)


def _has_crop(crops):
    return np.isfinite(crops).all(axis=(1, 2))


def test_a_missing_face_is_an_error_that_names_the_frames():
    with pytest.raises(UserError, match=r"a.mp4: no face in frames 10-19 \(0.40-0.80 s\) of 60"):
        _plan(_track(60, missing=[(10, 20)]), "error")


def test_pass_leaves_frames_without_a_face_alone():
    crops, notes = _plan(_track(60, missing=[(10, 20), (50, 60)]), "pass")
    assert np.flatnonzero(~_has_crop(crops)).tolist() == [*range(10, 20), *range(50, 60)]
    assert "frames 10-19 (0.40-0.80 s), frames 50-59" in notes[0]


def test_hold_keeps_the_last_place_up_to_the_limit():
    crops, notes = _plan(_track(80, missing=[(10, 60)]), "hold")
    assert np.flatnonzero(~_has_crop(crops)).tolist() == [*range(35, 60)]
    np.testing.assert_array_equal(crops[10:35], np.repeat(crops[9:10], 25, axis=0))
    assert "held for up to 1.0 s" in notes[0]


def test_hold_works_backwards_before_the_first_face():
    crops, _ = _plan(_track(80, missing=[(0, 40)]), "hold")
    assert np.flatnonzero(_has_crop(crops)).tolist() == [*range(15, 80)]
    np.testing.assert_array_equal(crops[15], crops[40])


def test_a_face_all_the_time_needs_no_note():
    crops, notes = _plan(_track(20), "error")
    assert _has_crop(crops).all() and notes == ()


def test_no_face_at_all_says_how_many_frames_were_searched():
    with pytest.raises(UserError, match=r"a.mp4: no face found in 63 frames"):
        scan.check_face(PATH, _track(63, missing=[(0, 63)]))


def test_a_small_face_says_its_size_and_the_least():
    with pytest.raises(UserError, match=r"too small: 28 px wide, want at least 40 px"):
        scan.check_face(PATH, _track(5, box_px=28.0))


def test_short_sound_says_its_length_and_the_least(sound):
    with pytest.raises(UserError, match=r"too short: 0.10 s, want at least 0.2 s"):
        scan.read_speech(sound(0.1))


@pytest.mark.parametrize("seconds, frames", [(0.2, 5), (0.41, 10), (0.43, 11), (1.0, 25)])
def test_the_sound_decides_the_number_of_frames(sound, seconds, frames):
    assert scan.read_speech(sound(seconds)).num_frames == frames


def test_silence_is_said(sound):
    assert "silent audio" in scan.read_speech(sound(0.5, level=0.0)).notes[0]
    assert scan.read_speech(sound(0.5)).notes == ()


def _scan(video, detector, *, num_frames=8, sigma_frames=2.5):
    return scan.scan_face(
        video,
        detector,
        num_frames=num_frames,
        size_px=SIZE_PX,
        smooth_sigma_frames=sigma_frames,
        missing_face="error",
        face_choice="largest",
    )


def test_a_longer_video_is_looked_at_as_far_as_the_sound_goes(video):
    assert _scan(video, KnowingDetector(), num_frames=8).num_frames == 8
    assert _scan(video, KnowingDetector(), num_frames=500).num_frames == 11


def test_crops_are_smoothed_as_much_as_asked(video):
    class Jumping(KnowingDetector):
        """The face is 8 px further right from the fourth frame on."""

        calls = 0

        def follow(self, rgb, landmarks_xy_px):
            self.calls += 1
            moved, patch = super().follow(rgb, landmarks_xy_px)
            return moved + np.float32([8, 0]) * (self.calls == 3), patch

        def confirm(self, patch):
            return 1.0

        def detect(self, rgb):
            return super().detect(rgb) if self.calls == 0 else []

    def steps(sigma_frames):
        crops = _scan(video, Jumping(), num_frames=9, sigma_frames=sigma_frames).crop_to_source
        return np.diff(crops[:, 0, 2])

    assert steps(0.0).max() > 7
    assert 0 < steps(1.0).max() < 5
    assert 0 < steps(4.0).max() < steps(1.0).max()


def test_the_first_crop_is_found_without_keeping_the_frames_before_it(monkeypatch):
    alive = weakref.WeakSet()

    class Source(scan.FaceSource):
        def __init__(self, path, num_frames, *, to_and_fro):
            self.num_frames = num_frames

        def __exit__(self, *error):
            pass

        def __iter__(self):
            for number in range(self.num_frames):
                made = Picture(number)
                alive.add(made)
                assert len(alive) <= 2, number
                yield made

    class Picture:
        def __init__(self, number):
            self.rgb = np.full([120, 160, 3], number, np.uint8)

    monkeypatch.setattr(scan, "FaceSource", Source)
    place = np.eye(2, 3, dtype=np.float32)
    found = scan._crop_of_frame(PATH, 200, place, size_px=SIZE_PX)
    np.testing.assert_array_equal(found, np.full([SIZE_PX, SIZE_PX, 3], 200))


def test_several_faces_are_said_with_the_rule(video):
    plan = _scan(video, KnowingDetector(faces=2))
    assert plan.max_faces == 2
    assert any("2 faces in a frame; the largest one is taken" in note for note in plan.notes)


def test_crops_follow_the_eyes(video):
    # Eye centres at (68, 45) and (92, 45): a crop of 3 x 24 px, its top 0.28 x 72 px above.
    plan = _scan(video, KnowingDetector())
    scale = 72 / SIZE_PX
    np.testing.assert_allclose(plan.crop_to_source[0, :, :2], np.eye(2) * scale, atol=1e-4)
    left_top = plan.crop_to_source[0] @ [-0.5, -0.5, 1]
    np.testing.assert_allclose(left_top, [80 - 36, 45 - 0.28 * 72], atol=0.01)
