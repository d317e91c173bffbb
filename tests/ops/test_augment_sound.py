"""Sounds as another voice might have made them: what changes, and what does not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from talkjax.ops.augment_sound import UNCHANGED, SoundJitter, heard
from talkjax.ops.mel import CLIP, MEL_BINS

KEY = jax.random.key(3)


def jitter(**changes):
    return SoundJitter(**(UNCHANGED | changes))


@pytest.fixture(scope="module")
def mel():
    """(4 clips, 3 windows, 80 bins, 16 frames), well inside [-4, 4]."""
    return jnp.asarray(np.random.default_rng(0).uniform(-2, 2, (4, 3, MEL_BINS, 16)), jnp.float32)


def test_nothing_asked_changes_nothing(mel):
    assert not jitter().changes
    np.testing.assert_array_equal(heard(mel, KEY, jitter=jitter()), mel)


def test_level_is_one_number_for_all_windows_of_a_clip(mel):
    added = heard(mel, KEY, jitter=jitter(level=0.5)) - mel
    each = np.asarray(added).reshape(4, -1)
    np.testing.assert_allclose(each - each[:, :1], 0.0, atol=1e-6)
    assert len(np.unique(np.round(each[:, 0], 4))) == 4
    assert np.abs(each).max() <= 0.5


def test_tilt_turns_the_spectrum_about_its_middle(mel):
    added = np.asarray(heard(mel, KEY, jitter=jitter(tilt=0.4)) - mel)
    np.testing.assert_allclose(added[:, :, 0], -added[:, :, -1], atol=1e-6)
    np.testing.assert_allclose(added.mean(axis=2), 0.0, atol=1e-5)
    assert 0.0 < np.abs(added[:, :, -1]).max() <= 0.4


def test_warp_moves_a_formant_in_proportion_to_its_place_and_keeps_time():
    low, high, frame = 20, 60, 7
    sound = np.zeros((64, 1, MEL_BINS, 16), np.float32)
    sound[:, :, [low, high], frame] = 1.0
    warped = np.asarray(heard(jnp.asarray(sound), KEY, jitter=jitter(warp=0.1)))
    assert not warped[..., [i for i in range(16) if i != frame]].any()
    spectrum = warped[:, 0, :, frame]
    bins = np.arange(MEL_BINS)
    centres = [
        (spectrum[:, half] * bins[half]).sum(axis=1) / spectrum[:, half].sum(axis=1)
        for half in (slice(0, 40), slice(40, 80))
    ]
    moved = [np.asarray(centre) - place for centre, place in zip(centres, (low, high), strict=True)]
    assert 4.0 < np.abs(moved[1]).max() < 7.5  # a tenth of 60, either way
    np.testing.assert_allclose(moved[1], 3.0 * moved[0], atol=1.1)
    assert (moved[1] > 0).any() and (moved[1] < 0).any()


def test_noise_differs_everywhere_and_is_as_loud_as_was_said(mel):
    added = np.asarray(heard(mel, KEY, jitter=jitter(noise=0.15)) - mel)
    sizes = added.std(axis=(1, 2, 3))
    assert (sizes > 0).all() and (sizes < 0.16).all() and np.ptp(sizes) > 0.01


def test_values_stay_in_range_and_keys_decide():
    loud = jnp.full((2, 1, MEL_BINS, 16), CLIP)
    strong = jitter(level=2.0, tilt=2.0, warp=0.2, noise=1.0)
    assert float(jnp.abs(heard(loud, KEY, jitter=strong)).max()) <= CLIP
    one, same, other = (
        heard(loud - 2, key, jitter=strong) for key in (KEY, KEY, jax.random.key(4))
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
