import jax
import jax.numpy as jnp
import numpy as np
import pytest

from talkjax.nets.audio_lip_memory import AudioLipMemory
from talkjax.nets.conv import ConvBlock, ConvTransposeBlock, LeakyConv, batch_norm
from talkjax.nets.discriminators import QualityDiscriminator
from talkjax.nets.encoders import AudioEncoder, FaceEncoder, LipEncoder
from talkjax.nets.face_decoder import FaceDecoder
from talkjax.nets.sync_critic import SyncCritic

FLOAT32 = jnp.dtype(jnp.float32)


def picture(*shape, seed=0):
    return jax.random.normal(jax.random.key(seed), shape)


def test_a_block_normalises_then_adds_then_rectifies():
    block = ConvBlock(3, residual=True)
    x = picture(4, 6, 6, 3)
    variables = block.init(jax.random.key(1), x, train=False)
    params = variables["params"]
    got, changed = block.apply(variables, x, train=True, mutable=["batch_stats"])
    y = np.asarray(
        jax.lax.conv_general_dilated(
            x, params["conv"]["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
    ) + np.asarray(params["conv"]["bias"]).reshape(1, 1, 1, -1)
    mean, var = y.mean((0, 1, 2), keepdims=True), y.var((0, 1, 2), keepdims=True)
    want = np.maximum((y - mean) / np.sqrt(var + 1e-5) + x, 0)
    np.testing.assert_allclose(got, want, atol=1e-4)
    # the running statistics move a tenth of the way from 0 and 1
    stats = changed["batch_stats"]["norm"]
    np.testing.assert_allclose(stats["mean"], 0.1 * mean.ravel(), atol=1e-5)
    np.testing.assert_allclose(stats["var"], 0.9 + 0.1 * var.ravel(), rtol=1e-4)


def test_a_leaky_block_has_slope_a_hundredth_and_no_norm():
    block = LeakyConv(2, kernel=1, padding=0)
    x = picture(1, 3, 3, 2)
    params = {"conv": {"kernel": jnp.eye(2).reshape(1, 1, 2, 2), "bias": jnp.zeros(2)}}
    got = block.apply({"params": params}, x)
    np.testing.assert_allclose(got, np.where(x > 0, x, 0.01 * x), rtol=1e-6)


@pytest.mark.parametrize(
    ("block", "fan"), [(ConvBlock(64), 9 * 16), (ConvTransposeBlock(64), 9 * 64)]
)
def test_weights_start_as_pytorchs_do(block, fan):
    # uniform within 1/sqrt(fan): PyTorch counts output channels for a transposed convolution
    params = block.init(jax.random.key(0), picture(1, 4, 4, 16), train=False)["params"]["conv"]
    for leaf in (params["kernel"], params["bias"]):
        assert np.abs(leaf).max() <= fan**-0.5
    assert np.abs(params["kernel"]).max() > 0.99 * fan**-0.5
    np.testing.assert_allclose(params["kernel"].std(), (3 * fan) ** -0.5, rtol=0.05)


LEVELS = [(16, 4), (8, 4), (4, 8), (1, 8)]
SMALL = {
    "audio": (AudioEncoder((4, 4, 4, 8, 8), (1, 1, 1, 1)), [(2, 80, 16)]),
    "lip": (LipEncoder(4, (8, 8), (1,)), [(2, 5, 16, 16, 3)]),
    "face": (FaceEncoder((4, 4, 8, 8), (0, 1, 1)), [(2, 16, 16, 6)]),
    "decoder": (
        FaceDecoder((8, 8, 8, 4), (0, 1, 1, 1), head_channels=4),
        [(2, 8), tuple((2, side, side, channels) for side, channels in LEVELS)],
    ),
    "disc": (QualityDiscriminator((4, 4, 4, 8), (3, 3, 3)), [(2, 8, 16, 3)]),
    "sync": (
        SyncCritic((4, 4, 8, 8), (0, 1, 1), 4, (4, 4, 4, 8, 8), (1, 1, 1, 1)),
        [(2, 5, 10, 18, 3), (2, 80, 16)],
    ),
    "memory": (AudioLipMemory(4, 8), [(2, 8), (2, 8)]),
}


def inputs_of(shapes):
    """Pictures of numpy's making, so that nothing needs compiling."""
    rng = np.random.default_rng(0)

    def make(shape):
        if isinstance(shape[0], tuple):
            return tuple(map(make, shape))
        return jnp.asarray(rng.standard_normal(shape).astype(np.float32))

    return [make(shape) for shape in shapes]


def variables_of(net, inputs):
    """Variables of the right shapes with plausible random values; quicker than an init."""
    rng = np.random.default_rng(1)

    def make(path, leaf):
        name = path[-1].key
        if name in ("scale", "var"):
            return np.ones(leaf.shape, np.float32)
        spread = 1 / np.sqrt(max(1, np.prod(leaf.shape[:-1])))
        return (spread * rng.standard_normal(leaf.shape)).astype(np.float32)

    init = lambda *x: net.init(jax.random.key(0), *x, train=False)  # noqa: E731
    return jax.tree_util.tree_map_with_path(make, jax.eval_shape(init, *inputs))


@pytest.mark.parametrize("name", SMALL)
def test_in_bfloat16_parameters_gradients_and_statistics_are_float32(name):
    net, shapes = SMALL[name]
    net = net.copy(dtype=jnp.bfloat16)

    def run(*inputs):
        rngs = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
        variables = net.init(rngs, *inputs, train=False)
        options = dict(train=True, rngs=rngs, mutable=["batch_stats"])

        def loss(params):
            outputs, changed = net.apply(variables | {"params": params}, *inputs, **options)
            leaves = [jnp.sum(x.astype(jnp.float32)) for x in jax.tree.leaves(outputs)]
            return sum(leaves), changed

        return variables, jax.grad(loss, has_aux=True)(variables["params"])

    variables, (gradients, changed) = jax.eval_shape(run, *inputs_of(shapes))
    for tree in (variables, gradients, changed):
        assert {leaf.dtype for leaf in jax.tree.leaves(tree)} <= {FLOAT32}
    stats = variables.get("batch_stats", {})
    assert jax.tree.structure(changed.get("batch_stats", {})) == jax.tree.structure(stats)
    assert bool(stats) == (name not in ("memory", "disc"))


@pytest.mark.parametrize("name", ["audio", "decoder"])
def test_bfloat16_is_close_to_float32_and_not_equal(name):
    net, shapes = SMALL[name]
    inputs = inputs_of(shapes)
    variables = variables_of(net, inputs)
    low = net.copy(dtype=jnp.bfloat16)
    want = jax.jit(lambda *x: net.apply(variables, *x, train=False))(*inputs)
    got = jax.jit(lambda *x: low.apply(variables, *x, train=False))(*inputs)
    gap = jnp.abs(got.astype(jnp.float32) - want).max()
    assert 0 < gap <= 0.05 * jnp.abs(want).max()


def test_batch_statistics_of_bfloat16_are_gathered_in_float32():
    # The mean of these two neighbouring bfloat16 numbers is not a bfloat16 number itself.
    x = jnp.tile(jnp.asarray([1, 1 + 2**-7], jnp.bfloat16).reshape(2, 1, 1, 1), (1, 4, 4, 1))
    norm = batch_norm(train=True, dtype=jnp.bfloat16, name=None)
    start = {"batch_stats": {"mean": jnp.zeros(1), "var": jnp.ones(1)}}
    params = {"scale": jnp.ones(1), "bias": jnp.zeros(1)}
    y, changed = norm.apply(start | {"params": params}, x, mutable=["batch_stats"])
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(changed["batch_stats"]["mean"], 0.1 * (1 + 2**-8), rtol=1e-6)


def test_critic_embeddings_and_decoder_pictures_are_float32_in_bfloat16():
    critic, shapes = SMALL["sync"]
    critic = critic.copy(dtype=jnp.bfloat16)
    inputs = inputs_of(shapes)
    variables = variables_of(critic, inputs)
    embed = jax.jit(lambda *x: critic.apply(variables, *x, train=False))
    for embedding in embed(*inputs):
        assert embedding.raw.dtype == embedding.unit.dtype == FLOAT32
        np.testing.assert_allclose(jnp.linalg.norm(embedding.unit, axis=-1), 1, rtol=1e-5)
    decoder, shapes = SMALL["decoder"]
    decoder = decoder.copy(dtype=jnp.bfloat16)
    inputs = inputs_of(shapes)
    variables = variables_of(decoder, inputs)
    image = jax.jit(lambda *x: decoder.apply(variables, *x, train=False))(*inputs)
    assert image.dtype == FLOAT32
    assert jnp.abs(image).max() <= 1


def test_embeddings_do_not_depend_on_their_neighbours_in_the_batch():
    critic, _ = SMALL["sync"]
    frames, mel = inputs_of([(4, 5, 10, 18, 3), (4, 80, 16)])
    variables = variables_of(critic, (frames, mel))
    order = jnp.asarray([2, 0, 3, 1])
    embed = jax.jit(lambda *x: critic.apply(variables, *x, train=False))
    face, audio = embed(frames, mel)
    again = embed(frames[order], mel[order])
    np.testing.assert_allclose(again[0].raw, face.raw[order], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(again[1].raw, audio.raw[order], rtol=1e-5, atol=1e-6)


def test_decoder_needs_as_many_skips_as_stages():
    decoder, shapes = SMALL["decoder"]
    driver, skips = inputs_of(shapes)
    with pytest.raises(ValueError, match="got 3 skips and 4 stages"):
        decoder.init(jax.random.key(0), driver, skips[1:], train=False)
