"""What counts as a true and a false pair, and what chance gets."""

import jax.numpy as jnp
import numpy as np
import pytest

from talkjax.ops import pairs

ONE_EACH = jnp.tile(jnp.eye(3), (2, 1, 1))


def _alike(b, v, d=8):
    return jnp.ones((b, v, d)) / jnp.sqrt(float(d))


def test_close_moments_are_neither_true_nor_false():
    starts = jnp.array([[0, 1, 10]])
    np.testing.assert_array_equal(
        pairs.false_pairs(starts, starts, min_gap_frames=2)[0], [[0, 0, 1], [0, 0, 1], [1, 1, 0]]
    )
    np.testing.assert_array_equal(pairs.true_pairs(starts, starts)[0], np.eye(3))


def test_mouths_at_some_windows_pair_with_the_sounds_of_all():
    sounds, mouths = jnp.arange(7)[None], jnp.array([[0, 5]])
    np.testing.assert_array_equal(
        pairs.true_pairs(mouths, sounds)[0], np.eye(7)[[0, 5]].astype(np.float32)
    )
    false = pairs.false_pairs(mouths, sounds, min_gap_frames=1)
    np.testing.assert_array_equal(false, 1 - pairs.true_pairs(mouths, sounds))


def test_contrast_is_the_logarithm_of_the_candidates_when_all_are_alike():
    b, w = 3, 4
    true = jnp.tile(jnp.eye(w), (b, 1, 1))
    alike = _alike(b, w)
    loss = pairs.contrast(alike, alike, true=true, false=1.0 - true, temperature=0.07)
    np.testing.assert_allclose(loss, np.log(b * w), rtol=1e-5)
    none = jnp.zeros_like(true)  # only other clips are left, beside the match
    loss = pairs.contrast(alike, alike, true=true, false=none, temperature=0.07)
    np.testing.assert_allclose(loss, np.log(1 + (b - 1) * w), rtol=1e-5)
    within = dict(true=true, false=1.0 - true, temperature=0.07, across_clips=False)
    np.testing.assert_allclose(pairs.contrast(alike, alike, **within), np.log(w), rtol=1e-5)


def test_sounds_without_a_mouth_are_negatives_but_ask_nothing():
    b, v, w = 2, 2, 5
    sounds, mouths = jnp.tile(jnp.arange(w), (b, 1)), jnp.tile(jnp.array([0, 3]), (b, 1))
    true = pairs.true_pairs(mouths, sounds)
    false = pairs.false_pairs(mouths, sounds, min_gap_frames=1)
    loss = pairs.contrast(_alike(b, v), _alike(b, w), true=true, false=false, temperature=1.0)
    # a mouth chooses among all sounds; a sound with a mouth among all mouths
    np.testing.assert_allclose(loss, 0.5 * (np.log(b * w) + np.log(b * v)), rtol=1e-5)


def test_contrast_of_vectors_by_hand():
    """One clip, two windows, cosines 1 on the diagonal and 0 off it, temperature 1."""
    units = jnp.eye(2)[None]
    true = jnp.eye(2)[None]
    loss = pairs.contrast(units, units, true=true, false=1.0 - true, temperature=1.0)
    np.testing.assert_allclose(loss, np.log(1 + np.exp(-1.0)), rtol=1e-6)


def test_cross_entropy_of_a_coin_is_ln_2():
    loss = pairs.balanced_cross_entropy(jnp.full((2, 3, 3), 0.5), ONE_EACH, 1.0 - ONE_EACH)
    np.testing.assert_allclose(loss, np.log(2), rtol=1e-6)


def test_accuracy_counts_pairs_ranked_rightly():
    cosines = jnp.array([[[0.9, 0.2], [0.8, 0.4]]])
    true = jnp.eye(2)[None]
    assert float(pairs.ranked_rightly(cosines, true, 1.0 - true)[0]) == 0.5
    # of the true 1 of 2 is above a half, of the false 1 of 2 below it
    assert float(pairs.right_side_of_half(cosines, true, 1.0 - true)[0]) == 0.5


def test_retrieval_wants_the_own_sound_above_all_others_and_ties_miss():
    true = jnp.eye(3)[None]
    cosines = jnp.array([[[0.9, 0.2, 0.1], [0.3, 0.5, 0.5], [0.6, 0.1, 0.4]]])
    assert float(pairs.retrieval(cosines, true)[0]) == pytest.approx(1 / 3)
    assert float(pairs.retrieval(jnp.ones((1, 3, 3)), true)[0]) == 0.0


def test_spread_is_0_for_one_embedding_and_largest_for_right_angles():
    assert float(pairs.spread(_alike(2, 4))) == pytest.approx(0.0, abs=1e-6)
    assert float(pairs.spread(jnp.eye(4)[None])) == pytest.approx(1 - 1 / 4)
