import jax.numpy as jnp
import numpy as np
import pytest
import train_toys as toys

from talkjax.errors import UserError
from talkjax.train.optim import make_optimizer, make_optimizers, make_schedule

ADAM = toys.SGD | {"name": "adam", "learning_rate": 1.0}


def rates(schedule, steps, **settings):
    settings = {"warmup_steps": 0, "decay_steps": 0, "end_factor": 0.0} | settings
    function = make_schedule(schedule, learning_rate=2.0, **settings)
    return [float(function(jnp.int32(step))) for step in steps]


def test_schedules_by_hand():
    assert rates("constant", [0, 99]) == [2.0, 2.0]
    assert rates("warmup", [0, 5, 10, 50], warmup_steps=10) == pytest.approx([0.0, 1.0, 2.0, 2.0])
    cosine = rates("cosine", [0, 50, 100, 200], decay_steps=100, end_factor=0.1)
    assert cosine == pytest.approx([2.0, 1.1, 0.2, 0.2], rel=1e-5)
    warm = rates("cosine", [0, 5, 10, 55, 100], warmup_steps=10, decay_steps=100)
    assert warm == pytest.approx([0.0, 1.0, 2.0, 1.0, 0.0], abs=1e-5)


def test_first_adam_step_is_the_learning_rate():
    optimizer = make_optimizer(**ADAM | {"learning_rate": 0.01, "b1": 0.5, "b2": 0.9})
    params = jnp.array([1.0, -2.0])
    updates, _ = optimizer.update(jnp.array([3.0, -0.5]), optimizer.init(params), params)
    np.testing.assert_allclose(updates, [-0.01, 0.01], rtol=1e-4)


def test_adamw_decays_weights():
    optimizer = make_optimizer(
        **ADAM | {"name": "adamw", "learning_rate": 0.1, "weight_decay": 0.5}
    )
    params = jnp.array([2.0])
    updates, _ = optimizer.update(jnp.array([0.0]), optimizer.init(params), params)
    np.testing.assert_allclose(updates, [-0.1 * 0.5 * 2.0], rtol=1e-5)


def test_clip_norm_scales_the_whole_net():
    optimizer = make_optimizer(**toys.SGD | {"learning_rate": 1.0, "clip_norm": 1.0})
    params = {"a": jnp.array([0.0]), "b": jnp.array([0.0])}
    grads = {"a": jnp.array([3.0]), "b": jnp.array([4.0])}
    updates, _ = optimizer.update(grads, optimizer.init(params), params)
    assert float(updates["a"][0]) == pytest.approx(-0.6)
    assert float(updates["b"][0]) == pytest.approx(-0.8)


@pytest.mark.parametrize(
    ("block", "named"),
    [
        ({"beta1": 0.5}, "beta1"),
        ({"name": "adan"}, "adan"),
        ({"schedule": "linear"}, "linear"),
        ({"warmup_steps": 5}, "warmup_steps"),
        ({"weight_decay": 0.1}, "weight_decay"),
        ({"schedule": "cosine"}, "decay_steps"),
    ],
)
def test_wrong_blocks_are_refused_by_name(block, named):
    with pytest.raises(UserError, match=rf"config\.optim\.gen.*{named}"):
        make_optimizers({"gen": ADAM | block})


@pytest.mark.parametrize("key", ADAM)
def test_no_setting_has_a_value_that_the_config_does_not_say(key):
    block = {name: value for name, value in ADAM.items() if name != key}
    with pytest.raises(UserError, match=rf"missing keys \['{key}'\]"):
        make_optimizers({"gen": block})
