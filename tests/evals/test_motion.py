import numpy as np
import pytest

from talkjax.evals import motion


def _audio(loud_frames, level=10000):
    """int16 noise where a frame is loud, near silence elsewhere."""
    rng = np.random.default_rng(0)
    gain = np.repeat(np.where(loud_frames, level, 3), 640)
    return np.round(gain * rng.uniform(-1, 1, size=len(gain))).astype(np.int16)


@pytest.mark.parametrize(("hz", "want_dbfs"), [(4000, -0.13), (100, -29.2)])
def test_level_of_a_full_scale_sine_is_minus_three_db_and_the_pre_emphasis(hz, want_dbfs):
    # |1 - 0.97 exp(-iw)|^2 is 1.9409 at a quarter of the rate and 0.0024 at 100 Hz
    audio = np.round(32767 * np.sin(2 * np.pi * hz * np.arange(1280) / 16000)).astype(np.int16)
    np.testing.assert_allclose(motion.frame_level_dbfs(audio), want_dbfs, atol=0.05)


def test_long_pauses_count_without_their_margins_and_short_ones_do_not():
    loud = np.ones(80, bool)
    loud[:14] = False  # at the start: reaches the start, loses ten frames before speech
    loud[20:25] = False  # five frames: too short
    loud[30:40] = False  # nothing is left between its margins
    loud[45:65] = False
    loud[72:] = False  # at the end: loses four frames after speech
    silent = motion.silent_frames(motion.frame_level_dbfs(_audio(loud)))
    assert np.flatnonzero(silent).tolist() == [*range(4), *range(49, 55), *range(76, 80)]


def test_steady_sound_has_no_silence_and_digital_silence_is_all_silent():
    assert not motion.silent_frames(motion.frame_level_dbfs(_audio(np.ones(30, bool)))).any()
    assert motion.silent_frames(motion.frame_level_dbfs(np.zeros(30 * 640, np.int16))).all()


def test_silence_opening_is_zero_at_rest_and_one_wide_open():
    true = np.linspace(0.0, 1.0, 101)  # percentiles 5 and 95 are 0.05 and 0.95
    silent = np.zeros(101, bool)
    silent[:10] = True
    for opening, want in ((0.05, 0.0), (0.95, 1.0), (0.5, 0.5)):
        found = motion.silence_opening(np.full(101, opening), silent, true_opening=true)
        assert found == pytest.approx(want)


def test_silence_opening_without_silence_or_motion_has_no_value():
    silent = np.zeros(20, bool)
    lips = np.linspace(0, 1, 20)
    assert motion.silence_opening(lips, silent, true_opening=lips) is None
    assert motion.silence_opening(lips, ~silent, true_opening=np.full(20, 0.3)) is None


def test_a_glide_has_no_jitter_and_a_tremble_has_four_times_its_amplitude():
    steps = np.arange(20.0)
    assert motion.mean_second_difference(2 * steps) == pytest.approx(0.0)
    assert motion.mean_second_difference(2 * steps + 0.5 * (-1.0) ** steps) == pytest.approx(2.0)


def test_jitter_is_relative_to_the_truth():
    rng = np.random.default_rng(1)
    target = rng.normal(size=(30, 20, 2))
    assert motion.jitter_ratio(target, target) == pytest.approx(1.0)
    assert motion.jitter_ratio(3 * target, target) == pytest.approx(3.0)
    assert motion.jitter_ratio(np.zeros((30, 20, 2)), target) == 0.0
    assert motion.jitter_ratio(target, np.zeros((30, 20, 2))) is None


def test_pixel_jitter_sees_flicker():
    frames = np.random.default_rng(2).integers(0, 100, size=(10, 8, 8, 3), dtype=np.uint8)
    assert motion.pixel_jitter_ratio(2 * frames, frames) == pytest.approx(2.0)


def test_jitter_of_two_frames_is_an_error():
    with pytest.raises(ValueError, match="got 2 frames"):
        motion.mean_second_difference(np.zeros(2))
