"""Import of StyleGAN2 in both formats: settings from shapes, checked filters, or one clear line."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from talkjax.errors import UserError
from talkjax.nets.stylegan2 import StyleGan2
from talkjax.nets.stylegan2_discriminator import StyleGan2Discriminator
from talkjax.weights import stylegan2
from tests.weights.toy_stylegan2 import (
    SETTINGS,
    TAPS,
    WIDTH,
    nvidia_critic_state,
    rosinality_critic_state,
    rosinality_state,
)


def like():
    net = StyleGan2(**SETTINGS, mapping_layers=2, width=WIDTH)
    return jax.eval_shape(
        lambda z: net.init(jax.random.key(0), z, train=False), jnp.zeros((1, WIDTH))
    )


def critic_like():
    net = StyleGan2Discriminator(**SETTINGS)
    pictures = jnp.zeros((1, 16, 16, 3))
    return jax.eval_shape(lambda x: net.init(jax.random.key(0), x, train=False), pictures)


def load(state):
    return stylegan2.import_stylegan2(state, like(), where="g.pt")


def test_settings_come_from_keys_and_shapes():
    got = stylegan2.settings_from_state(rosinality_state(), where="g.pt")
    assert got == SETTINGS | dict(mapping_layers=2, width=WIDTH, clamp=None)
    for state, clamp in ((rosinality_critic_state(), None), (nvidia_critic_state(), 256.0)):
        got = stylegan2.discriminator_settings_from_state(state, where="d.pt")
        assert got == SETTINGS | dict(clamp=clamp)


def test_layers_lie_where_the_format_says():
    state = rosinality_state()
    got = load({f"module.{key}": value for key, value in state.items()})
    net = got.variables["gen"]
    params = net["params"]["synthesis"]
    stretching = state["convs.2.conv.weight"][0]
    assert params["up_conv_16"]["kernel"][0, 2, 1, 3] == stretching[3, 1, 2, 0]
    plain = state["convs.3.conv.weight"][0]
    assert params["conv_16"]["kernel"][0, 2, 1, 3] == plain[3, 1, 0, 2]
    np.testing.assert_array_equal(params["to_rgb_8"]["bias"], state["to_rgbs.0.bias"].reshape(3))
    np.testing.assert_array_equal(
        net["noise"]["synthesis"]["up_conv_16"]["map"], state["noises.noise_3"][0, 0]
    )
    np.testing.assert_array_equal(net["averages"]["mapping"]["w_avg"], state["latent_avg"])
    assert len(got.ignored) == 4 and all(key.endswith("kernel") for key in got.ignored)


def test_both_formats_of_the_discriminator_are_one_net():
    results = [
        stylegan2.import_stylegan2_discriminator(state, critic_like(), where="d.pt")
        for state in (rosinality_critic_state(), nvidia_critic_state())
    ]
    jax.tree.map(np.testing.assert_array_equal, *(r.variables for r in results))
    assert [len(r.ignored) for r in results] == [4, 2]
    dense = rosinality_critic_state()["final_linear.0.weight"]
    kernel = results[0].variables["disc"]["params"]["dense"]["kernel"]
    # row 1, column 2, channel 3 of 4x4x6 there: channels first
    assert kernel[(1 * 4 + 2) * 6 + 3, 5] == dense[5, 3 * 16 + 1 * 4 + 2]


def test_a_repeated_mean_style_is_one():
    state = rosinality_state()
    want = load(state).variables
    repeated = state | {"latent_avg": np.tile(state["latent_avg"], (6, 1))}
    jax.tree.map(np.testing.assert_array_equal, load(repeated).variables, want)
    with pytest.raises(UserError, match=r"^g.pt: latent_avg has 2 different rows"):
        load(state | {"latent_avg": np.eye(2, WIDTH, dtype=np.float32)})


def test_a_missing_mean_style_is_taken_from_random_ones_and_said(caplog):
    state = rosinality_state()
    for i in (1, 2):
        state[f"style.{i}.weight"] *= 100
        state[f"style.{i}.bias"] *= 100
    del state["latent_avg"]
    with caplog.at_level(logging.WARNING):
        net = load(state).variables["gen"]
    assert "g.pt: holds no latent_avg; took the mean of 10000 random styles" in caplog.text
    z = np.random.default_rng(1).standard_normal((4000, WIDTH)).astype(np.float32)
    module = StyleGan2(**SETTINGS, mapping_layers=2, width=WIDTH)
    w = module.apply(net, jnp.asarray(z), train=False, method="map_styles")[:, 0]
    error = np.abs(np.mean(w, axis=0) - net["averages"]["mapping"]["w_avg"])
    # within five standard errors, which is well below the mean itself
    limit = 5 * np.std(w, axis=0) * np.sqrt(1 / 4000 + 1 / 10000)
    assert np.all(error < limit) and np.abs(np.mean(w, axis=0)).max() > 2 * limit.max()


def test_another_filter_is_refused():
    state = rosinality_state()
    state["convs.2.conv.blur.kernel"] = TAPS  # without its gain
    with pytest.raises(UserError, match=r"^g.pt: convs.2.conv.blur.kernel is another filter"):
        load(state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"convs.1.noise.weight": None}, r"convs\.1\.noise\.weight is missing"),
        ({"to_rgbs.2.bias": np.zeros(3)}, r"to_rgbs\.2\.bias is not used"),
        ({"convs.1.conv.weight": np.zeros((6, 6))}, r"convs\.1\.conv\.weight has shape \(6, 6\)"),
        ({"style.2.bias": np.zeros(4)}, r"style\.2\.bias has shape \(4,\), want \(5,\)"),
        ({"input.input": np.zeros(())}, r"input\.input has shape \(1,\)"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_keys_and_shapes_that_do_not_fit_are_named(change, message):
    state = {k: v for k, v in (rosinality_state() | change).items() if v is not None}
    with pytest.raises(UserError, match=message):
        load(state)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"conv.weight": np.zeros(3)}, r"holds neither rosinality's StyleGAN2"),
        ({"style.1.weight": np.zeros((5, 5))}, r"conv1\.conv\.weight is missing"),
        ({"mapping.fc0.weight": np.zeros((5, 5))}, r"has no layers above 4 px"),
        ({"mapping.fc0.bias": np.zeros(5)}, "holds no mapping network .*save the whole generator"),
        (
            rosinality_state() | {"convs.1.conv.weight": np.zeros((1, 5, 6, 3, 3))},
            r"channels \{4: 6, 8: 5, 16: 4\}",
        ),
    ],
    ids=range(5),
)
def test_what_is_no_generator_is_refused_in_one_line(state, message):
    with pytest.raises(UserError, match=message) as caught:
        stylegan2.settings_from_state(state, where="g.pt")
    assert str(caught.value).startswith("g.pt: ") and "\n" not in str(caught.value)
