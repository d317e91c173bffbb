"""What SyncNet's evaluation does to pictures, against plain loops and by what it must keep."""

import cv2
import numpy as np
import pytest

from talkjax.media import sync_crops
from talkjax.media.detector import box_from_landmarks
from talkjax.media.reader import Frame
from tests.media.test_track import ScriptedDetector, points


def _film(count, height=96, width=128, seed=0):
    """Smooth pictures that change from frame to frame."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        small = rng.integers(0, 256, size=(6, 8, 3), dtype=np.uint8)
        yield cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def _psnr(a, b):
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b.astype(float)) ** 2))


@pytest.mark.parametrize("size", [(96, 128), (97, 131)])
def test_recompression_keeps_the_picture_and_loses_detail(size):
    frames = list(_film(3, *size))
    for before, after in zip(frames, sync_crops.recompressed(frames), strict=True):
        assert after.shape == before.shape and after.dtype == np.uint8
        # colours in their places (RGB kept), yet not the same bytes
        assert 28 < _psnr(before, after) < 60


def test_recompression_gets_coarser_as_the_encoder_runs_out_of_bits():
    rng = np.random.default_rng(1)
    noisy = [rng.integers(0, 256, size=(128, 128, 3), dtype=np.uint8)] * 40
    after = list(sync_crops.recompressed(iter(noisy)))
    assert _psnr(noisy[0], after[0]) > _psnr(noisy[0], after[-1]) + 1


def test_recompression_streams():
    taken = []

    def film():
        for frame in _film(5):
            taken.append(1)
            yield frame

    pictures = sync_crops.recompressed(film())
    next(pictures)
    assert len(taken) == 1


def test_whole_frames_come_at_the_side_of_the_judge():
    frames = list(_film(2, 60, 80))
    small = list(sync_crops.whole_frames(frames, 32))
    assert [one.shape for one in small] == [(32, 32, 3)] * 2
    plain = cv2.resize(next(sync_crops.recompressed(frames)), (32, 32))
    np.testing.assert_array_equal(small[0], plain)


def _crops_by_the_letter(frames, boxes):
    """The published rule, one frame after the other, with medians by sorting."""
    half = [max(b[3] - b[1], b[2] - b[0]) / 2 for b in boxes]
    ys = [(b[1] + b[3]) / 2 for b in boxes]
    xs = [(b[0] + b[2]) / 2 for b in boxes]

    def median(series, i):
        window = [series[j] if 0 <= j < len(series) else 0.0 for j in range(i - 6, i + 7)]
        return sorted(window)[6]

    crops = []
    for i, frame in enumerate(frames):
        s, y, x = median(half, i), median(ys, i), median(xs, i)
        border = int(s * 1.8)
        height, width = frame.shape[:2]
        padded = np.full((height + 2 * border, width + 2 * border, 3), 110, np.uint8)
        padded[border : border + height, border : border + width] = frame
        y, x = y + border, x + border
        part = padded[int(y - s) : int(y + s * 1.8), int(x - s * 1.4) : int(x + s * 1.4)]
        crops.append(cv2.resize(part, (224, 224)))
    return crops


def test_followed_crops_are_those_of_the_published_rule():
    rng = np.random.default_rng(2)
    frames = list(_film(30))
    x = 60 + np.cumsum(rng.normal(size=30) * 3)
    y = 40 + np.cumsum(rng.normal(size=30) * 3)
    s = 25 + rng.normal(size=30) * 4
    boxes = np.stack([x - s, y - s * 0.9, x + s, y + s * 0.9], axis=1).astype(np.float32)
    got = list(sync_crops.followed_crops(iter(frames), boxes))
    want = _crops_by_the_letter(frames, boxes.astype(np.float64))
    for mine, theirs in zip(got, want, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    # a face at the border is laid on grey
    edge = np.tile(np.float32([[100, 10, 160, 70]]), (13, 1))
    crop = next(sync_crops.followed_crops(iter(frames[:13]), edge[:13]))
    assert (crop[:, -40:] == 110).all()


def _frames(count, *, cut_at=None):
    """Frames whose first pixel is their number; the picture changes at the cut."""
    for i in range(count):
        rgb = np.full((200, 300, 3), 255 if cut_at is not None and i >= cut_at else 0, np.uint8)
        rgb[0, 0, 0] = i
        yield Frame(index=i, time_s=i / 25, rgb=rgb)


def _seen(script, count, **options):
    return sync_crops.find_tracks(_frames(count, **options), ScriptedDetector(script))


def test_a_face_is_one_track_from_its_first_to_its_last_frame():
    seen = _seen(lambda i: [(100 + i, 90, 40)] if 10 <= i < 50 else [], 90)
    assert (seen.num_frames, seen.max_faces) == (90, 1)
    (track,) = seen.tracks
    assert (track.first, track.end, track.found) == (10, 50, 40)
    np.testing.assert_allclose(
        track.box_xyxy_px[5], box_from_landmarks(points(115, 90, 40)), atol=1e-3
    )
    box = box_from_landmarks(points(115, 90, 40))
    assert track.face_px == pytest.approx(box[2] - box[0], rel=0.01)


def test_a_gap_is_bridged_up_to_25_frames():
    def blink(gap):
        return lambda i: [] if 30 <= i < 30 + gap else [(100, 90, 40)]

    (track,) = _seen(blink(20), 90).tracks
    assert (track.first, track.end) == (0, 90) and 60 < track.found <= 70
    first, second = _seen(blink(40), 120).tracks
    assert first.end <= 31 and second.first >= 70


def test_a_cut_ends_a_track_though_the_face_is_in_the_same_place():
    seen = _seen(lambda i: [(100, 90, 40)], 60, cut_at=35)
    assert [(track.first, track.end) for track in seen.tracks] == [(0, 35), (35, 60)]
    assert seen.num_frames == 60


def _box(x, y, half=30.0):
    return np.array([x - half, y - half, x + half, y + half], np.float64)


def _placed(tracks):
    """(first, end, found, x of the first box's middle) of each track."""
    return [(t.first, t.end, t.found, t.box_xyxy_px[0, [0, 2]].mean()) for t in tracks]


def test_shots_are_told_apart_in_frames_of_the_video():
    assert sync_crops.find_shots(_frames(60, cut_at=35)) == ((0, 35), (35, 60))
    assert sync_crops.find_shots(_frames(9)) == ((0, 9),)
    assert sync_crops.find_shots([]) == ()


def test_all_faces_of_a_shot_are_followed_through_their_boxes_in_whatever_order():
    boxes = [[_box(100 + i, 90), _box(250 - i, 90)] for i in range(40)]
    boxes = [np.stack(both[:: 1 if i % 3 else -1]) for i, both in enumerate(boxes)]
    seen = sync_crops.box_tracks(boxes, [(0, 40)])
    assert (seen.num_frames, seen.max_faces) == (40, 2)
    assert _placed(seen.tracks) == [(0, 40, 40, 250), (0, 40, 40, 100)]
    left = next(track for track in seen.tracks if track.box_xyxy_px[0, 0] < 100)
    np.testing.assert_array_equal(left.box_xyxy_px, [_box(100 + i, 90) for i in range(40)])
    assert left.landmarks_xy_px is None and left.face_px == 60


def test_missing_boxes_are_straight_lines_and_25_frames_the_farthest():
    empty = np.zeros((0, 4))
    for gap, want in ((24, [(0, 45, 21)]), (25, [(0, 10, 10), (35, 46, 11)])):
        boxes = [_box(100, 90)[None]] * 10 + [empty] * gap + [_box(110, 90)[None]] * 11
        seen = sync_crops.box_tracks(boxes, [(0, len(boxes))])
        assert [(t.first, t.end, t.found) for t in seen.tracks] == want
    boxes = [_box(100, 90)[None]] * 10 + [empty] * 4 + [_box(110, 100)[None]] * 5
    (track,) = sync_crops.box_tracks(boxes, [(0, 19)]).tracks
    np.testing.assert_allclose(
        track.box_xyxy_px[9:15], [_box(100 + 2 * i, 90 + 2 * i) for i in range(6)]
    )


@pytest.mark.parametrize(("move", "faces"), [(19, 1), (21, 2)])
def test_a_box_that_overlaps_by_half_or_less_is_another_face(move, faces):
    # squares of 60 px, moved by m: (60 - m) / (60 + m) is above a half up to 20
    boxes = [_box(100, 90)[None]] * 10 + [_box(100 + move, 90)[None]] * 10
    assert len(sync_crops.box_tracks(boxes, [(0, 20)]).tracks) == faces


def test_a_cut_ends_the_tracks_of_boxes():
    seen = sync_crops.box_tracks([_box(100, 90)[None]] * 30, [(0, 12), (12, 30)])
    assert [(t.first, t.end) for t in seen.tracks] == [(0, 12), (12, 30)]
    assert sync_crops.box_tracks([np.zeros((0, 4))] * 5, [(0, 5)]).tracks == ()


def test_a_video_without_a_face_has_no_track():
    assert _seen(lambda i: [], 30).tracks == ()
