"""The losses count words, a reader hears nothing, and it learns to read toys."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import lip_reader_grid
from talkjax import assemble
from talkjax.methods import lip_reader
from talkjax.train.files import hashable

KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def reader():
    """(method, params, model_vars, batch) at smoke size, on toys."""
    config = lip_reader_grid.get_config("smoke")
    config.data.path = "fake://8x40?size=32"
    method = lip_reader.build(**hashable(config.model))
    batch = next(assemble.make_data(config, split="train", seed=0))
    batch = {name: jnp.asarray(array) for name, array in batch.items()}
    params, model_vars = jax.jit(method.init_fn)(jax.random.key(0), batch)
    return method, params, model_vars, batch


def test_means_are_over_words_not_over_clips():
    there = jnp.array([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    values = jnp.array([[1.0, 1.0, 1.0], [0.0, 9.0, 9.0], [9.0, 9.0, 9.0]])
    found = lip_reader._per_clip(values, there)
    assert float(jnp.mean(found)) == pytest.approx(3 / 4)
    assert float(found[2]) == 0.0
    nothing = lip_reader._per_clip(values, jnp.zeros_like(there))
    np.testing.assert_array_equal(nothing, 0.0)


def test_a_guess_costs_the_logarithm_of_the_vocabulary():
    config = lip_reader_grid.get_config("smoke")
    system = lip_reader.build(**hashable(config.model)).phases[0].loss_fn.__self__
    target = jax.nn.one_hot(jnp.array([[1, 2]]), 51)
    cost = system._cross_entropy(jnp.zeros((1, 2, 51)), target)
    np.testing.assert_allclose(cost, np.log(51), rtol=1e-5)


def test_mixed_words_keep_the_larger_share_and_take_nothing_from_empty_places():
    config = lip_reader_grid.get_config("smoke")
    system = lip_reader.build(**hashable(config.model)).phases[0].loss_fn.__self__
    one_hot = jnp.eye(6).reshape(2, 3, 6).at[1, 2].set(0.0)
    there = jnp.sum(one_hot, axis=-1)
    words, target = system._mixed(KEY, one_hot * 10.0, one_hot, there)
    np.testing.assert_allclose(words, target * 10.0, rtol=1e-5)
    np.testing.assert_allclose(jnp.sum(target[:1], axis=-1), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(
        jnp.argmax(target, -1)[there > 0], jnp.argmax(one_hot, -1)[there > 0]
    )
    assert float(jnp.min(jnp.max(target, axis=-1)[there > 0])) < 1.0  # some are mixed


def test_a_reader_does_not_hear(reader):
    method, params, model_vars, batch = reader
    mute = {name: batch[name] for name in ("mouth_u8", "word_spans")}
    read = method.predict_fn(params, model_vars, mute, KEY)["word_logits"]
    assert read.shape == (8, 3, 4)
    loud = dict(batch, mel_windows=batch["mel_windows"] + 9.0)
    before = method.scores_fn(params, model_vars, batch, KEY)
    after = method.scores_fn(params, model_vars, loud, KEY)
    np.testing.assert_array_equal(before["cross_entropy"], after["cross_entropy"])
    assert float(jnp.min(after["sound_error"] - before["sound_error"])) > 1.0


def test_data_of_another_size_are_refused(reader):
    method, *_, batch = reader
    larger = dict(batch, mouth_u8=jnp.zeros((8, 24, 32, 36, 3), jnp.uint8))
    with pytest.raises(ValueError, match=r"model\.image_size: got 32, data\.image_size is 64"):
        method.init_fn(KEY, larger)


@pytest.mark.slow
def test_it_learns_to_read_toys(reader):
    """Four words of eight clips, shown as they are: chance is 0.25, the most frequent word gets
    less than 0.6."""
    *_, batch = reader
    config = lip_reader_grid.get_config("smoke")
    config.model.update(mixup=0.0, label_smoothing=0.0)
    config.model.reader.update(dropout=0.0)
    still = dict.fromkeys(config.model.augmentation, 0.0)
    config.model.augmentation.update(still | dict(blur_px=1.0, time_masks=0, time_mask_frames=0))
    method = lip_reader.build(**hashable(config.model))
    params, model_vars = jax.jit(method.init_fn)(jax.random.key(0), batch)
    optimizer = optax.adam(3e-3)

    @jax.jit
    def step(carry, key):
        params, model_vars, state = carry

        def loss(params):
            out = method.phases[0].loss_fn(params, model_vars, batch, key)
            return sum(jnp.mean(term) for term in out.terms.values()), out.model_vars

        grads, model_vars = jax.grad(loss, has_aux=True)(params)
        updates, state = optimizer.update(grads, state)
        return (optax.apply_updates(params, updates), model_vars, state), None

    carry = (params, model_vars, optimizer.init(params))
    carry, _ = jax.jit(lambda c, k: jax.lax.scan(step, c, k))(carry, jax.random.split(KEY, 250))
    scores = method.scores_fn(*carry[:2], batch, KEY)
    common = jnp.max(jnp.sum(batch["word_one_hot"], axis=(0, 1))) / jnp.sum(batch["word_one_hot"])
    assert float(common) < 0.6
    assert float(jnp.mean(scores["accuracy"])) > 0.8
