import numpy as np
import pytest

from talkjax.ops import geometry


def five_points(middle, distance, angle=0.0):
    """Landmarks of a face whose eye corners lie 0.15 eye distances beside the eye centres."""
    along = np.array([np.cos(angle), np.sin(angle)])
    down = np.array([-np.sin(angle), np.cos(angle)])
    offsets = [0.65, 0.35, -0.65, -0.35]
    points = [np.asarray(middle) + distance * offset * along for offset in offsets]
    return np.stack([*points, np.asarray(middle) + 0.77 * distance * down]).astype(np.float32)


def track_of(middles, distance=60.0, angle=0.1):
    return np.stack([five_points(middle, distance, angle) for middle in middles])


@pytest.mark.parametrize("size_px", [64, 96, 256])
def test_eyes_land_on_the_contracted_fractions_of_the_crop(size_px):
    landmarks = five_points((200.0, 120.0), 66.0, angle=0.3)[None]
    to_source = geometry.smooth_crops(landmarks, size_px, 2.5)[0]
    eyes = geometry.eye_centres(landmarks)[0]
    in_crop = geometry.transform_points(geometry.invert(to_source), eyes)
    # Distances from the crop's border, so half a pixel from the first pixel's centre.
    fractions = (in_crop + 0.5) / size_px
    np.testing.assert_allclose(fractions, [[1 / 3, 0.28], [2 / 3, 0.28]], atol=1e-5)


def test_the_nose_does_not_move_the_crop():
    landmarks = five_points((200.0, 120.0), 66.0)[None]
    moved = landmarks.copy()
    moved[:, geometry.NOSE] += 25
    np.testing.assert_array_equal(
        geometry.smooth_crops(landmarks, 96, 2.0), geometry.smooth_crops(moved, 96, 2.0)
    )


def test_smoothing_steadies_a_still_face_with_jittering_landmarks():
    landmarks = track_of([(200.0, 120.0)] * 100)
    landmarks += np.random.default_rng(0).normal(0, 1.0, landmarks.shape).astype(np.float32)
    raw = geometry.smooth_crops(landmarks, 96, 0.0)
    smoothed = geometry.smooth_crops(landmarks, 96, 2.5)
    corner = np.zeros((1, 2), dtype=np.float32)

    def shake(crops):
        path = np.concatenate([geometry.transform_points(crop, corner) for crop in crops])
        return np.linalg.norm(np.diff(path, axis=0), axis=1).mean()

    # White noise through a Gaussian of sigma s: frame-to-frame differences shrink by
    # sqrt(1 / (4 sqrt(pi) s^3)) = 0.095 at s = 2.5.
    assert shake(smoothed) < 0.12 * shake(raw)


def test_constant_velocity_is_not_lagged_not_even_at_the_ends():
    frame = np.arange(60)
    middles = np.stack([100 + 3.0 * frame, 90 - 1.5 * frame], axis=1)
    landmarks = track_of(middles)
    np.testing.assert_allclose(
        geometry.smooth_crops(landmarks, 96, 3.0),
        geometry.smooth_crops(landmarks, 96, 0.0),
        atol=1e-3,
    )


def test_smoothing_has_zero_phase():
    series = np.random.default_rng(1).normal(size=(40, 2))
    forwards = geometry.smooth(series, sigma_frames=2.0)
    backwards = geometry.smooth(series[::-1], sigma_frames=2.0)[::-1]
    np.testing.assert_allclose(forwards, backwards, atol=1e-9)


def test_smoothing_is_a_gaussian_mean_inside():
    impulse = np.zeros((61, 1))
    impulse[30] = 1
    offset = np.arange(-20, 21)
    want = np.exp(-0.5 * (offset / 2.0) ** 2)
    got = geometry.smooth(impulse, sigma_frames=2.0)[10:51, 0]
    np.testing.assert_allclose(got, want / want.sum(), atol=1e-4)


@pytest.mark.parametrize("num_frames", [1, 2, 3, 4])
def test_very_short_clips_have_finite_crops(num_frames):
    landmarks = track_of([(200.0 + i, 120.0) for i in range(num_frames)])
    crops = geometry.smooth_crops(landmarks, 96, 2.5)
    assert crops.shape == (num_frames, 2, 3)
    assert np.isfinite(crops).all()


def test_a_roll_through_the_half_turn_is_smoothed_the_short_way():
    landmarks = np.stack([five_points((200, 120), 60, a) for a in np.linspace(3.0, 3.3, 9)])
    crops = geometry.smooth_crops(landmarks, 96, 2.0)
    angles = np.unwrap(np.arctan2(crops[:, 1, 0], crops[:, 0, 0]))
    np.testing.assert_allclose(angles, np.linspace(3.0, 3.3, 9), atol=1e-4)


def test_frames_without_a_face_have_no_crop_and_do_not_bleed_into_others():
    landmarks = track_of([(100.0, 100.0)] * 10 + [(300.0, 100.0)] * 10)
    landmarks[10] = np.nan
    crops = geometry.smooth_crops(landmarks, 96, 3.0)
    assert np.isnan(crops[10]).all()
    np.testing.assert_allclose(crops[:10], np.broadcast_to(crops[0], (10, 2, 3)), atol=1e-3)
    np.testing.assert_allclose(crops[11:], np.broadcast_to(crops[11], (9, 2, 3)), atol=1e-3)


def test_short_gaps_are_interpolated_ends_held_and_long_gaps_left_open():
    values = np.arange(20, dtype=np.float32)[:, None] * 2
    found = np.ones(20, dtype=bool)
    found[[0, 1, 5, 6, 10, 11, 12, 13, 19]] = False
    filled = geometry.fill_gaps(values, found, max_gap_frames=3)[:, 0]
    np.testing.assert_allclose(filled[:2], 4)
    np.testing.assert_allclose(filled[5:7], [10, 12])
    assert np.isnan(filled[10:14]).all()
    assert filled[19] == 36


def test_nothing_found_stays_nothing():
    filled = geometry.fill_gaps(np.ones((3, 2)), np.zeros(3, dtype=bool), max_gap_frames=5)
    assert np.isnan(filled).all()


def test_rescaled_crops_cover_the_same_part_of_the_source():
    crops = geometry.smooth_crops(five_points((200.0, 120.0), 66.0, 0.2)[None], 96, 0.0)
    np.testing.assert_allclose(
        geometry.rescale_crops(crops, from_px=96, to_px=160),
        geometry.smooth_crops(five_points((200.0, 120.0), 66.0, 0.2)[None], 160, 0.0),
        rtol=1e-4,
        atol=1e-3,
    )


def test_lip_measures_follow_hand_drawn_points():
    points = np.zeros((2, 68, 2))
    points[:, 36:42] = [10, 20]
    points[:, 42:48] = [50, 20]
    points[0, 62], points[0, 66] = (30, 50), (30, 60)
    points[:, 48], points[:, 54] = (18, 52), (42, 52)
    np.testing.assert_allclose(geometry.lip_opening(points), [0.25, 0.0])
    np.testing.assert_allclose(geometry.mouth_width(points), [0.6, 0.6])
    np.testing.assert_allclose(geometry.lip_opening(points[0]), 0.25)
    # A turned and enlarged face has the same lips.
    turn = np.array([[0.0, -3.0, 7.0], [3.0, 0.0, -2.0]])
    turned = geometry.transform_points(turn, points)
    np.testing.assert_allclose(geometry.lip_opening(turned), [0.25, 0.0])


def test_runs_of_true():
    flags = np.array([True, False, True, True, False, True])
    assert list(geometry.true_runs(flags)) == [(0, 1), (2, 4), (5, 6)]


def test_a_negative_sigma_is_refused():
    with pytest.raises(ValueError, match="sigma_frames: got -1"):
        geometry.smooth(np.zeros((5, 1)), sigma_frames=-1.0)
