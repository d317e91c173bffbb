"""MFCC: how many steps there are, what silence and loudness do, and windows without the rest."""

import numpy as np
import pytest

from talkjax.ops import mfcc as mfcc_ops
from talkjax.ops.mfcc import mfcc, mfcc_windows, num_steps


def _noise(samples, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=samples) * 2000).astype(np.int16)


@pytest.mark.parametrize(
    ("samples", "steps"), [(1, 1), (400, 1), (401, 2), (560, 2), (561, 3), (16_000, 99)]
)
def test_a_step_every_10_ms_as_far_as_there_is_sound(samples, steps):
    assert num_steps(samples) == steps
    assert mfcc(_noise(samples)).shape == (steps, 13)


@pytest.mark.parametrize("frames", [6, 75])
def test_a_clip_has_the_steps_of_every_window_of_the_protocol(frames):
    last_window = frames - 6
    assert num_steps(frames * 640) >= 4 * last_window + 20


def test_a_step_by_the_definition():
    """One step of a plain loop: pre-emphasis, power, triangles, logarithm, cosines, lifter."""
    samples = _noise(400).astype(float)
    emphasised = [samples[0], *(samples[i] - 0.97 * samples[i - 1] for i in range(1, 400))]
    padded = np.concatenate([emphasised, np.zeros(112)])
    angles = -2j * np.pi * np.outer(np.arange(257), np.arange(512)) / 512
    power = np.abs(np.exp(angles) @ padded) ** 2 / 512
    top_mel = 2595 * np.log10(1 + 8000 / 700)
    corners = [
        int(513 * 700 * (10 ** (top_mel * i / 27 / 2595) - 1) / 16_000 // 1) for i in range(28)
    ]
    logs = []
    for low, middle, high in zip(corners, corners[1:], corners[2:], strict=False):
        total = sum((b - low) / (middle - low) * power[b] for b in range(low, middle))
        total += sum((high - b) / (high - middle) * power[b] for b in range(middle, high))
        logs.append(np.log(total))
    want = [np.log(power.sum())]
    for k in range(1, 13):
        waves = [np.cos(np.pi * k * (2 * n + 1) / 52) for n in range(26)]
        cepstrum = np.sqrt(2 / 26) * np.dot(logs, waves)
        want.append(cepstrum * (1 + 11 * np.sin(np.pi * k / 22)))
    np.testing.assert_allclose(mfcc(_noise(400))[0], want, atol=1e-4)


def test_twice_as_loud_is_four_times_the_energy_and_the_same_shape():
    quiet = _noise(4000)
    soft, loud = mfcc(quiet), mfcc((2 * quiet).astype(np.int16))
    np.testing.assert_allclose(loud[:, 0] - soft[:, 0], np.log(4), atol=1e-5)
    np.testing.assert_allclose(loud[:, 1:], soft[:, 1:], atol=1e-4)


def test_digital_silence_is_finite():
    features = mfcc(np.zeros(4000, np.int16))
    assert np.isfinite(features).all()
    np.testing.assert_allclose(features[:, 0], np.log(np.finfo(float).eps), rtol=1e-6)


def test_windows_are_those_of_the_whole_sound(monkeypatch):
    audio = _noise(20 * 640)
    first_steps = np.array([0, 4, 33, 56, 59])
    whole = mfcc(audio)
    assert num_steps(len(audio)) == 79  # the last window ends with the sound
    windows = mfcc_windows(audio, first_steps, steps=20)
    for window, first in zip(windows, first_steps, strict=True):
        np.testing.assert_array_equal(window, whole[first : first + 20].T)
    monkeypatch.setattr(mfcc_ops, "BLOCK_STEPS", 7)
    np.testing.assert_array_equal(mfcc(audio), whole)


@pytest.mark.parametrize("first", [-1, 60])
def test_a_window_beyond_the_sound_is_refused(first):
    with pytest.raises(ValueError, match=r"want 0 to 59 in sound of 79 steps"):
        mfcc_windows(_noise(20 * 640), np.array([0, first]), steps=20)


def test_no_sound_is_refused():
    with pytest.raises(ValueError, match="got no samples"):
        mfcc(np.zeros(0, np.int16))
