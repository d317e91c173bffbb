"""StyleGAN2 at toy size: gradients, noise, truncation, precision; sizes of the published nets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from talkjax.nets.stylegan2 import StyleGan2
from talkjax.nets.stylegan2_discriminator import StyleGan2Discriminator, minibatch_spread

SMALL = dict(resolution=16, channel_base=128, channel_max=12)
NET = StyleGan2(**SMALL, mapping_layers=2, width=8)
CRITIC = StyleGan2Discriminator(**SMALL)
RNG = np.random.default_rng(0)
Z = jnp.asarray(RNG.standard_normal((2, 8)), jnp.float32)
WS = jnp.asarray(RNG.standard_normal((2, 6, 8)), jnp.float32)
PICTURES = jnp.asarray(RNG.standard_normal((4, 16, 16, 3)), jnp.float32)


def loud(variables):
    """Noise strengths start at 0: make noise heard, and biases differ."""
    leaves = lambda path, leaf: leaf + 0.1 if path[-1].key == "noise_strength" else leaf  # noqa: E731
    return variables | {"params": jax.tree_util.tree_map_with_path(leaves, variables["params"])}


@pytest.fixture(scope="module")
def variables():
    return loud(jax.jit(lambda z: NET.init(jax.random.key(0), z, train=False))(Z))


@pytest.fixture(scope="module")
def critic_variables():
    return jax.jit(lambda x: CRITIC.init(jax.random.key(1), x, train=False))(PICTURES)


def synthesize(variables, ws, net=NET, **options):
    return net.apply(variables, ws, train=False, method="synthesize", **options)


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def shapes(net, *shape):
    init = lambda x: net.init_with_output(jax.random.key(0), x, train=False)  # noqa: E731
    return jax.eval_shape(init, jax.ShapeDtypeStruct(shape, jnp.float32))


# NVIDIA's own counts: 30 370 060 and 29 012 513 at 1024 px (config F).
def test_the_published_nets_have_their_sizes():
    picture, net = shapes(StyleGan2(resolution=1024), 1, 512)
    assert picture.shape == (1, 1024, 1024, 3) and count(net["params"]) == 30_370_060
    logits, critic = shapes(StyleGan2Discriminator(resolution=1024), 1, 1024, 1024, 3)
    assert logits.shape == (1,) and count(critic["params"]) == 29_012_513


def test_channels_at_256_are_the_published_ones():
    _, net = shapes(StyleGan2(), 1, 512)
    synthesis = net["params"]["synthesis"]
    got = [synthesis[f"conv_{4 << i}"]["kernel"].shape[-1] for i in range(7)]
    assert got == [512, 512, 512, 512, 512, 256, 128]
    assert StyleGan2().styles == 14


def test_every_parameter_of_the_generator_gets_a_gradient(variables):
    def loss(params):
        picture = NET.apply(variables | {"params": params}, Z, train=False)
        return jnp.mean(jnp.square(picture - 0.3))

    gradient = jax.jit(jax.grad(loss))(variables["params"])
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        assert np.all(np.isfinite(leaf)) and np.any(leaf), jax.tree_util.keystr(path)


def test_r1_of_the_critic_has_a_gradient_for_every_kernel(critic_variables):
    def penalty(params):
        score = lambda x: jnp.sum(CRITIC.apply({"params": params}, x, train=False))  # noqa: E731
        return jnp.sum(jnp.square(jax.grad(score)(PICTURES)))

    gradient = jax.jit(jax.grad(penalty))(critic_variables["params"])
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        name = jax.tree_util.keystr(path)
        assert np.all(np.isfinite(leaf)), name
        # Biases only choose the pieces of a net that is linear in pieces.
        assert np.any(leaf) or name.endswith("['bias']"), name


def test_the_path_length_has_a_gradient(variables):
    direction = jnp.asarray(RNG.standard_normal((2, 16, 16, 3)), jnp.float32)

    def path_length(params):
        along = lambda ws: jnp.sum(synthesize(variables | {"params": params}, ws) * direction)  # noqa: E731
        return jnp.mean(jnp.sum(jnp.square(jax.grad(along)(WS)), axis=(1, 2)))

    gradient = jax.jit(jax.grad(path_length))(variables["params"])["synthesis"]
    kernel = gradient["up_conv_8"]["kernel"]
    assert np.all(np.isfinite(kernel)) and np.any(kernel)


def test_noise_is_stored_or_fresh_or_none(variables):
    run = jax.jit(synthesize, static_argnames=("noise",))
    const, again, none = run(variables, WS), run(variables, WS), run(variables, WS, noise="none")
    np.testing.assert_array_equal(const, again)
    fresh = [
        synthesize(variables, WS, noise="random", rngs={"noise": jax.random.key(i)})
        for i in (0, 0, 1)
    ]
    np.testing.assert_array_equal(fresh[0], fresh[1])
    apart = [const, none, fresh[0], fresh[2]]
    for i, one in enumerate(apart):
        for other in apart[i + 1 :]:
            assert np.abs(one - other).max() > 0.01


def test_maps_equal_to_the_stored_ones_give_the_same(variables):
    names = ["conv_4", "up_conv_8", "conv_8", "up_conv_16", "conv_16"]
    maps = [variables["noise"]["synthesis"][name]["map"] for name in names]
    maps = [jnp.broadcast_to(m[None, :, :, None], (2, *m.shape, 1)) for m in maps]
    got = synthesize(variables, WS, noise=maps)
    np.testing.assert_allclose(got, synthesize(variables, WS), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(noise="constant"), "noise: got 'constant'"),
        (dict(noise=[jnp.zeros((2, 4, 4, 1))]), "got 1 maps, want 5"),
    ],
)
def test_wrong_noise_is_refused(variables, options, message):
    with pytest.raises(ValueError, match=message):
        synthesize(variables, WS, **options)


def test_a_wrong_number_of_styles_is_refused(variables):
    with pytest.raises(ValueError, match="StyleGan2: got 5 styles, want 6"):
        synthesize(variables, WS[:, :5])


@pytest.mark.parametrize("resolution", [4, 48, 100, 0])
def test_a_wrong_resolution_is_refused(resolution):
    with pytest.raises(ValueError, match=f"got {resolution}, want a power of two"):
        shapes(StyleGan2(resolution=resolution), 1, 512)


def test_pictures_of_another_size_are_refused(critic_variables):
    with pytest.raises(ValueError, match="want 16 px"):
        CRITIC.apply(critic_variables, jnp.zeros((1, 8, 8, 3)), train=False)


def test_truncation_moves_styles_towards_the_mean(variables):
    mean = jnp.arange(8.0)
    variables = variables | {"averages": {"mapping": {"w_avg": mean}}}
    mapped = lambda **o: NET.apply(variables, Z, train=False, method="map_styles", **o)  # noqa: E731
    free, half, none = mapped(), mapped(truncation=0.5, truncated_styles=4), mapped(truncation=0.0)
    np.testing.assert_allclose(half[:, :4], (free[:, :4] + mean.reshape(1, 1, 8)) / 2, atol=1e-5)
    np.testing.assert_array_equal(half[:, 4:], free[:, 4:])
    np.testing.assert_allclose(none, np.broadcast_to(mean, none.shape), atol=1e-6)


def test_training_moves_the_mean_style_and_nothing_else_does(variables):
    ws, moved = NET.apply(variables, Z, train=True, method="map_styles", mutable=["averages"])
    got = moved["averages"]["mapping"]["w_avg"]
    np.testing.assert_allclose(got, 0.002 * np.mean(ws[:, 0], axis=0), rtol=1e-3, atol=1e-7)
    _, kept = NET.apply(variables, Z, train=False, method="map_styles", mutable=["averages"])
    np.testing.assert_array_equal(kept["averages"]["mapping"]["w_avg"], np.zeros(8))


def test_half_precision_is_near_and_gives_float32(variables, critic_variables):
    half = StyleGan2(**SMALL, mapping_layers=2, width=8, dtype=jnp.bfloat16)
    got, want = synthesize(variables, WS, net=half), synthesize(variables, WS)
    assert got.dtype == jnp.float32
    spread = np.std(want)
    assert 1e-6 * spread < np.abs(got - want).max() < 0.1 * spread
    critic = StyleGan2Discriminator(**SMALL, dtype=jnp.bfloat16)
    score = critic.apply(critic_variables, PICTURES, train=False)
    assert score.dtype == jnp.float32
    exact = CRITIC.apply(critic_variables, PICTURES, train=False)
    np.testing.assert_allclose(score, exact, rtol=0, atol=0.05)


def test_the_clamp_holds(variables):
    tame = StyleGan2(**SMALL, mapping_layers=2, width=8, clamp=1e-3)
    picture = synthesize(variables, WS, net=tame)
    # three to-RGB layers, whose sum the filters can raise a little
    assert 0 < np.abs(picture).max() < 4e-3 < np.abs(synthesize(variables, WS)).max()


def test_spread_is_that_of_each_group():
    x = np.zeros((8, 2, 2, 3), np.float32)
    x[0], x[4] = 1, 3  # examples 0, 2, 4, 6 are one group; the odd ones the other
    got = minibatch_spread(jnp.asarray(x), group=4)
    assert got.shape == (8, 2, 2, 4)
    np.testing.assert_allclose(got[::2, ..., 3], np.std([1, 0, 3, 0]), rtol=1e-5)
    np.testing.assert_allclose(got[1::2, ..., 3], 1e-4, rtol=1e-3)
    np.testing.assert_array_equal(got[..., :3], x)


def test_a_batch_that_groups_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="got 6 pictures, want a multiple of 4"):
        minibatch_spread(jnp.zeros((6, 2, 2, 3)), group=4)
