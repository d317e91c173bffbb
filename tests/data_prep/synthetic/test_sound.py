"""A clip's sound: where the speech is in it, how loud, and the noise under it."""

import numpy as np
import pytest

from data_prep.synthetic.sound import placed, recorded


def test_speech_starts_at_its_sample_and_the_clip_is_whole_frames():
    speech = np.ones(1001, np.float32)
    dry = placed(speech, lead_in_s=0.2, tail_s=0.1)
    assert len(dry) % 640 == 0
    assert len(dry) >= 3200 + 1001 + 1600
    assert len(dry) - 640 < 3200 + 1001 + 1600
    np.testing.assert_array_equal(np.flatnonzero(dry), np.arange(3200, 4201))


def test_peak_and_noise_have_their_levels():
    dry = np.zeros(64_000)
    dry[32_000:] = 0.3 * np.sin(np.arange(32_000))
    sound = recorded(dry, np.random.default_rng(0), peak_dbfs=-6.0, noise_dbfs=-50.0) / 32768
    noise_dbfs = 10 * np.log10(np.mean(sound[:32_000] ** 2))
    assert noise_dbfs == pytest.approx(-50.0, abs=0.3)
    assert 20 * np.log10(np.abs(sound).max()) == pytest.approx(-6.0, abs=0.2)


def test_the_same_draws_give_the_same_samples_and_others_do_not():
    dry = np.sin(np.arange(6400.0))

    def make(seed):
        return recorded(dry, np.random.default_rng(seed), peak_dbfs=-3.0, noise_dbfs=-60.0)

    np.testing.assert_array_equal(make(0), make(0))
    assert (make(0) != make(1)).any()
    assert make(0).dtype == np.int16
