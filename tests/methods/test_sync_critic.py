"""Three critics of one method: what they are warned of, what they see, that they can learn."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import sync_critic_contrastive_grid, sync_critic_grid
from talkjax import assemble
from talkjax.methods import sync_critic
from talkjax.train.files import hashable
from tests.methods.conftest import make_batch


def make_windows(batch):
    """Windows by themselves, as evaluation gives them, of a batch of consecutive ones."""
    frames, mel = batch["frames_u8"], batch["mel_chunk"]
    w = mel.shape[1]
    places = np.arange(w)[:, None] + np.arange(frames.shape[1] - w + 1)
    return {"frames_u8": frames[:, places], "mel_chunk": mel}


def test_a_coin_is_called_a_coin():
    (warning,) = sync_critic.alerts({"fit/accuracy": 0.51}).values()
    assert "51.0%" in warning and "learning_rate" in warning
    # the gate, before anything else
    gate = warning.index("next run `talkjax train --config CONFIG.py:overfit")
    assert gate < warning.index("talkjax doctor") < warning.index("learning_rate")
    (warning,) = sync_critic.alerts({"eval/val/accuracy": 0.5}).values()
    assert "by heart" in warning
    assert list(sync_critic.alerts({"fit/accuracy": 0.9}).values()) == [None]
    assert sync_critic.alerts({"fit/total": 0.9}) == {}


HEALTHY = {
    "fit/accuracy": 0.9,
    "fit/bce": 0.4,
    "fit/face_spread": 0.3,
    "fit/sound_spread": 0.3,
    "fit/mel_spread": 0.9,
    "fit/temperature": 0.07,
}


@pytest.mark.parametrize(
    ("kind", "wrong", "said"),
    [
        ("flat", {"fit/bce": 0.6935, "fit/accuracy": 0.5}, "flat at ln 2"),
        ("faces alike", {"fit/face_spread": 1e-5}, "all mouths of a clip have the same"),
        ("sounds alike", {"fit/sound_spread": 1e-5}, "all sounds of a clip have the same"),
        ("sound", {"fit/mel_spread": 0.0}, "silent"),
        ("temperature low", {"fit/temperature": 0.01}, "floor"),
        ("temperature high", {"fit/temperature": 1.5}, "ran away to 1.50"),
    ],
)
def test_a_critic_that_is_stuck_is_told_why(kind, wrong, said):
    assert not any(sync_critic.alerts(HEALTHY).values())
    warnings = sync_critic.alerts(HEALTHY | wrong)
    assert said in warnings[kind]
    others = {name for name, text in warnings.items() if text} - {kind}
    assert others <= {"its training clips"}  # a coin is a coin beside its reason
    assert said in sync_critic.causes(HEALTHY | wrong)


def test_a_loss_at_ln_2_is_no_alarm_while_pairs_are_told_apart():
    # InfoNCE with linear ends leaves cosines about 0, whose probability is a half
    assert sync_critic.alerts({"fit/bce": 0.693, "fit/accuracy": 0.95})["flat"] is None


def test_settings_of_an_older_net_are_completed():
    older = dict(face_channels=(4, 8), audio_channels=(4, 8), face_repeats=(0,))
    whole = sync_critic.net_settings(older)
    assert whole["region"] == (0.5, 1.0, 0.0, 1.0) and whole["parts"] == 1
    assert sync_critic.net_settings(whole) == whole
    assert sync_critic.net_settings(older | {"ends": "linear"}) != whole


def test_a_config_from_before_the_new_settings_builds_the_same_net(critic):
    method, params, model_vars, batch = critic
    config = sync_critic_grid.get_config("smoke")
    older = {
        name: config.model[name]
        for name in ("image_size", "channel_order", "min_gap_frames", "temperature", "dtype")
    }
    names = ("face_channels", "face_repeats", "face_last_kernel", "audio_channels", "audio_repeats")
    older["sync"] = {name: config.model.sync[name] for name in names}
    windows = make_windows(batch)
    outs = [
        one.predict_fn(params, model_vars, windows, jax.random.key(0))
        for one in (method, sync_critic.build(**hashable(older)))
    ]
    for name in outs[0]:
        np.testing.assert_array_equal(outs[0][name], outs[1][name])


def test_only_training_jitters_and_only_by_its_key(critic):
    method, params, model_vars, batch = critic
    loss = jax.jit(lambda key: method.phases[0].loss_fn(params, model_vars, batch, key).terms)
    first, again, other = (loss(jax.random.key(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first["contrast"], again["contrast"])
    assert np.abs(first["contrast"] - other["contrast"]).max() > 1e-4
    scores = jax.jit(lambda key: method.scores_fn(params, model_vars, batch, key))
    for name, score in scores(jax.random.key(0)).items():
        np.testing.assert_array_equal(score, scores(jax.random.key(1))[name])


def test_the_temperature_is_learned_where_the_config_says_so():
    """Its gradient is there, and the floor holds it."""
    config = sync_critic_contrastive_grid.get_config("smoke")
    method = sync_critic.build(**hashable(config.model))
    batch = make_batch(assemble.element_spec(config))
    params, model_vars = jax.jit(method.init_fn)(jax.random.key(0), batch)
    assert params["sync"]["log_temperature"] == 0.0

    @jax.jit
    def loss(log_temperature):
        changed = {"sync": params["sync"] | {"log_temperature": log_temperature}}
        out = method.phases[0].loss_fn(changed, model_vars, batch, jax.random.key(0))
        return jnp.mean(out.terms["contrast"]), out.scalars["temperature"]

    (_, temperature), slope = jax.value_and_grad(loss, has_aux=True)(jnp.zeros(()))
    assert float(temperature) == pytest.approx(0.07) and slope != 0.0
    (_, temperature), slope = jax.value_and_grad(loss, has_aux=True)(jnp.float32(-9.0))
    assert float(temperature) == pytest.approx(0.01) and slope == 0.0


def test_embeddings_do_not_depend_on_their_neighbours(critic):
    method, params, model_vars, batch = critic
    batch = make_windows(batch)
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
