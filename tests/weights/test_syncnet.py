"""Import of SyncNet's state dict: settings read off it, exact keys, one clear line."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from talkjax.errors import UserError
from talkjax.nets.syncnet import SyncNet
from talkjax.weights.syncnet import import_syncnet, settings_from_state

LIPS, SOUND, HIDDEN, WIDTH = (2, 3, 4, 5, 6, 7), (3, 4, 5, 6, 7, 8), 9, 10
CONVOLUTIONS = (0, 4, 8, 11, 14, 18)
LIP_KERNELS = ((5, 7, 7), (1, 5, 5), (1, 3, 3), (1, 3, 3), (1, 3, 3), (1, 1, 1))
SOUND_KERNELS = ((3, 3),) * 5 + ((5, 4),)


def _state(seed=0):
    """A small SyncNet of 64 px as PyTorch would name it."""
    rng = np.random.default_rng(seed)
    state = {}

    def norm(key, width):
        for name in ("weight", "bias", "running_mean", "running_var"):
            state[f"{key}.{name}"] = rng.random(width).astype(np.float32)
        state[f"{key}.num_batches_tracked"] = np.asarray(3)

    for net, channels_in, widths, kernels in (
        ("netcnnaud", 1, SOUND, SOUND_KERNELS),
        ("netcnnlip", 3, LIPS, LIP_KERNELS),
    ):
        for index, width, kernel in zip(CONVOLUTIONS, widths, kernels, strict=True):
            shape = (width, channels_in, *kernel)
            state[f"{net}.{index}.weight"] = rng.normal(size=shape).astype(np.float32)
            state[f"{net}.{index}.bias"] = rng.random(width).astype(np.float32)
            norm(f"{net}.{index + 1}", width)
            channels_in = width
    for net, features in (("netfcaud", SOUND[-1]), ("netfclip", LIPS[-1])):
        state[f"{net}.0.weight"] = rng.normal(size=(HIDDEN, features)).astype(np.float32)
        state[f"{net}.0.bias"] = rng.random(HIDDEN).astype(np.float32)
        norm(f"{net}.1", HIDDEN)
        state[f"{net}.3.weight"] = rng.normal(size=(WIDTH, HIDDEN)).astype(np.float32)
        state[f"{net}.3.bias"] = rng.random(WIDTH).astype(np.float32)
    return state


def _load(state):
    net = SyncNet(**settings_from_state(_state(), where="syncnet.model"))
    inputs = (jnp.zeros((1, 5, 64, 64, 3)), jnp.zeros((1, 13, 20)))
    like = jax.eval_shape(lambda: net.init(jax.random.key(0), *inputs, train=False))
    return import_syncnet(state, like, where="syncnet.model")


def test_settings_are_read_off_the_shapes():
    assert settings_from_state(_state(), where="x") == {
        "lip_channels": LIPS,
        "lip_last_kernel": 1,
        "sound_channels": SOUND,
        "hidden": HIDDEN,
        "width": WIDTH,
    }


def test_every_array_has_its_place():
    state = _state()
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
    state = {k: v for k, v in (_state() | change).items() if v is not None}
    with pytest.raises(UserError, match=message):
        _load(state)


@pytest.mark.parametrize("key", ["netcnnlip.18.weight", "netcnnaud.4.weight", "netfclip.0.weight"])
def test_another_net_is_no_syncnet(key):
    state = _state()
    del state[key]
    with pytest.raises(UserError, match=rf"^a.pth: is no state dict of SyncNet: {key} is missing"):
        settings_from_state(state, where="a.pth")
    with pytest.raises(UserError, match=r"has shape \(2,\), want"):
        settings_from_state(_state() | {key: np.zeros(2)}, where="a.pth")
