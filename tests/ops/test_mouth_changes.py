"""Changes of mouth clips: none at strength 0, and each one what its name says."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from talkjax.ops import mouth_changes
from talkjax.ops.mouth_changes import Strength

NONE = Strength(
    shift=0.0,
    scale=0.0,
    blur_px=1.0,
    gamma=0.0,
    colour=0.0,
    speed=0.0,
    time_masks=0,
    time_mask_frames=0,
    boundary_frames=0.0,
)
KEYS = [jax.random.key(seed) for seed in range(5)]


@pytest.fixture(scope="module")
def mouths():
    """Smooth pictures (b t h w 3) that drift, in the border's size for crops of 96 px."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(30, 220, size=(2, 6, 6, 6, 3))
    fine = jax.image.resize(jnp.asarray(coarse), (2, 6, 48, 54, 3), "cubic")
    return jnp.clip(fine, 0, 255).astype(jnp.uint8)


def strength(**changes):
    return dataclasses.replace(NONE, **changes)


def test_without_strength_nothing_changes(mouths):
    plain = mouth_changes.plain_mouths(mouths)
    assert plain.shape == (2, 6, 36, 48)
    np.testing.assert_allclose(
        mouth_changes.changed_mouths(KEYS[0], mouths, NONE), plain, atol=1e-4
    )
    spans = jnp.array([[[1.0, 3.0]], [[0.0, 6.0]]])
    shown, moved = mouth_changes.changed_pace(KEYS[0], spans, frames=6, strength=NONE)
    np.testing.assert_array_equal(shown, np.tile(np.arange(6), (2, 1)))
    np.testing.assert_allclose(moved, spans, atol=1e-6)
    np.testing.assert_allclose(
        mouth_changes.changed_boundaries(KEYS[0], spans, NONE), spans, atol=1e-6
    )
    assert bool(mouth_changes.seen_frames(KEYS[0], 2, frames=6, strength=NONE).all())


def test_plain_mouths_are_the_middle_in_grey_standardised(mouths):
    grey = np.asarray(mouths[:, :, 6:42, 3:51]) @ np.array([0.299, 0.587, 0.114])
    want = (grey - grey.mean((1, 2, 3), keepdims=True)) / grey.std((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(mouth_changes.plain_mouths(mouths), want, atol=2e-3)


def test_a_shift_by_whole_pixels_is_another_cut():
    """Of a pixel's width: the rows' matrix picks single pixels then."""
    ones = jnp.ones(1)
    rows = mouth_changes._resampling(36, 48, shift=jnp.array([4 / 36]), scale=ones, radius_px=ones)
    np.testing.assert_allclose(rows[0], np.eye(48)[10:46], atol=1e-4)
    far = mouth_changes._resampling(36, 48, shift=jnp.array([1.0]), scale=ones, radius_px=ones)
    np.testing.assert_allclose(far[0, -1], np.eye(48)[47], atol=1e-6)  # not beyond the picture


def test_blur_and_scale_keep_light():
    rows = mouth_changes._resampling(
        36, 48, shift=jnp.zeros(3), scale=jnp.array([0.8, 1.0, 1.2]), radius_px=jnp.full(3, 2.5)
    )
    np.testing.assert_allclose(jnp.sum(rows, axis=-1), 1.0, rtol=1e-5)
    middles = rows @ jnp.arange(48.0)
    span = middles[:, -1] - middles[:, 0]
    np.testing.assert_allclose(span, 35 * np.array([0.8, 1.0, 1.2]), rtol=0.02)


@pytest.mark.parametrize("name", ["shift", "scale", "blur_px", "gamma", "colour"])
def test_each_strength_changes_clips_each_in_its_own_way_and_all_frames_alike(mouths, name):
    still = jnp.repeat(mouths[:1, :1], 6, axis=1)
    same = jnp.concatenate([still, still])
    some = strength(**{name: 3.0 if name == "blur_px" else 0.1})
    made = mouth_changes.changed_mouths(KEYS[0], same, some)
    assert float(jnp.max(jnp.abs(made - made[:, :1]))) < 1e-5
    assert float(jnp.max(jnp.abs(made[0] - made[1]))) > 1e-3
    plain = mouth_changes.plain_mouths(same)
    assert float(jnp.max(jnp.abs(made - plain))) > 1e-3


def test_at_another_pace_words_stay_on_their_frames():
    """The frame in the middle of each word is still the one that was there."""
    spans = jnp.array([[[10.0, 14.0], [30.0, 38.0]]])
    for key in KEYS:
        shown, moved = mouth_changes.changed_pace(
            key, spans, frames=60, strength=strength(speed=0.3)
        )
        middles = jnp.mean(moved[0], axis=-1)
        frames = np.interp(np.asarray(middles), np.arange(60) + 0.5, np.asarray(shown[0]) + 0.5)
        np.testing.assert_allclose(frames, [12.0, 34.0], atol=0.8)
        stretched = (moved[0, :, 1] - moved[0, :, 0]) / jnp.array([4.0, 8.0])
        assert float(jnp.ptp(stretched)) < 1e-5
        assert 0.74 < float(stretched[0]) < 1.36


def test_words_keep_half_their_length():
    spans = jnp.tile(jnp.array([[[10.0, 11.0], [20.0, 40.0]]]), (500, 1, 1))
    moved = mouth_changes.changed_boundaries(KEYS[0], spans, strength(boundary_frames=2.0))
    lengths = moved[..., 1] - moved[..., 0]
    assert float(jnp.min(lengths[:, 0])) >= 0.5 - 1e-5
    assert float(jnp.min(lengths[:, 1])) < 16.5
    assert float(jnp.max(jnp.abs(moved - spans))) <= 2.0


def test_masks_are_stretches_of_bounded_length():
    seen = mouth_changes.seen_frames(
        KEYS[0], 400, frames=50, strength=strength(time_masks=1, time_mask_frames=6)
    )
    hidden = np.asarray(~seen).sum(axis=1)
    assert hidden.max() == 6 and hidden.min() == 0
    assert 2.5 < hidden.mean() < 3.5
    changes = np.abs(np.diff(np.asarray(seen).astype(int), axis=1)).sum(axis=1)
    assert changes.max() == 2
