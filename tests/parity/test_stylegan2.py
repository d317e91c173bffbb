"""StyleGAN2 against recordings of both public codes (golden/stylegan2).

Tolerances are those that the recording's notes give, 4 to 20 times the references' own noise.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from talkjax.nets.stylegan2 import StyleGan2
from talkjax.nets.stylegan2_discriminator import StyleGan2Discriminator
from talkjax.ops.resample import BINOMIAL_TAPS, upfirdn
from talkjax.weights import stylegan2

pytestmark = pytest.mark.parity

W_ATOL, PICTURE_ATOL, ACTIVATION_ATOL, LOGIT_ATOL = 3e-5, 5e-4, 1e-4, 4e-6
# With plain weights everything is smaller, the styles the most.
PLAIN_W_ATOL, PLAIN_PICTURE_ATOL = 3e-9, 4e-6


@pytest.fixture(scope="module")
def recorded(golden):
    return golden("stylegan2")


def nhwc(array):
    return np.moveaxis(array, 1, -1)


def shapes(net, example):
    rngs = {"params": jax.random.key(0)}
    return jax.eval_shape(lambda x: net.init(rngs, x, train=False), example)


def generator(state):
    """(the net its state describes, its variables, the ignored keys)."""
    net = StyleGan2(**stylegan2.settings_from_state(state, where="g.pt"))
    like = shapes(net, jnp.zeros((1, 512)))
    got = stylegan2.import_stylegan2(state, like, where="g.pt")
    return net, got.variables["gen"], got.ignored


def discriminator(state):
    settings = stylegan2.discriminator_settings_from_state(state, where="d.pt")
    net = StyleGan2Discriminator(**settings)
    like = shapes(net, jnp.zeros((1, 64, 64, 3)))
    got = stylegan2.import_stylegan2_discriminator(state, like, where="d.pt")
    return net, got.variables["disc"], got.ignored


@pytest.fixture(scope="module")
def rosinality(recorded, golden_weights):
    state = golden_weights("stylegan2", "rosinality_G64")
    return generator(state | {"latent_avg": recorded["G/in_truncation_latent"]})


@pytest.fixture(scope="module")
def nvidia(golden_weights):
    return generator(golden_weights("stylegan2", "nvlabs_stylegan2_G64"))


@pytest.fixture(scope="module")
def rosinality_critic(golden_weights):
    return discriminator(golden_weights("stylegan2", "rosinality_D64"))


@pytest.fixture(scope="module", autouse=True)
def full_precision():
    with jax.default_matmul_precision("highest"):
        yield


def mapped(net, variables, z, **options):
    z = jnp.asarray(z)
    return net.apply(variables, z, train=False, method="map_styles", **options)


@pytest.fixture(scope="module")
def pictures():
    """`pictures(net, variables, ws, noise)`, compiled once for each net and kind of noise."""
    compiled = {}

    def run(net, variables, ws, noise):
        key = (net, noise if isinstance(noise, str) else "maps")
        if key not in compiled:
            options = dict(method="synthesize", train=False)
            if isinstance(noise, str):
                function = lambda v, ws: net.apply(v, ws, noise=noise, **options)  # noqa: E731
            else:
                function = lambda v, ws, *n: net.apply(v, ws, noise=n, **options)  # noqa: E731
            compiled[key] = jax.jit(function)
        return compiled[key](variables, ws, *(() if isinstance(noise, str) else noise))

    return run


def maps(recorded):
    return [jnp.asarray(nhwc(recorded[f"G/in_noise_{i}"])) for i in range(9)]


def near(got, want, atol):
    np.testing.assert_allclose(got, want, rtol=0, atol=atol)


def test_settings_are_read_from_the_state(rosinality, nvidia):
    want = dict(resolution=64, channel_base=32768, channel_max=512, mapping_layers=8, width=512)
    for net, _, _ in (rosinality, nvidia):
        assert {name: getattr(net, name) for name in want} == want
    assert (rosinality[0].clamp, nvidia[0].clamp) == (None, 256.0)


def test_only_filters_are_ignored(rosinality, nvidia):
    assert len(rosinality[2]) == 8 and all(key.endswith(".kernel") for key in rosinality[2])
    assert len(nvidia[2]) == 14 and all(key.endswith("resample_filter") for key in nvidia[2])


def test_rosinality_mapping(rosinality, recorded):
    net, variables, _ = rosinality
    for z, w in (("in_z", "w"), ("in_z2", "w2")):
        got = mapped(net, variables, recorded[f"G/{z}"])
        assert got.shape == (2, 10, 512)
        near(got[:, 0], recorded[f"G/{w}"], W_ATOL)
    near(
        mapped(net, variables, recorded["G/in_z"], truncation=0.7),
        recorded["G/latent_trunc"],
        W_ATOL,
    )


def mixed(z, z2):
    """Styles of the first noise for the first four layers, of the second after them."""
    return jnp.concatenate([z[:, :4], z2[:, 4:]], axis=1)


def test_rosinality_mixed_styles(rosinality, recorded):
    net, variables, _ = rosinality
    got = mixed(*(mapped(net, variables, recorded[f"G/{name}"]) for name in ("in_z", "in_z2")))
    near(got, recorded["G/latent_mix"], W_ATOL)


@pytest.mark.parametrize("name", ["z", "wplus", "trunc", "mix"])
def test_rosinality_pictures_with_given_noise(rosinality, recorded, pictures, name):
    net, variables, _ = rosinality
    z, z2 = (mapped(net, variables, recorded[f"G/{n}"]) for n in ("in_z", "in_z2"))
    ws = {
        "z": z,
        "wplus": recorded["G/in_wplus"],
        "trunc": mapped(net, variables, recorded["G/in_z"], truncation=0.7),
        "mix": mixed(z, z2),
    }[name]
    got = pictures(net, variables, ws, maps(recorded))
    near(got, nhwc(recorded[f"G/img_{name}"]), PICTURE_ATOL)


def test_rosinality_pictures_with_stored_noise(rosinality, recorded, pictures):
    net, variables, _ = rosinality
    ws = mapped(net, variables, recorded["G/in_z"])
    got = pictures(net, variables, ws, "const")
    near(got, nhwc(recorded["G/img_buffers"]), PICTURE_ATOL)


def first_layers(net, variables, ws, noise):
    names = ("conv_4", "up_conv_8", "conv_8", "to_rgb_4", "to_rgb_8")
    _, kept = jax.jit(
        lambda v, ws: net.apply(
            v,
            ws,
            noise=noise,
            train=False,
            method="synthesize",
            capture_intermediates=lambda module, _: module.name in names,
            mutable=["intermediates"],
        )
    )(variables, ws)
    layers = {n: v["__call__"][0] for n, v in kept["intermediates"]["synthesis"].items()}
    twice = upfirdn(layers["to_rgb_4"], 2 * BINOMIAL_TAPS, up=2, padding=(2, 1))
    return layers | {"rgb_8": twice + layers["to_rgb_8"]}


def test_first_layers_of_both_codes(rosinality, nvidia, recorded):
    got = first_layers(*rosinality[:2], recorded["G/in_wplus"], maps(recorded))
    near(got["conv_4"][..., ::8], nhwc(recorded["G/act_conv1"]), ACTIVATION_ATOL)
    near(got["up_conv_8"][..., ::8], nhwc(recorded["G/act_convs0"]), ACTIVATION_ATOL)
    near(got["to_rgb_4"], nhwc(recorded["G/rgb_4"]), ACTIVATION_ATOL)
    near(got["rgb_8"], nhwc(recorded["G/rgb_8"]), ACTIVATION_ATOL)
    got = first_layers(*nvidia[:2], recorded["nv2/in_wplus"], "const")
    near(got["conv_4"][..., ::8], nhwc(recorded["nv2/b4_act"]), ACTIVATION_ATOL)
    near(got["conv_8"][..., ::8], nhwc(recorded["nv2/b8_act"]), ACTIVATION_ATOL)
    near(got["to_rgb_4"], nhwc(recorded["nv2/b4_img"]), ACTIVATION_ATOL)
    near(got["rgb_8"], nhwc(recorded["nv2/b8_img"]), ACTIVATION_ATOL)


def test_nvidia_mapping(nvidia, recorded):
    net, variables, _ = nvidia
    z = recorded["nv2/in_z"]
    near(mapped(net, variables, z)[:, 0], recorded["nv2/ws"], W_ATOL)
    near(mapped(net, variables, z, truncation=0.7)[:, 9], recorded["nv2/ws_trunc"], W_ATOL)
    got = mapped(net, variables, z, truncation=0.5, truncated_styles=4)
    near(got, recorded["nv2/ws_trunc_cutoff4"], W_ATOL)


@pytest.mark.parametrize("name", ["z", "wplus", "trunc", "none", "unfused"])
def test_nvidia_pictures(nvidia, recorded, pictures, name):
    net, variables, _ = nvidia
    ws = {
        "z": mapped(net, variables, recorded["nv2/in_z"]),
        "trunc": mapped(net, variables, recorded["nv2/in_z"], truncation=0.7),
    }.get(name, recorded["nv2/in_wplus"])
    got = pictures(net, variables, ws, "none" if name == "none" else "const")
    near(got, nhwc(recorded[f"nv2/img_{name}"]), PICTURE_ATOL)


@pytest.mark.slow
def test_rosinality_nets_of_plain_weights(recorded, golden_weights, pictures):
    """Every tensor by the recording's general rule, noise and constant too: all keys in place."""
    state = golden_weights("stylegan2", "rosinality_G64_plain")
    net, variables, _ = generator(state | {"latent_avg": recorded["G/in_truncation_latent"]})
    ws = mapped(net, variables, recorded["G/in_z"])
    near(ws[:, 0], recorded["plain/G_w"], PLAIN_W_ATOL)
    for name, styles in (("z", ws), ("wplus", recorded["G/in_wplus"])):
        got = pictures(net, variables, styles, maps(recorded))
        near(got, nhwc(recorded[f"plain/G_img_{name}"]), PLAIN_PICTURE_ATOL)
    net, variables, _ = discriminator(golden_weights("stylegan2", "rosinality_D64_plain"))
    score = jax.jit(lambda v, x: net.apply(v, x, train=False))
    logits = score(variables, nhwc(recorded["D/in_img"]))
    near(logits, recorded["plain/D_out_b8"][:, 0], LOGIT_ATOL)


@pytest.mark.parametrize("count", [8, 4, 2, 1])
def test_rosinality_scores(rosinality_critic, recorded, count):
    net, variables, ignored = rosinality_critic
    assert len(ignored) == 8 and all(key.endswith("kernel") for key in ignored)
    keep = lambda module, _: module.name in ("from_rgb", "block_64")  # noqa: E731
    logits, kept = jax.jit(
        lambda v, x: net.apply(
            v, x, train=False, capture_intermediates=keep, mutable=["intermediates"]
        )
    )(variables, nhwc(recorded["D/in_img"])[:count])
    near(logits, recorded[f"D/out_b{count}"][:, 0], LOGIT_ATOL)
    if count == 8:
        layers = {n: v["__call__"][0] for n, v in kept["intermediates"].items()}
        want = nhwc(recorded["D/fromrgb_slice"])
        near(layers["from_rgb"][:2, ::4, ::4, ::64], want, LOGIT_ATOL)
        near(layers["block_64"][:2, ::2, ::2, ::32], nhwc(recorded["D/res1_slice"]), LOGIT_ATOL)


@pytest.mark.parametrize("count", [8, 2])
def test_nvidia_scores(recorded, golden_weights, count):
    net, variables, ignored = discriminator(golden_weights("stylegan2", "nvlabs_stylegan2_D64"))
    assert len(ignored) == 18 and all(key.endswith("resample_filter") for key in ignored)
    score = jax.jit(lambda v, x: net.apply(v, x, train=False))
    logits = score(variables, nhwc(recorded["D/in_img"])[:count])
    near(logits, recorded[f"nv2/D_out_b{count}"][:, 0], LOGIT_ATOL)


def in_nvidia_format(state):
    """rosinality's state with NVIDIA's names and shapes, by the table of their papers' codes."""
    out = {"mapping.w_avg": state["latent_avg"].reshape(-1)}
    for i in range(8):
        for leaf in ("weight", "bias"):
            out[f"mapping.fc{i}.{leaf}"] = state[f"style.{i + 1}.{leaf}"]
    out["synthesis.b4.const"] = state["input.input"][0]
    layers = {"conv1": "b4.conv1", "to_rgb1": "b4.torgb"}
    for i, size in enumerate((8, 16, 32, 64)):
        layers[f"convs.{2 * i}"] = f"b{size}.conv0"
        layers[f"convs.{2 * i + 1}"] = f"b{size}.conv1"
        layers[f"to_rgbs.{i}"] = f"b{size}.torgb"
    noises = ["conv1"] + [f"convs.{i}" for i in range(8)]
    for theirs, name in layers.items():
        layer = f"synthesis.{name}"
        out[f"{layer}.weight"] = state[f"{theirs}.conv.weight"][0]
        for leaf in ("weight", "bias"):
            out[f"{layer}.affine.{leaf}"] = state[f"{theirs}.conv.modulation.{leaf}"]
        if theirs.startswith("to_rgb"):
            out[f"{layer}.bias"] = state[f"{theirs}.bias"].reshape(3)
            continue
        out[f"{layer}.bias"] = state[f"{theirs}.activate.bias"]
        out[f"{layer}.noise_strength"] = state[f"{theirs}.noise.weight"][0]
        out[f"{layer}.noise_const"] = state[f"noises.noise_{noises.index(theirs)}"][0, 0]
    return out


def test_both_formats_give_the_same_net(rosinality, recorded, golden_weights):
    state = golden_weights("stylegan2", "rosinality_G64")
    state |= {"latent_avg": recorded["G/in_truncation_latent"]}
    _, variables, ignored = generator(in_nvidia_format(state))
    assert not ignored
    jax.tree.map(np.testing.assert_array_equal, variables, rosinality[1])
