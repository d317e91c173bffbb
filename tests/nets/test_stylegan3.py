"""StyleGAN3 at toy size: layers by definition, equivariance, gradients; the published tables."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from talkjax.nets.stylegan3 import CONFIG_R, AliasFreeLayer, FourierInput, StyleGan3
from talkjax.nets.stylegan3_plan import InputPlan, LayerPlan, plan

RNG = np.random.default_rng(0)
SMALL = dict(resolution=16, channel_base=96, channel_max=6, width=8)
WS = jnp.asarray(RNG.standard_normal((2, 16, 8)), jnp.float32)
QUARTER_TURN = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]], np.float32)
STILL_AND_TURNED = jnp.stack([jnp.eye(3), jnp.asarray(QUARTER_TURN)])


def small(config, **settings):
    return StyleGan3(**SMALL, config=config, **settings)


def init(net):
    return jax.jit(lambda z: net.init(jax.random.key(0), z, train=False))(jnp.zeros((1, 8)))


@pytest.fixture(scope="module")
def variables():
    return {config: init(small(config)) for config in ("t", "r")}


@pytest.fixture(scope="module")
def pictures(variables):
    """`pictures(config, ws, transform)`, compiled once for each configuration."""

    def compiled(config):
        net = small(config)
        return jax.jit(
            lambda v, ws, transform: net.apply(
                v, ws, transform=transform, train=False, method="synthesize"
            )
        )

    run = {config: compiled(config) for config in ("t", "r")}
    return lambda config, ws, transform: run[config](variables[config], ws, transform)


# name, cutoff, rate, half-width at 256 px, T, channel base 32768; worked out apart from this code
LAYERS_256_T = [
    ("L0_36_512", 2.000, 16, 6.000),
    ("L1_36_512", 2.828, 16, 5.172),
    ("L2_36_512", 4.000, 16, 4.000),
    ("L3_52_512", 5.657, 32, 10.343),
    ("L4_52_512", 8.000, 32, 8.000),
    ("L5_84_512", 11.314, 64, 20.686),
    ("L6_84_512", 16.000, 64, 16.000),
    ("L7_148_512", 22.627, 128, 41.373),
    ("L8_148_512", 32.000, 128, 32.000),
    ("L9_148_362", 45.255, 128, 18.745),
    ("L10_276_256", 64.000, 256, 64.000),
    ("L11_276_181", 90.510, 256, 37.490),
    ("L12_276_128", 128.000, 256, 29.586),
    ("L13_256_128", 128.000, 256, 29.586),
    ("L14_256_3", 128.000, 256, 29.586),
]


def test_the_layers_at_256_are_the_published_ones():
    _, layers = plan(256, channel_base=32768, channel_max=512, config="t")
    for i, layer in enumerate(layers):
        name, *numbers = LAYERS_256_T[i]
        assert name == f"L{i}_{layer.out_px}_{layer.out_channels}"
        got = (layer.out_cutoff, layer.rate / layer.down, layer.out_half_width)
        np.testing.assert_allclose(got, numbers, rtol=0, atol=6e-4)  # they are rounded


def test_channels_of_the_public_256_nets():
    _, layers = plan(256, channel_base=16384, channel_max=512, config="t")
    want = [512] * 7 + [362, 256, 181, 128, 91, 64, 64, 3]
    assert [layer.out_channels for layer in layers] == want


# Names and numbers as printed by NVIDIA's training script: NVlabs/stylegan3, issue 40.
def test_the_layers_of_configuration_r_are_the_published_ones():
    net = StyleGan3(resolution=128, config="r", channel_base=65536, channel_max=1024)
    _, layers = plan(128, channel_base=65536, channel_max=1024, config="r")
    names = [f"L{i}_{layer.out_px}_{layer.out_channels}" for i, layer in enumerate(layers)]
    assert names[8:] == [
        "L8_84_1024",
        "L9_148_1024",
        "L10_148_912",
        "L11_148_683",
        "L12_148_512",
        "L13_128_512",
        "L14_128_3",
    ]
    # filters and one running magnitude
    sizes = [layer.up_taps().size + layer.down_taps().size + 1 for layer in layers[8:14]]
    assert sizes == [157, 169, 157, 157, 25, 25]
    shape = jax.ShapeDtypeStruct((1, 512), jnp.float32)
    like = jax.eval_shape(lambda z: net.init(jax.random.key(0), z, train=False), shape)
    synthesis = like["params"]["synthesis"]
    own = {i: synthesis[f"layer_{i}"] for i in (8, 10, 11, 12, 13)}
    counts = [layer["kernel"].size + layer["bias"].size for layer in own.values()]
    assert counts == [1_049_600, 934_800, 623_579, 350_208, 262_656]
    assert synthesis["layer_11"]["affine"]["kernel"].size + 912 == 467_856


def shapes(net):
    make = lambda z: net.init_with_output(jax.random.key(0), z, train=False)  # noqa: E731
    return jax.eval_shape(make, jax.ShapeDtypeStruct((1, 512), jnp.float32))


def test_the_published_nets_have_their_sizes():
    count = lambda tree: sum(leaf.size for leaf in jax.tree.leaves(tree))  # noqa: E731
    picture, net = shapes(StyleGan3(resolution=1024, channel_base=32768))
    assert picture.shape == (1, 1024, 1024, 3)
    # StyleGAN3's table of results: 22.3 M (T)
    assert round(count(net["params"]) / 1e6, 1) == 22.3
    picture, net = shapes(StyleGan3(**CONFIG_R))
    assert picture.shape == (1, 256, 256, 3)
    assert net["params"]["synthesis"]["input"]["kernel"].shape == (1024, 1024)


def slow_layer(x, kernel, style, bias, layer: LayerPlan):
    """One example by the definition: own kernel, zeros between, full 2-D filters, float64."""
    own = kernel.astype(np.float64) * style.reshape(1, 1, -1, 1)
    own /= np.sqrt(np.sum(np.square(own), axis=(0, 1, 2)))
    up = layer.up * np.outer(layer.up_taps(), layer.up_taps()) * layer.up
    down = layer.down_taps()
    down = np.outer(down, down) if down.ndim == 1 else down
    before, after = layer.padding
    out = []
    for o in range(layer.out_channels):
        y = sum(
            scipy.signal.correlate2d(x[:, :, c].astype(np.float64), own[:, :, c, o], mode="full")
            for c in range(x.shape[2])
        )
        y = y + bias[o]
        stretched = np.zeros([side * layer.up for side in y.shape])
        stretched[:: layer.up, :: layer.up] = y
        widths = (max(before, 0), max(after, 0))
        padded = np.pad(stretched, widths)
        padded = padded[max(-before, 0) :, max(-before, 0) :]
        end = padded.shape[0] - max(-after, 0)
        y = scipy.signal.convolve2d(padded[:end, :end], up, mode="valid")
        y = np.clip(np.where(y < 0, 0.2 * y, y) * np.sqrt(2), -256, 256)
        y = scipy.signal.convolve2d(y, down, mode="valid")
        out.append(y[:: layer.down, :: layer.down])
    return np.stack(out, axis=-1)


@pytest.mark.parametrize(("config", "index"), [("r", 0), ("r", 10), ("r", 13), ("t", 10)])
def test_a_layer_is_its_definition(config, index):
    _, layers = plan(16, channel_base=48, channel_max=3, config=config)
    layer = layers[index]
    assert layer.radial == (config == "r" and index < 12)
    x = RNG.standard_normal((2, layer.in_px, layer.in_px, layer.in_channels)).astype(np.float32)
    w = RNG.standard_normal((2, 8)).astype(np.float32)
    net = AliasFreeLayer(layer)
    variables = net.init(jax.random.key(index), jnp.asarray(x), jnp.asarray(w), train=False)
    params = variables["params"] | {"bias": jnp.linspace(-0.5, 0.5, layer.out_channels)}
    got = jax.jit(lambda v, x, w: net.apply(v, x, w, train=False))(
        {**variables, "params": params}, x, w
    )
    affine = params["affine"]
    styles = w @ (np.asarray(affine["kernel"]) / np.sqrt(8)) + np.asarray(affine["bias"])
    kernel, bias = np.asarray(params["kernel"]), np.asarray(params["bias"])
    for i in range(2):
        want = slow_layer(x[i], kernel, styles[i], bias, layer)
        assert got[i].shape == want.shape == (layer.out_px, layer.out_px, layer.out_channels)
        np.testing.assert_allclose(got[i], want, rtol=0, atol=5e-5)


def test_the_input_is_a_sum_of_sines_that_the_pose_turns_and_moves():
    net = FourierInput(InputPlan(channels=5, side_px=6, rate=4.0, cutoff=1.0))
    w = jnp.asarray(RNG.standard_normal((1, 3)), jnp.float32)
    variables = net.init(jax.random.key(0), w, transform=None)
    # twice (cos, sin) of 30 degrees, and so twice a shift of (0.1, -0.2)
    pose = 2 * np.array([math.cos(math.pi / 6), math.sin(math.pi / 6), 0.1, -0.2])
    affine = {"kernel": jnp.zeros((3, 4)), "bias": jnp.asarray(pose, jnp.float32)}
    variables["params"]["affine"] = affine
    got = net.apply(variables, w, transform=None)[0]
    buffers = {name: np.asarray(v, np.float64) for name, v in variables["buffers"].items()}
    mix = np.asarray(variables["params"]["kernel"]) / np.sqrt(5)
    at = (np.arange(6) - 2.5) / 4
    c, s = math.cos(math.pi / 6), math.sin(math.pi / 6)
    want = np.zeros((6, 6, 5))
    for row, y in enumerate(at):
        for column, x in enumerate(at):
            moved = (x - 0.1, y + 0.2)
            point = np.array([c * moved[0] - s * moved[1], s * moved[0] + c * moved[1]])
            sines = np.sin(2 * np.pi * (buffers["frequencies"] @ point + buffers["phases"]))
            want[row, column] = sines @ mix
    # all frequencies are within the cutoff, so none is damped
    assert np.linalg.norm(buffers["frequencies"], axis=1).max() < 1.0
    np.testing.assert_allclose(got, want, rtol=0, atol=2e-5)


def test_a_quarter_turn_of_the_input_turns_the_picture_of_r_alone(pictures):
    def error(config):
        still, turned = pictures(config, jnp.stack([WS[0], WS[0]]), STILL_AND_TURNED)
        assert np.std(still) > 1e-5  # fresh weights draw faintly
        candidates = [np.rot90(still, k) for k in (1, 3)]
        return min(np.abs(turned - c).max() for c in candidates) / np.std(still)

    assert error("r") < 1e-3
    assert error("t") > 0.1  # its 3x3 kernels do not turn along


def test_every_parameter_gets_a_gradient(variables):
    net = small("r")
    z = jnp.asarray(RNG.standard_normal((2, 8)), jnp.float32)

    def loss(params):
        picture = net.apply(variables["r"] | {"params": params}, z, train=False)
        return jnp.mean(jnp.square(picture - 0.3))

    gradient = jax.jit(jax.grad(loss))(variables["r"]["params"])
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        assert np.all(np.isfinite(leaf)) and np.any(leaf), jax.tree_util.keystr(path)


def test_training_moves_the_magnitude_towards_the_mean_square():
    layer = AliasFreeLayer(plan(16, channel_base=48, channel_max=3, config="r")[1][14])
    x = jnp.asarray(RNG.standard_normal((2, 16, 16, layer.plan.in_channels)), jnp.float32)
    w = jnp.asarray(RNG.standard_normal((2, 8)), jnp.float32)
    variables = layer.init(jax.random.key(0), 3 * x, w, train=True)
    assert variables["averages"]["magnitude"] == 1
    _, moved = layer.apply(variables, 3 * x, w, train=True, mutable=["averages"])
    want = 0.999 + 0.001 * 9 * np.mean(np.square(x))
    np.testing.assert_allclose(moved["averages"]["magnitude"], want, rtol=1e-6)
    loud = {"params": variables["params"], "averages": {"magnitude": jnp.full(1, 9.0)}}
    got = layer.apply(loud, 3 * x, w, train=False)
    np.testing.assert_allclose(got, layer.apply(variables, x, w, train=False), atol=1e-5)


def test_half_precision_is_near_and_gives_float32(variables, pictures):
    net = small("t", dtype=jnp.bfloat16)
    run = jax.jit(lambda v, ws: net.apply(v, ws, train=False, method="synthesize"))
    got = run(variables["t"], WS)[0]
    want = pictures("t", WS, STILL_AND_TURNED)[0]
    assert got.dtype == jnp.float32
    error = np.sqrt(np.mean(np.square(got - want)))
    assert 1e-6 < error / np.std(want) < 0.3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(resolution=48), "resolution: got 48"),
        (dict(resolution=8), "resolution: got 8"),
        (dict(config="T"), "config: got 'T', want one of"),
    ],
)
def test_settings_that_no_net_has_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        shapes(StyleGan3(**settings))


def test_a_wrong_number_of_styles_is_refused(variables):
    with pytest.raises(ValueError, match="StyleGan3: got 14 styles, want 16"):
        small("t").apply(variables["t"], WS[:, :14], train=False, method="synthesize")
