"""Import of SyncNet's state dict: settings read off it, exact keys, one clear line."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from talkjax.errors import UserError
from talkjax.nets.syncnet import SyncNet
from talkjax.weights.syncnet import import_syncnet, settings_from_state
from tests.weights.toy_syncnet import HIDDEN, LIPS, SOUND, WIDTH, syncnet_state


def _load(state):
    net = SyncNet(**settings_from_state(syncnet_state(), where="syncnet.model"))
    inputs = (jnp.zeros((1, 5, 64, 64, 3)), jnp.zeros((1, 13, 20)))
    like = jax.eval_shape(lambda: net.init(jax.random.key(0), *inputs, train=False))
    return import_syncnet(state, like, where="syncnet.model")


def test_settings_are_read_off_the_shapes():
    assert settings_from_state(syncnet_state(), where="x") == {
        "lip_channels": LIPS,
        "lip_last_kernel": 1,
        "sound_channels": SOUND,
        "hidden": HIDDEN,
        "width": WIDTH,
    }


def test_every_array_has_its_place():
    state = syncnet_state()
    imported = _load({f"module.{key}": value for key, value in state.items()})
    net = imported.variables["syncnet"]
    assert all(key.endswith("num_batches_tracked") for key in imported.ignored)
    used = sum(leaf.size for leaf in jax.tree.leaves(net))
    assert used == sum(v.size for k, v in state.items() if not k.endswith("num_batches_tracked"))
    params, stats = net["params"], net["batch_stats"]
    kernel = params["lips"]["block_0"]["conv"]["kernel"]
    # channel c of frame t of the stacked clip
    np.testing.assert_array_equal(
        kernel[1, 2, 3 * 4 + 1], state["netcnnlip.0.weight"][:, 1, 4, 1, 2]
    )
    np.testing.assert_array_equal(
        params["sound"]["block_5"]["conv"]["kernel"][2, 3, 1],
        state["netcnnaud.18.weight"][:, 1, 2, 3],
    )
    np.testing.assert_array_equal(
        stats["lips"]["block_3"]["norm"]["var"], state["netcnnlip.12.running_var"]
    )
    np.testing.assert_array_equal(
        params["sound_head"]["last"]["kernel"], state["netfcaud.3.weight"].T
    )
    np.testing.assert_array_equal(
        stats["lips_head"]["norm"]["mean"], state["netfclip.1.running_mean"]
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"netfclip.3.bias": None}, r"^syncnet.model: .*netfclip.3.bias is missing"),
        ({"netfclip.4.bias": np.zeros(2)}, r"netfclip.4.bias is not used"),
        ({"netcnnaud.0.weight": np.zeros((2, 1, 3, 3))}, r"has shape .* want"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(change, message):
    state = {k: v for k, v in (syncnet_state() | change).items() if v is not None}
    with pytest.raises(UserError, match=message):
        _load(state)


@pytest.mark.parametrize("key", ["netcnnlip.18.weight", "netcnnaud.4.weight", "netfclip.0.weight"])
def test_another_net_is_no_syncnet(key):
    state = syncnet_state()
    del state[key]
    with pytest.raises(UserError, match=rf"^a.pth: is no state dict of SyncNet: {key} is missing"):
        settings_from_state(state, where="a.pth")
    with pytest.raises(UserError, match=r"has shape \(2,\), want"):
        settings_from_state(syncnet_state() | {key: np.zeros(2)}, where="a.pth")
