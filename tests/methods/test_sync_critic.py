"""What counts as a true and a false pair, and that the critic can learn."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from talkjax.methods import sync_critic


def test_close_moments_are_neither_true_nor_false():
    starts = jnp.array([[0, 1, 10]])
    false = sync_critic._false_pairs(starts, 2)
    np.testing.assert_array_equal(false[0], [[0, 0, 1], [0, 0, 1], [1, 1, 0]])


def test_contrast_is_the_logarithm_of_the_candidates_when_all_are_alike():
    b, w = 3, 4
    alike = jnp.ones((b, w, 8)) / jnp.sqrt(8.0)
    false = jnp.tile(1.0 - jnp.eye(w), (b, 1, 1))
    loss = sync_critic._contrast(alike, alike, false, 0.07)
    np.testing.assert_allclose(loss, np.log(b * w), rtol=1e-5)
    none_false = jnp.zeros((b, w, w))  # only other clips are left, beside the match
    loss = sync_critic._contrast(alike, alike, none_false, 0.07)
    np.testing.assert_allclose(loss, np.log(1 + (b - 1) * w), rtol=1e-5)


def test_cross_entropy_of_a_coin_is_ln_2():
    cosines = jnp.full((2, 3, 3), 0.5)
    false = jnp.tile(1.0 - jnp.eye(3), (2, 1, 1))
    loss = sync_critic._balanced_cross_entropy(cosines, false)
    np.testing.assert_allclose(loss, np.log(2), rtol=1e-6)


def test_accuracy_counts_pairs_ranked_rightly():
    cosines = jnp.array([[[0.9, 0.2], [0.8, 0.4]]])
    false = jnp.array([[[0.0, 1.0], [1.0, 0.0]]])
    ranked, at_half = sync_critic._accuracies(cosines, false)
    assert float(ranked[0]) == 0.5  # 0.9 > 0.2 right, 0.4 > 0.8 wrong
    assert float(at_half[0]) == 0.5  # of the true 1 of 2, of the false 1 of 2


def test_a_coin_is_called_a_coin():
    (warning,) = sync_critic.alerts({"fit/accuracy": 0.51}).values()
    assert "51.0%" in warning and "learning_rate" in warning
    (warning,) = sync_critic.alerts({"eval/val/accuracy": 0.5}).values()
    assert "by heart" in warning
    assert list(sync_critic.alerts({"fit/accuracy": 0.9}).values()) == [None]
    assert sync_critic.alerts({"fit/total": 0.9}) == {}


def test_embeddings_do_not_depend_on_their_neighbours(critic):
    method, params, model_vars, batch = critic
    predict = jax.jit(lambda b: method.predict_fn(params, model_vars, b, jax.random.key(0)))
    order = np.arange(len(batch["mel_chunk"]))[::-1]
    turned = {name: array[order] for name, array in batch.items()}
    np.testing.assert_allclose(
        predict(batch)["face_embedding"][order], predict(turned)["face_embedding"], atol=1e-5
    )


@pytest.mark.slow
def test_learns_a_batch_by_heart(critic):
    method, params, model_vars, batch = critic
    optimizer = optax.adam(3e-3)
    state = optimizer.init(params)

    @jax.jit
    def step(params, model_vars, state):
        def loss(params):
            out = method.phases[0].loss_fn(params, model_vars, batch, jax.random.key(0))
            total = sum(jnp.mean(term) for term in out.terms.values())
            return total, (out.model_vars, out.scalars["accuracy"])

        (_, (new_vars, accuracy)), grads = jax.value_and_grad(loss, has_aux=True)(params)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), new_vars, state, accuracy

    accuracies = []
    for _ in range(80):
        params, model_vars, state, accuracy = step(params, model_vars, state)
        accuracies.append(float(accuracy))
    assert accuracies[-1] > 0.98  # chance is 0.5
