"""Loudness and pitch of sounds whose loudness and pitch are known."""

import numpy as np
import pytest

from data_prep.synthetic.prosody import energy, pitch

RATE_HZ = 16_000


def _buzz(frequency_hz, seconds=0.8):
    """Ten harmonics, falling like a voice's."""
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    harmonics = [np.sin(2 * np.pi * k * frequency_hz * time_s) / k for k in range(1, 11)]
    return (0.2 * np.sum(harmonics, axis=0)).astype(np.float32)


@pytest.mark.parametrize("frequency_hz", [75.0, 120.0, 210.0, 380.0])
def test_pitch_of_a_buzz_is_its_frequency(frequency_hz):
    found = pitch(_buzz(frequency_hz))[2:-2]
    np.testing.assert_allclose(found, frequency_hz, rtol=0.03)


def test_noise_and_silence_have_no_pitch():
    noise = np.random.default_rng(0).standard_normal(RATE_HZ * 2).astype(np.float32)
    assert np.mean(pitch(noise) > 0) < 0.05
    half_silent = np.concatenate([_buzz(150.0), np.zeros(8 * 640, np.float32)])
    np.testing.assert_array_equal(pitch(half_silent)[-6:], 0.0)
    assert (pitch(half_silent)[1:18] > 0).all()


def test_energy_is_linear_in_decibels():
    sound = np.repeat([1.0, 0.1, 0.01, 0.001, 0.0], 640)  # 0, -20, -40, -60 dB, nothing
    np.testing.assert_allclose(energy(sound), [1.0, 0.5, 0.0, 0.0, 0.0], atol=1e-6)


def test_energy_does_not_depend_on_the_level():
    sound = _buzz(100.0) * np.repeat(np.random.default_rng(1).uniform(0.1, 1, 20), 640)
    np.testing.assert_allclose(energy(sound), energy(0.05 * sound), atol=1e-5)
