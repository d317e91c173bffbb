"""Views change light and framing, all frames of a clip alike, and nothing else."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from talkjax.ops import augment
from talkjax.ops.augment import Jitter

NONE = Jitter(brightness=0.0, contrast=0.0, colour=0.0, scale=0.0, shift=0.0, blur_px=0.0)
ALL = Jitter(brightness=0.1, contrast=0.2, colour=0.2, scale=0.05, shift=0.05, blur_px=0.7)
WHOLE, LOWER = (0, 32, 0, 32), (16, 32, 0, 32)


def _clips(b=2, t=3):
    """A blob that moves from frame to frame, on grey."""
    y, x = np.mgrid[:32, :32]
    blobs = [np.exp(-((y - 16.0) ** 2 + (x - 12.0 - 2 * i) ** 2) / 18) for i in range(t)]
    clip = 0.3 + 0.4 * np.stack(blobs)[..., None] * np.array([1.0, 0.8, 0.6])
    return jnp.asarray(np.tile(clip, (b, 1, 1, 1, 1)), jnp.float32)


def _view(jitter, *, seed=0, region=WHOLE, clips=None):
    clips = _clips() if clips is None else clips
    return np.asarray(augment.view(clips, jax.random.key(seed), jitter=jitter, region_px=region))


def _centres(view):
    """(b, t, 2) rows and columns of the blobs' centres."""
    weight = view[..., 0] - view[..., 0].min(axis=(2, 3), keepdims=True)
    weight = weight**4
    total = weight.sum(axis=(2, 3))
    rows = (weight.sum(axis=3) * np.arange(view.shape[2])).sum(axis=2) / total
    columns = (weight.sum(axis=2) * np.arange(view.shape[3])).sum(axis=2) / total
    return np.stack([rows, columns], axis=-1)


def test_no_jitter_is_the_region_itself():
    np.testing.assert_array_equal(_view(NONE, region=LOWER), _clips()[:, :, 16:32])


def test_a_view_is_drawn_by_its_key_and_by_clip():
    first, again, other = _view(ALL), _view(ALL), _view(ALL, seed=1)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 0.01
    assert np.abs(first[0] - first[1]).mean() > 0.01  # the same clip twice in the batch


def test_all_frames_of_a_clip_are_changed_alike():
    still = jnp.repeat(_clips(t=1), 3, axis=1)
    seen = _view(ALL, clips=still)
    np.testing.assert_allclose(seen[:, 1:], seen[:, :-1], atol=1e-6)
    # and what moves keeps moving: 2 px a frame, up to the scale
    steps = np.diff(_centres(_view(dataclasses.replace(ALL, brightness=0.0))), axis=1)
    np.testing.assert_allclose(steps[..., 1], 2.0, atol=0.2)
    np.testing.assert_allclose(steps[..., 0], 0.0, atol=0.05)


def test_shifts_reach_their_bound_and_no_further():
    shift = dataclasses.replace(NONE, shift=0.05)  # of 32 px: 1.6
    moved = _centres(_view(shift, clips=_clips(b=64))) - _centres(np.asarray(_clips(b=64)))
    assert 1.2 < np.abs(moved).max() < 1.6 + 0.05


def test_colours_stay_in_range_and_change_the_mean():
    bright = dataclasses.replace(NONE, brightness=0.2)
    seen = _view(bright, clips=_clips(b=64))
    assert seen.min() >= 0.0 and seen.max() <= 1.0
    change = (seen - _clips(b=64)).mean(axis=(1, 2, 3, 4))
    assert change.min() < -0.1 and change.max() > 0.1


def test_blur_flattens_without_changing_the_mean():
    checker = np.indices((32, 32)).sum(axis=0) % 2
    checker = jnp.tile(jnp.asarray(checker)[None, None, ..., None], (8, 1, 1, 1, 3))
    seen = _view(dataclasses.replace(NONE, blur_px=1.0), clips=checker.astype(jnp.float32))
    inside = seen[:, :, 4:-4, 4:-4]
    assert (inside.std(axis=(1, 2, 3, 4)) < 0.5).all()
    np.testing.assert_allclose(inside.mean(), 0.5, atol=0.01)


@pytest.mark.parametrize("region", [LOWER, (10, 20, 4, 28)])
def test_a_moved_region_shows_what_lies_beside_it(region):
    """No padding: a shift brings in pixels of the crop around the region."""
    rows = jnp.broadcast_to(jnp.arange(32.0)[:, None, None] / 64, (64, 1, 32, 32, 3))
    seen = _view(dataclasses.replace(NONE, shift=0.05), region=region, clips=rows)
    steps = np.diff(seen[:, 0, :, 0, 0], axis=1)
    top, bottom = region[:2]
    if bottom < 31:
        np.testing.assert_allclose(steps, 1 / 64, atol=1e-5)
    else:  # below the crop its edge goes on
        np.testing.assert_allclose(steps[:, : bottom - top - 4], 1 / 64, atol=1e-5)


def test_a_flip_mirrors_the_whole_crop_of_about_so_many_clips():
    """Left for right before the region is cut, all frames of a clip alike."""
    clips = jnp.asarray(np.random.default_rng(0).random((64, 2, 32, 32, 3)), jnp.float32)
    half, region = dataclasses.replace(NONE, flip=0.5), (10, 20, 4, 20)
    seen = _view(half, region=region, clips=clips)
    as_is = np.asarray(clips)[:, :, 10:20, 4:20]
    mirrored = np.asarray(clips)[:, :, 10:20, ::-1][:, :, :, 4:20]
    flips = [np.array_equal(one, other) for one, other in zip(seen, mirrored, strict=True)]
    stays = [np.array_equal(one, other) for one, other in zip(seen, as_is, strict=True)]
    assert sum(flips) + sum(stays) == 64 and 16 < sum(flips) < 48
    always = _view(dataclasses.replace(NONE, flip=1.0), region=region, clips=clips)
    np.testing.assert_array_equal(always, mirrored)


def test_a_flip_leaves_the_other_draws_as_they_were():
    """So that a run without it is the run that it was."""
    unflipped = [dataclasses.replace(ALL, flip=flip) for flip in (0.0, 1e-9)]
    np.testing.assert_array_equal(_view(unflipped[0]), _view(unflipped[1]))
    # settings of runs from before it was one
    assert ALL.flip == 0.0 and not NONE.changes and dataclasses.replace(NONE, flip=0.5).changes


@pytest.mark.parametrize("flip", [-0.1, 1.5])
def test_a_flip_is_a_probability(flip):
    with pytest.raises(ValueError, match=r"model\.jitter\.flip"):
        dataclasses.replace(NONE, flip=flip)
