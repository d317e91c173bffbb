"""SyncNet's loss by a plain loop, what counts as a pair, and that it can learn."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import syncnet_grid
from talkjax import assemble
from talkjax.methods import syncnet
from talkjax.train.files import hashable
from tests.methods.conftest import make_batch

MARGIN = 3.0


@pytest.fixture(scope="module")
def judge():
    """(method, params, model_vars, batch) at smoke size."""
    config = syncnet_grid.get_config("smoke")
    method = syncnet.build(**hashable(config.model))
    batch = make_batch(assemble.element_spec(config))
    params, model_vars = jax.jit(method.init_fn)(jax.random.key(0), batch)
    return method, params, model_vars, batch


def test_loss_is_that_of_the_paper_over_as_many_false_as_true_pairs():
    rng = np.random.default_rng(0)
    lips, sounds = rng.normal(size=(2, 2, 4, 5)).astype(np.float32)
    false = np.array([[[abs(i - j) > 1 for j in range(4)] for i in range(4)]] * 2, np.float32)
    got = syncnet.contrastive_loss(
        syncnet.pair_distances(jnp.asarray(lips), jnp.asarray(sounds)),
        jnp.asarray(false),
        margin=MARGIN,
    )
    for clip in range(2):
        true_costs, false_costs = [], []
        for i in range(4):
            for j in range(4):
                d = np.sqrt(sum((lips[clip, i] - sounds[clip, j]) ** 2))
                if i == j:
                    true_costs.append(d**2)
                elif false[clip, i, j]:
                    false_costs.append(max(MARGIN - d, 0.0) ** 2)
        # 1 / 2N over N pairs, half of them true
        want = (np.mean(true_costs) + np.mean(false_costs)) / 4
        np.testing.assert_allclose(got[clip], want, rtol=1e-5)


def test_pairs_beyond_the_margin_cost_nothing_and_equal_embeddings_have_finite_gradients():
    far = jnp.full((1, 2, 2), 10.0) * (1 - jnp.eye(2))[None]
    false = (1 - jnp.eye(2))[None]
    assert float(syncnet.contrastive_loss(far, false, margin=MARGIN)[0]) == 0.0

    def loss(lips):
        distances = syncnet.pair_distances(lips, lips)
        return syncnet.contrastive_loss(distances, false, margin=MARGIN).sum()

    assert np.isfinite(jax.grad(loss)(jnp.ones((1, 2, 3)))).all()


def test_accuracy_is_the_share_of_false_pairs_that_are_farther_than_the_true_one():
    distances = jnp.array([[[1.0, 2.0, 0.5], [1.0, 1.5, 9.0], [4.0, 4.0, 3.0]]])
    false = (1 - jnp.eye(3))[None]
    found = syncnet._measures(distances, false)
    assert float(found["accuracy"][0]) == pytest.approx(4 / 6)  # 0.5 < 1 and 1 < 1.5 are wrong
    assert float(found["distance_true"][0]) == pytest.approx((1 + 1.5 + 3) / 3)
    assert float(found["distance_false"][0]) == pytest.approx((2 + 0.5 + 1 + 9 + 4 + 4) / 6)


def test_a_coin_is_called_a_coin():
    (warning,) = syncnet.alerts({"fit/accuracy": 0.51}).values()
    assert "51.0%" in warning and "margin" in warning
    (warning,) = syncnet.alerts({"eval/val/accuracy": 0.5}).values()
    assert "by heart" in warning
    assert list(syncnet.alerts({"fit/accuracy": 0.9}).values()) == [None]


def test_the_net_sees_bgr_from_0_to_255(judge):
    method, params, model_vars, batch = judge
    config = syncnet_grid.get_config("smoke")
    key = jax.random.key(0)
    got = method.predict_fn(params, model_vars, batch, key)["lip_embedding"]
    net = syncnet.SyncNet(**hashable(config.model)["syncnet"])
    frames = batch["frames_u8"].reshape(-1, *batch["frames_u8"].shape[2:])[..., ::-1]
    want = net.apply(
        {"params": params["syncnet"], **model_vars["syncnet"]},
        frames.astype(jnp.float32),
        train=False,
        method="embed_lips",
    )
    np.testing.assert_allclose(got.reshape(want.shape), want, rtol=1e-4, atol=1e-4)


def test_another_side_than_the_data_s_is_refused(judge):
    method = judge[0]
    spec = {
        "frames_u8": jax.ShapeDtypeStruct((1, 2, 5, 96, 96, 3), np.uint8),
        "mfcc": jax.ShapeDtypeStruct((1, 2, 13, 20), np.float32),
    }
    with pytest.raises(ValueError, match=r"got 64, data\.image_size is 96"):
        jax.eval_shape(method.init_fn, jax.random.key(0), spec)


@pytest.mark.slow
def test_learns_a_batch_by_heart(judge):
    method, params, model_vars, batch = judge
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

    for _ in range(100):
        params, model_vars, state, accuracy = step(params, model_vars, state)
    assert accuracy > 0.95  # chance is 0.5
