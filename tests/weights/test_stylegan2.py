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

WIDTH, CHANNELS = 5, {4: 6, 8: 6, 16: 4}
TAPS = np.outer([1, 3, 3, 1], [1, 3, 3, 1]).astype(np.float32) / 64
SETTINGS = dict(resolution=16, channel_base=64, channel_max=6)


def filled(shapes, constants):
    rng = np.random.default_rng(0)
    return {k: rng.standard_normal(s).astype(np.float32) for k, s in shapes.items()} | constants


def rosinality_conv(name, size_in, size, kernel=3):
    channels = CHANNELS[size_in]
    return {
        f"{name}.conv.weight": (1, CHANNELS[size], channels, kernel, kernel),
        f"{name}.conv.modulation.weight": (channels, WIDTH),
        f"{name}.conv.modulation.bias": (channels,),
        f"{name}.noise.weight": (1,),
        f"{name}.activate.bias": (CHANNELS[size],),
    }


def rosinality_rgb(name, size):
    return {
        f"{name}.conv.weight": (1, 3, CHANNELS[size], 1, 1),
        f"{name}.conv.modulation.weight": (CHANNELS[size], WIDTH),
        f"{name}.conv.modulation.bias": (CHANNELS[size],),
        f"{name}.bias": (1, 3, 1, 1),
    }


def rosinality_state():
    shapes = {"input.input": (1, 6, 4, 4), "latent_avg": (WIDTH,)}
    for i in (1, 2):
        shapes |= {f"style.{i}.weight": (WIDTH, WIDTH), f"style.{i}.bias": (WIDTH,)}
    shapes |= rosinality_conv("conv1", 4, 4) | rosinality_rgb("to_rgb1", 4)
    shapes |= rosinality_conv("convs.0", 4, 8) | rosinality_conv("convs.1", 8, 8)
    shapes |= rosinality_conv("convs.2", 8, 16) | rosinality_conv("convs.3", 16, 16)
    shapes |= rosinality_rgb("to_rgbs.0", 8) | rosinality_rgb("to_rgbs.1", 16)
    for i, size in enumerate((4, 8, 8, 16, 16)):
        shapes[f"noises.noise_{i}"] = (1, 1, size, size)
    filters = ("convs.0.conv.blur", "convs.2.conv.blur", "to_rgbs.0.upsample", "to_rgbs.1.upsample")
    return filled(shapes, {f"{name}.kernel": 4 * TAPS for name in filters})


def rosinality_critic_state():
    shapes = {"convs.0.0.weight": (4, 3, 1, 1), "convs.0.1.bias": (4,)}
    for block, channels, out in (("convs.1", 4, 6), ("convs.2", 6, 6)):
        shapes |= {
            f"{block}.conv1.0.weight": (channels, channels, 3, 3),
            f"{block}.conv1.1.bias": (channels,),
            f"{block}.conv2.1.weight": (out, channels, 3, 3),
            f"{block}.conv2.2.bias": (out,),
            f"{block}.skip.1.weight": (out, channels, 1, 1),
        }
    shapes |= {"final_conv.0.weight": (6, 7, 3, 3), "final_conv.1.bias": (6,)}
    shapes |= {"final_linear.0.weight": (6, 6 * 16), "final_linear.0.bias": (6,)}
    shapes |= {"final_linear.1.weight": (1, 6), "final_linear.1.bias": (1,)}
    filters = [f"convs.{i}.{name}.0.kernel" for i in (1, 2) for name in ("conv2", "skip")]
    return filled(shapes, dict.fromkeys(filters, TAPS))


def nvidia_critic_state():
    state = rosinality_critic_state()
    names = {"convs.0.0": "b16.fromrgb", "convs.0.1": "b16.fromrgb"}
    for i, size in ((1, 16), (2, 8)):
        names |= {f"convs.{i}.conv1.{j}": f"b{size}.conv0" for j in (0, 1)}
        names |= {f"convs.{i}.conv2.{j}": f"b{size}.conv1" for j in (1, 2)}
        names[f"convs.{i}.skip.1"] = f"b{size}.skip"
    names |= {f"final_conv.{j}": "b4.conv" for j in (0, 1)}
    names |= {"final_linear.0": "b4.fc", "final_linear.1": "b4.out"}
    out = {}
    for key, value in state.items():
        layer, leaf = key.rsplit(".", 1)
        if leaf != "kernel":
            out[f"{names[layer]}.{leaf}"] = value
    return out | {"b16.resample_filter": TAPS, "b8.skip.resample_filter": TAPS}


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
        ({"style.2.bias": np.zeros(4)}, r"style\.2\.bias has shape \(4,\) here, want \(5,\)"),
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
        ({"mapping.fc0.bias": np.zeros(5)}, r"mapping\.fc-1\.weight is missing"),
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
