"""SyncNet's geometry: which sides fit, and what is said of the others."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from talkjax.nets.syncnet import LAST_KERNELS, SyncNet

NARROW = dict(lip_channels=(2, 3, 3, 3, 3, 4), sound_channels=(2, 3, 3, 3, 3, 4), hidden=5, width=6)


def _init(net, side, *, steps=20):
    inputs = (jnp.zeros((2, 5, side, side, 3)), jnp.zeros((2, 13, steps)))
    return jax.eval_shape(lambda: net.init_with_output(jax.random.key(0), *inputs, train=False))


def test_the_default_is_the_published_net():
    output, variables = _init(SyncNet(), 224)
    assert output.lips.shape == output.sound.shape == (2, 1024)
    counts = {
        name: sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(tree))
        for name, tree in variables["params"].items()
    }

    # by hand: weights, biases, and two of each batch norm
    def count(shapes):
        return sum(i * k * o + 3 * o for i, k, o in shapes)

    head = 512 * 512 + 512 + 2 * 512 + 512 * 1024 + 1024
    lips = [(3, 5 * 49, 96), (96, 25, 256), *[(256, 9, 256)] * 3, (256, 36, 512)]
    sound = [(1, 9, 64), (64, 9, 192), (192, 9, 384), (384, 9, 256), (256, 9, 256), (256, 20, 512)]
    assert counts == {
        "lips": count(lips),
        "sound": count(sound),
        "lips_head": head,
        "sound_head": head,
    }


@pytest.mark.parametrize(("side", "kernel"), LAST_KERNELS.items())
def test_the_last_kernel_of_each_side_leaves_one_pixel(side, kernel):
    output, _ = _init(SyncNet(**NARROW, lip_last_kernel=kernel), side)
    assert output.lips.shape == output.sound.shape == (2, 6)


@pytest.mark.parametrize(
    ("side", "kernel", "message"),
    [
        (32, 1, "pictures of 32x32 px leave 0 px"),
        (64, 6, "pictures of 64x64 px leave 1 px for a last kernel of 6; .* 224 px and 6"),
        (224, 2, "lip branch: its last layer leaves 5x5"),
    ],
)
def test_a_side_that_does_not_fit_is_named_with_those_that_do(side, kernel, message):
    with pytest.raises(ValueError, match=message):
        _init(SyncNet(**NARROW, lip_last_kernel=kernel), side)


def test_sound_of_another_length_is_refused():
    with pytest.raises(ValueError, match=r"sound branch: .* want 13 x 20"):
        _init(SyncNet(**NARROW, lip_last_kernel=1), 64, steps=24)


def test_a_missing_channel_is_named():
    settings = NARROW | {"sound_channels": (2, 2)}
    with pytest.raises(ValueError, match=r"sound_channels has 2 entries, want 6"):
        _init(SyncNet(**settings, lip_last_kernel=1), 64)
