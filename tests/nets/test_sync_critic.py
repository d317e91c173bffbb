"""Long contexts: parts that windows share, towers that never meet, no trace of the place."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from talkjax.nets import sync_critic
from talkjax.nets.sync_critic import SyncCritic

TINY = dict(
    face_channels=(4, 4, 4, 4, 8),
    face_repeats=(0, 0, 0, 0),
    audio_channels=(4, 4, 4, 4, 8),
    audio_repeats=(0, 0, 0, 0),
    ends="linear",
    parts=3,
    context_layers=1,
    context_heads=2,
)
FRAMES, WINDOWS, EVERY = 15, 6, 5


def _noise(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def _stretch():
    """(frames, mel windows cut at whole mel frames) of windows one frame apart."""
    frames = _noise(2, FRAMES + WINDOWS - 1, 16, 32, 3)
    mel = _noise(2, 80, 16 * 5, seed=1)
    starts = (16 * np.arange(WINDOWS)) // 5
    return frames, jnp.stack([mel[:, :, s : s + 48] for s in starts], axis=1)


@pytest.fixture(scope="module")
def critic():
    net = SyncCritic(**TINY)
    frames, mel = _stretch()
    variables = net.init(jax.random.key(0), frames[:, :FRAMES], mel[:, 0], train=False)
    # its mixers begin as the identity; make them do something
    names = jax.tree_util.tree_map_with_path(lambda path, _: jax.tree_util.keystr(path), variables)
    noisy = jax.tree.map(
        lambda leaf, name: (
            leaf + 0.3 * _noise(*leaf.shape, seed=len(name)) if "context" in name else leaf
        ),
        variables,
        names,
    )
    return net, variables, noisy


def test_windows_of_a_stretch_are_those_of_the_windows_by_themselves(critic):
    net, _, variables = critic
    frames, mel = _stretch()
    face, sound = net.apply(
        variables, frames, mel, every_frames=EVERY, train=False, method="embed_stretch"
    )
    assert face.unit.shape == (2 * 2, 24) and sound.unit.shape == (2 * WINDOWS, 24)
    for place, start in enumerate((0, EVERY)):
        alone = net.apply(
            variables, frames[:, start : start + FRAMES], train=False, method="embed_face"
        )
        np.testing.assert_allclose(alone.unit, face.unit[place::2], atol=1e-5)
    for start in range(WINDOWS):
        alone = net.apply(variables, mel[:, start], train=False, method="embed_audio")
        np.testing.assert_allclose(alone.unit, sound.unit[start::WINDOWS], atol=1e-5)


def test_an_untrained_context_compares_part_by_part(critic):
    """Before training a part's embedding depends on that part only."""
    net, variables, _ = critic
    frames, _ = _stretch()
    window = frames[:, :FRAMES]
    changed = window.at[:, 5:10].set(0.0)
    raws = [
        net.apply(variables, w, train=False, method="embed_face").raw.reshape(2, 3, 8)
        for w in (window, changed)
    ]
    np.testing.assert_allclose(raws[0][:, [0, 2]], raws[1][:, [0, 2]], atol=1e-6)
    assert np.abs(raws[0][:, 1] - raws[1][:, 1]).max() > 1e-3


def test_a_trained_context_lets_parts_see_each_other(critic):
    net, _, variables = critic
    frames, _ = _stretch()
    window = frames[:, :FRAMES]
    raws = [
        net.apply(variables, w, train=False, method="embed_face").raw.reshape(2, 3, 8)
        for w in (window, window.at[:, 5:10].set(0.0))
    ]
    assert np.abs(raws[0][:, 0] - raws[1][:, 0]).max() > 1e-4


def test_the_towers_never_see_each_other(critic):
    net, _, variables = critic
    frames, mel = _stretch()
    face, sound = net.apply(variables, frames[:, :FRAMES], mel[:, 0], train=False)
    other, same = net.apply(variables, frames[:, 1 : FRAMES + 1], mel[:, 0], train=False)
    np.testing.assert_array_equal(sound.unit, same.unit)
    assert np.abs(face.unit - other.unit).max() > 1e-3


@pytest.mark.parametrize("method", ["embed_face", "embed_audio"])
def test_a_window_of_another_length_is_refused(critic, method):
    net, variables, _ = critic
    given = _noise(1, 10, 16, 32, 3) if method == "embed_face" else _noise(1, 80, 16)
    with pytest.raises(ValueError, match="3 parts; change data"):
        net.apply(variables, given, train=False, method=method)


def test_linear_ends_are_probabilities_and_relu_ends_are_themselves():
    cosines = jnp.array([-1.0, 0.0, 1.0])
    np.testing.assert_allclose(sync_critic.probability(cosines, "linear"), [0.0, 0.5, 1.0])
    np.testing.assert_array_equal(sync_critic.probability(cosines, "relu"), cosines)


def test_the_default_region_is_the_lower_half():
    crops = _noise(1, 5, 32, 32, 3)
    np.testing.assert_array_equal(sync_critic.seen(crops, sync_critic.LOWER_HALF), crops[:, :, 16:])
    with pytest.raises(ValueError, match=r"model\.sync\.region"):
        sync_critic.seen(crops, (0.5, 0.4, 0.0, 1.0))


def test_unknown_ends_are_refused():
    with pytest.raises(ValueError, match="ends: got 'round'"):
        SyncCritic(**{**TINY, "ends": "round"}).init(
            jax.random.key(0), _noise(1, 15, 16, 32, 3), _noise(1, 80, 48), train=False
        )
