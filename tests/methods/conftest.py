"""SyncTalkFace and its critic at smoke size, and a batch for each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import sync_critic_grid, synctalkface_grid
from talkjax import assemble
from talkjax.methods import sync_critic, synctalkface
from talkjax.train.files import hashable


def make_batch(spec, *, seed=0):
    """Noise in the shapes of an element spec."""
    rng = np.random.default_rng(seed)
    made = {}
    for name, one in spec.items():
        if one.dtype == np.uint8:
            made[name] = rng.integers(0, 256, one.shape, dtype=np.uint8)
        elif one.dtype == np.int32:  # start frames: all moments far from each other
            made[name] = np.tile(np.arange(one.shape[1], dtype=np.int32) * 10, (one.shape[0], 1))
        else:
            made[name] = rng.normal(size=one.shape).astype(np.float32)
    return {name: jnp.asarray(array) for name, array in made.items()}


@pytest.fixture(scope="session")
def talking():
    """(method, settings, params, model_vars, batch); the frozen critic among the params."""
    config = synctalkface_grid.get_config("smoke")
    model = hashable(config.model)
    method = synctalkface.build(**model)
    spec = {
        name: jax.ShapeDtypeStruct((2, *one.shape[1:]), one.dtype)
        for name, one in assemble.element_spec(config).items()
    }
    batch = make_batch(spec)
    params, model_vars = jax.jit(method.init_fn)(jax.random.key(0), batch)
    expert = synctalkface.init_experts(jax.random.key(1), batch, **model)["sync"]
    params = dict(params, sync=expert["params"])
    return method, model, params, dict(model_vars, sync=expert["vars"]), batch


@pytest.fixture(scope="session")
def critic():
    """(method, params, model_vars, batch) of the critic."""
    config = sync_critic_grid.get_config("smoke")
    method = sync_critic.build(**hashable(config.model))
    batch = make_batch(assemble.element_spec(config))
    params, model_vars = jax.jit(method.init_fn)(jax.random.key(0), batch)
    return method, params, model_vars, batch
