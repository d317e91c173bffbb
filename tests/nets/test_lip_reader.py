"""The reader reads each word where it stands, and nothing from far away."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from talkjax.nets import lip_reader

FRAMES = 40


@pytest.fixture(scope="module")
def net():
    model = lip_reader.LipReader(
        num_words=5,
        sound_features=6,
        stem=4,
        stages=(8, 8),
        blocks=1,
        width=16,
        dilations=(1, 2),
        points=4,
        points_beside=1,
        hidden=16,
        dropout=0.5,
    )
    mouths = jax.random.normal(jax.random.key(1), (2, FRAMES, 12, 16))
    spans = jnp.array([[[18.0, 22.0], [5.0, 9.0]], [[0.0, 3.0], [30.0, 40.0]]])
    return model, model.init(jax.random.key(0), mouths, spans, train=False), mouths, spans


def test_features_between_frames_are_linear_and_end_at_the_clip():
    x = jnp.arange(10.0)[None, :, None] ** 2
    places = jnp.array([[[0.5, 3.5, 4.0, 9.5, -3.0, 30.0]]])
    found = lip_reader.features_at(x, places)[0, 0, :, 0]
    np.testing.assert_allclose(found, [0.0, 9.0, 12.5, 81.0, 0.0, 81.0], atol=1e-5)


def test_places_of_a_word_lie_in_it_and_beside_it():
    found = lip_reader.word_places(jnp.array([[[10.0, 14.0]]]), points=4, points_beside=2)
    np.testing.assert_allclose(found[0, 0], [7.75, 9.25, 10.5, 11.5, 12.5, 13.5, 14.75, 16.25])


def test_shapes_and_dtypes(net):
    model, variables, mouths, spans = net
    reading, logits = model.apply(variables, mouths, spans, train=False)
    assert logits.shape == (2, 2, 5) and logits.dtype == jnp.float32
    assert reading.sound.shape == (2, FRAMES, 6)
    assert reading.words.shape == (2, 2, 6 * 16)


def test_a_word_is_read_from_near_it_only(net):
    """Two dilated blocks see 2 (1 + 2) frames either way, the stem 2, places 0.75 + 0.5."""
    model, variables, mouths, spans = net
    read = jax.jit(lambda m: model.apply(variables, m, spans, train=False)[1])
    before = read(mouths)
    reach = 2 * (1 + 2) + 2 + 2
    far = mouths.at[:, : 18 - reach].add(1.0).at[:, 22 + reach :].add(1.0)
    np.testing.assert_allclose(read(far)[0, 0], before[0, 0], atol=1e-5)
    near = mouths.at[:, 20].add(1.0)
    assert float(jnp.max(jnp.abs(read(near)[0, 0] - before[0, 0]))) > 1e-4


def test_the_stem_is_a_convolution_over_five_frames(net):
    """Equal to flax's 3-D convolution with the same weights, away from the clip's ends."""
    model, variables, mouths, spans = net
    kernel = variables["params"]["encoder"]["conv_stem"]["kernel"]  # 5 5 t o
    _, state = model.apply(
        variables, mouths, spans, train=False, capture_intermediates=True, mutable="intermediates"
    )
    found = state["intermediates"]["encoder"]["conv_stem"]["__call__"][0]
    found = found.reshape(2, FRAMES, *found.shape[1:])
    want = jax.lax.conv_general_dilated(
        mouths[..., None],
        jnp.moveaxis(kernel, 2, 0)[..., None, :],
        (1, 2, 2),
        [(0, 0), (2, 2), (2, 2)],
        dimension_numbers=("NDHWC", "DHWIO", "NDHWC"),
    )
    np.testing.assert_allclose(found[:, 2:-2], want, atol=1e-4)


def test_words_do_not_depend_on_each_other(net):
    model, variables, mouths, spans = net
    both = model.apply(variables, mouths, spans, train=False)[1]
    turned = model.apply(variables, mouths, spans[:, ::-1], train=False)[1]
    np.testing.assert_allclose(both[:, ::-1], turned, atol=1e-5)
