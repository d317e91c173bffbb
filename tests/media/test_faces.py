"""dlib on real files: who is found, where, and what is not a face."""

import itertools

import cv2
import numpy as np
import pytest

from talkjax.media import align
from talkjax.media.detector import Detector, DlibDetector, box_from_landmarks
from talkjax.media.landmarks import landmarks68, landmarks68_many
from talkjax.media.track import iou, track
from talkjax.media.video import FrameReader
from talkjax.ops import geometry


@pytest.fixture(scope="module")
def detector():
    return DlibDetector()


def read(path, count=None):
    with FrameReader(path) as reader:
        return list(itertools.islice(reader, count))


def tracked(path, detector, count=None):
    with FrameReader(path) as reader:
        return track(itertools.islice(reader, count), detector)


@pytest.fixture(scope="module")
def grid_clip(shared):
    return read(shared / "data" / "public" / "wild" / "id01_grid_lbax4n.mpg")


@pytest.fixture(scope="module")
def grid_track(grid_clip, detector):
    return track(grid_clip, detector)


def test_dlib_detector_keeps_the_protocol(detector):
    assert isinstance(detector, Detector)


@pytest.mark.parametrize("name", ["lbbq9s.mpg", "brbm9a.mpg"])
def test_grid_faces_are_found_in_at_least_99_percent_of_the_frames(name, shared, detector):
    result = tracked(shared / "data" / "public" / "grid_s1" / name, detector)
    assert result.num_frames in (74, 75)
    assert result.found.mean() >= 0.99
    assert result.max_faces == 1


def test_box_and_landmarks_agree_with_a_plain_detection(grid_clip, grid_track, detector):
    for index in (0, 37, 74):
        faces = detector.detect(grid_clip[index].rgb)
        assert len(faces) == 1
        assert iou(faces[0].box_xyxy_px, grid_track.box_xyxy_px[index]) > 0.6
        apart = np.linalg.norm(faces[0].landmarks_xy_px - grid_track.landmarks_xy_px[index], axis=1)
        assert apart.max() < 0.05 * 60
    # MANIFEST.csv of the set: median width of dlib's box 125 px.
    assert grid_track.face_width_px == pytest.approx(125, rel=0.15)


def test_crops_of_a_real_clip_have_the_eyes_in_place_and_hardly_shake(grid_clip, grid_track):
    crops = geometry.smooth_crops(grid_track.landmarks_xy_px, 256, 2.5)
    points = np.stack(
        [landmarks68(align.crop(grid_clip[i].rgb, crops[i], 256)) for i in range(0, 75, 15)]
    )
    # The 68-point model is another one than that which placed the eyes.
    eyes = np.stack([points[:, 36:42].mean(axis=1), points[:, 42:48].mean(axis=1)], axis=1)
    want = np.array([[256 / 3, 0.28 * 256], [512 / 3, 0.28 * 256]])
    assert np.abs(eyes.mean(axis=0) - want).max() < 0.06 * 256 / 3
    steps = np.linalg.norm(np.diff(crops[:, :, 2], axis=0), axis=1)
    assert np.median(steps) < 0.6


def test_the_face_is_found_where_it_is_in_a_4k_frame(shared, detector):
    rgb = read(shared / "data" / "bad" / "uhd_3840x2160.mp4", 1)[0].rgb
    faces = detector.detect(rgb)
    assert rgb.shape == (2160, 3840, 3)
    assert len(faces) == 1
    small = cv2.resize(rgb, (960, 540), interpolation=cv2.INTER_AREA)
    in_small = detector.detect(small)[0]
    apart = np.abs(in_small.landmarks_xy_px * 4 + 1.5 - faces[0].landmarks_xy_px)
    assert apart.max() < 0.03 * faces[0].width_px


def test_a_tiny_face_is_found_with_its_size(shared, detector):
    result = tracked(shared / "data" / "bad" / "tiny_64x64.mp4", detector, 20)
    assert result.found.all()
    assert 20 < result.face_width_px < 32


def test_a_face_that_leaves_is_missing_from_then_on(shared, detector):
    result = tracked(shared / "data" / "bad" / "face_leaves.mp4", detector)
    assert len(result.missing) == 1
    first, end = result.missing[0]
    # EXPECT.csv: in view for about 1.9 s.
    assert first == pytest.approx(1.9 * 25, abs=4)
    assert end == result.num_frames


def test_of_two_people_one_is_followed_without_jumps(shared, detector):
    result = tracked(shared / "data" / "bad" / "two_faces.mp4", detector)
    assert result.max_faces == 2
    assert result.missing == ()
    middle = (result.box_xyxy_px[:, :2] + result.box_xyxy_px[:, 2:]) / 2
    assert np.abs(np.diff(middle, axis=0)).max() < 0.2 * result.face_width_px


def test_clothes_and_background_are_no_face(shared, detector):
    result = tracked(shared / "data" / "bad" / "no_face.mp4", detector, 20)
    assert not result.found.any()
    assert result.max_faces == 0


def test_metadata_rotation_gives_an_upright_face(shared, detector):
    result = tracked(shared / "data" / "bad" / "rotated_by_metadata.mp4", detector, 10)
    assert result.source_hw == (288, 360)
    assert result.found.all()


def test_a_patch_of_noise_is_not_confirmed(detector):
    rgb = np.random.default_rng(0).integers(0, 256, (288, 360, 3), dtype=np.uint8)
    start = np.array([[228, 138], [206, 138], [150, 142], [172, 139], [192, 178]], np.float32)
    landmarks, patch = detector.follow(rgb, start)
    assert landmarks.shape == (5, 2)
    assert detector.confirm(patch) is None


def test_the_box_from_landmarks_survives_landmarks_in_one_point():
    box = box_from_landmarks(np.full((5, 2), 9, dtype=np.float32))
    assert np.isfinite(box).all()
    assert box[2] > box[0]


def test_landmarks_on_the_crop_agree_with_dlib_on_the_frame(shared, detector):
    import dlib

    from talkjax.media.detector import model_path

    predictor = dlib.shape_predictor(str(model_path("shape_predictor_68_face_landmarks.dat")))
    clip = read(shared / "data" / "public" / "grid_s1" / "lbbq9s.mpg")
    crops = geometry.smooth_crops(track(clip, detector).landmarks_xy_px, 256, 2.0)
    errors = []
    for index in range(0, 75, 8):
        rgb = clip[index].rgb
        boxes = dlib.get_frontal_face_detector()(rgb, 0)
        assert len(boxes) == 1
        want = np.array([(p.x, p.y) for p in predictor(rgb, boxes[0]).parts()], dtype=np.float64)
        got = landmarks68(align.crop(rgb, crops[index], 256))
        got = geometry.transform_points(crops[index].astype(np.float64), got.astype(np.float64))
        errors.append(np.linalg.norm(got - want, axis=1) / geometry.eye_distance68(want))
    # Measured on 47 clips: 0.012; whole pixels of the frame alone account for 0.006.
    assert np.median(errors) < 0.025


def test_landmarks_scale_with_the_crop(grid_clip, grid_track):
    crops = geometry.smooth_crops(grid_track.landmarks_xy_px[:1], 256, 0.0)
    small = geometry.rescale_crops(crops, from_px=256, to_px=128)
    large = landmarks68(align.crop(grid_clip[0].rgb, crops[0], 256))
    halved = landmarks68(align.crop(grid_clip[0].rgb, small[0], 128))
    assert np.median(np.abs((halved + 0.5) * 2 - 0.5 - large)) < 0.02 * 256 / 3


def test_many_landmarks_take_any_iterable_and_none(grid_clip):
    square = grid_clip[0].rgb[:288, :288]
    assert landmarks68_many(iter([square, square])).shape == (2, 68, 2)
    assert landmarks68_many([]).shape == (0, 68, 2)
    with pytest.raises(ValueError, match="want a square canonical crop"):
        landmarks68(grid_clip[0].rgb)
