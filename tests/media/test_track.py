"""The rules of following a face, with a detector that reads a script instead of pixels."""

import dataclasses

import numpy as np
import pytest

from talkjax.media.detector import Face, box_from_landmarks
from talkjax.media.track import TrackSettings, iou, track


@dataclasses.dataclass
class Frame:
    rgb: np.ndarray


def frames(num_frames, size=(200, 300)):
    """Blank frames whose first pixel holds the frame number."""
    for index in range(num_frames):
        rgb = np.zeros((*size, 3), dtype=np.uint8)
        rgb[0, 0, 0] = index
        yield Frame(rgb)


def points(x, y, distance):
    offsets = np.array([[0.65, 0], [0.35, 0], [-0.65, 0], [-0.35, 0], [0, 0.77]])
    return (np.array([x, y]) + distance * offsets).astype(np.float32)


class ScriptedDetector:
    """Sees the faces `script(frame)` -> [(x, y, eye distance)]; follows moves of under 10 px."""

    def __init__(self, script):
        self.script = script
        self.searched, self.confirmed = [], 0

    def detect(self, rgb):
        self.searched.append(int(rgb[0, 0, 0]))
        found = [points(*face) for face in self.script(int(rgb[0, 0, 0]))]
        return [Face(box_from_landmarks(p), p, 1.0) for p in found]

    def follow(self, rgb, landmarks_xy_px):
        for face in self.script(int(rgb[0, 0, 0])):
            here = points(*face)
            if np.abs(here - landmarks_xy_px).max() < 10:
                return here, np.ones((1, 1), dtype=np.uint8)
        # Like the real one: an answer although there is no face.
        return landmarks_xy_px + np.float32(0.5), np.zeros((1, 1), dtype=np.uint8)

    def confirm(self, patch):
        self.confirmed += 1
        return 1.0 if patch[0, 0] else None


def settings(**changes):
    return TrackSettings(**{"choose_frames": 10, "max_gap_frames": 3} | changes)


def test_a_steady_face_is_measured_in_every_frame_with_few_detections():
    detector = ScriptedDetector(lambda f: [(100 + f, 80, 30)])
    result = track(frames(100), detector, settings=settings())
    assert result.found.all()
    assert result.missing == ()
    assert result.source_hw == (200, 300)
    np.testing.assert_allclose(result.landmarks_xy_px[50], points(150, 80, 30))
    # Width of the box: 2.55 eye distances.
    assert result.face_width_px == pytest.approx(76.5)
    assert len(detector.searched) <= 8
    assert detector.confirmed <= 25


def test_the_first_frame_without_the_face_is_known_exactly():
    detector = ScriptedDetector(lambda f: [(100, 80, 30)] if f < 33 else [])
    result = track(frames(60), detector, settings=settings())
    assert result.missing == ((33, 60),)
    assert np.isnan(result.box_xyxy_px[33:]).all()
    assert result.found[:33].all()


def test_a_clip_that_ends_between_two_confirmations_is_confirmed_to_its_end():
    detector = ScriptedDetector(lambda f: [(100, 80, 30)] if f < 47 else [])
    result = track(frames(49), detector, settings=settings(max_gap_frames=1))
    assert result.missing == ((47, 49),)


def test_short_gaps_are_filled_and_marked_as_not_found():
    detector = ScriptedDetector(lambda f: [] if f in (21, 22) else [(100 + f, 80, 30)])
    result = track(frames(40), detector, settings=settings(detect_every_frames=1))
    assert result.missing == ()
    assert np.flatnonzero(~result.found).tolist() == [21, 22]
    np.testing.assert_allclose(result.landmarks_xy_px[22], points(122, 80, 30), atol=1e-3)


def test_long_gaps_are_reported_and_the_face_is_taken_up_again():
    detector = ScriptedDetector(lambda f: [] if 20 <= f < 30 else [(100, 80, 30)])
    result = track(frames(60), detector, settings=settings())
    assert result.missing == ((20, 30),)


def test_first_frames_that_the_detector_misses_are_held_back():
    detector = ScriptedDetector(lambda f: [(100, 80, 30)] if f >= 3 else [])
    result = track(frames(20), detector, settings=settings())
    assert result.missing == ()
    assert np.flatnonzero(~result.found).tolist() == [0, 1, 2]


def test_of_two_faces_the_larger_is_chosen_and_kept():
    # The other one grows after the choice.
    two = lambda f: [(60, 80, 20 if f < 30 else 40), (220, 80, 30)]  # noqa: E731
    result = track(frames(80), ScriptedDetector(two), settings=settings())
    assert result.max_faces == 2
    np.testing.assert_allclose(result.landmarks_xy_px[:, 4, 0], 220)


def test_a_large_face_seen_for_a_moment_only_is_not_chosen():
    glimpse = lambda f: [(60, 80, 20)] + ([(220, 80, 30)] if f == 0 else [])  # noqa: E731
    result = track(frames(40), ScriptedDetector(glimpse), settings=settings())
    np.testing.assert_allclose(result.landmarks_xy_px[:, 4, 0], 60)


def test_the_most_central_face_can_be_chosen():
    two = lambda f: [(140, 100, 20), (260, 80, 40)]  # noqa: E731
    result = track(frames(40), ScriptedDetector(two), settings=settings(choose="center"))
    np.testing.assert_allclose(result.landmarks_xy_px[:, 4, 0], 140)


def test_the_track_does_not_jump_to_the_other_face_when_its_own_leaves():
    two = lambda f: [(60, 80, 20)] + ([(220, 80, 30)] if f < 40 else [])  # noqa: E731
    result = track(frames(80), ScriptedDetector(two), settings=settings())
    assert result.missing == ((40, 80),)


def test_a_false_first_glimpse_does_not_cost_the_clip():
    late = lambda f: [(30, 30, 10)] if f == 0 else [(200, 80, 30)] if f >= 20 else []  # noqa: E731
    result = track(frames(60), ScriptedDetector(late), settings=settings())
    assert result.missing == ((1, 20),) or result.missing == ((0, 20),)
    np.testing.assert_allclose(result.landmarks_xy_px[20:, 4, 0], 200)


def test_no_frames_and_no_faces_give_an_empty_track():
    for count in (0, 12):
        result = track(frames(count), ScriptedDetector(lambda f: []))
        assert result.num_frames == count
        assert not result.found.any()
        assert result.max_faces == 0
        assert result.face_width_px == 0.0
        assert result.missing == (((0, count),) if count else ())


def test_intersection_over_union():
    box = np.array([0, 0, 10, 10], dtype=np.float32)
    assert iou(box, box) == pytest.approx(1)
    assert iou(box, box + np.float32(5)) == pytest.approx(25 / 175)
    assert iou(box, box + np.float32(20)) == 0
