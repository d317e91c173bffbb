import numpy as np
import pytest

from talkjax.errors import UserError
from talkjax.evals import landmarks
from tests.evals import eval_toys


def _points(seed=0, frames=4):
    return np.random.default_rng(seed).uniform(0, 128, size=(frames, 68, 2))


def test_lmd_of_a_translation_is_its_length_and_centred_lmd_is_zero():
    target = _points()
    pred = target + np.array([3.0, 4.0])
    np.testing.assert_allclose(landmarks.landmark_distance(pred, target), 5.0)
    np.testing.assert_allclose(landmarks.centred_landmark_distance(pred, target), 0.0, atol=1e-12)


def test_lmd_looks_at_the_mouth_alone():
    target = _points()
    pred = target.copy()
    pred[:, :48] += 50.0
    np.testing.assert_allclose(landmarks.landmark_distance(pred, target), 0.0)


def test_lmd_is_the_mean_of_twenty_points():
    target = _points()
    pred = target.copy()
    pred[:, 66, 1] += 8.0
    np.testing.assert_allclose(landmarks.landmark_distance(pred, target), 8.0 / 20)
    # centred: the mean moves by 0.4, so 19 points are off by 0.4 and one by 7.6
    np.testing.assert_allclose(
        landmarks.centred_landmark_distance(pred, target), (19 * 0.4 + 7.6) / 20
    )


def test_lip_series_is_in_eye_distances_whatever_the_scale():
    points = np.zeros((1, 68, 2))
    points[:, 36:42], points[:, 42:48] = (40.0, 30.0), (80.0, 30.0)
    points[:, 62], points[:, 66] = (60.0, 80.0), (60.0, 90.0)
    points[:, 48], points[:, 54] = (50.0, 85.0), (70.0, 85.0)
    for scale in (1.0, 2.5):
        series = landmarks.lip_series(points * scale)
        assert series.opening == pytest.approx([0.25])
        assert series.width == pytest.approx([0.5])


def test_noise_of_the_eyes_does_not_move_a_still_mouth():
    rng = np.random.default_rng(0)
    points = np.zeros((40, 68, 2))
    points[:, 36:42], points[:, 42:48] = (40.0, 30.0), (80.0, 30.0)
    points[:, 42:48, 0] += rng.normal(size=(40, 1))
    points[:, 48], points[:, 54], points[:, 66] = (50.0, 85.0), (70.0, 85.0), (0.0, 5.0)
    series = landmarks.lip_series(points)
    np.testing.assert_allclose(series.width, series.width[0])
    np.testing.assert_allclose(series.opening, series.opening[0])


def test_correlation_matches_numpy_and_has_its_edges_stated():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=50), rng.normal(size=50)
    assert landmarks.correlation(x, y) == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert landmarks.correlation(np.full(50, 0.3), y) == 0.0
    assert landmarks.correlation(x, np.full(50, 0.3)) is None


@pytest.mark.parametrize("late", [-5, -2, 0, 1, 4])
def test_lag_of_a_shifted_series_is_its_shift_and_late_is_positive(late):
    series = np.random.default_rng(2).normal(size=80)
    target = series[10:60]
    pred = series[10 - late : 60 - late]
    assert landmarks.lag_frames(pred, target) == late


def test_lag_of_a_mouth_that_stands_still_is_unknown():
    target = np.random.default_rng(3).normal(size=40)
    assert landmarks.lag_frames(np.full(40, 0.2), target) is None
    assert landmarks.lag_frames(target[:8], target[:8]) is None


def _count_frames(frames_u8):
    return np.full((len(frames_u8), 68, 2), float(frames_u8[0, 0, 0, 0]))


@pytest.mark.parametrize("workers", [0, 1])
def test_tracker_gives_the_function_s_answer_here_and_in_a_process(workers):
    frames = np.full((3, 8, 8, 3), 9, np.uint8)
    # A function of an installed module, as a spawned process must import it by name.
    function = _count_frames if workers == 0 else np.float64
    with landmarks.tracker(function, workers=workers) as tracker:
        found = tracker.start(frames)()
    want = np.full((3, 68, 2), 9.0) if workers == 0 else frames
    np.testing.assert_array_equal(found, want)


def test_a_process_that_dies_costs_only_the_frames_it_died_of():
    good = eval_toys.clip(0).truth_u8
    bad = np.zeros_like(good)
    with landmarks.tracker(eval_toys.track_or_die, workers=1) as tracker:
        waits = [tracker.start(frames) for frames in (bad, good)]
        with pytest.raises(UserError, match="the process died on these 44 frames"):
            waits[0]()
        np.testing.assert_array_equal(waits[1](), eval_toys.track(good))
        np.testing.assert_array_equal(tracker.start(good)(), eval_toys.track(good))
