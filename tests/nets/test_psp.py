"""pSp's encoder: sizes, counts, which map a style comes from, training."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from talkjax.nets.psp import GradualStyleEncoder, resize_aligned

# 16 px maps of 256 px pictures become 4 px maps of 64 px pictures.
TOY = {"num_styles": 9, "width": 8, "stages": ((16, 1), (16, 1), (16, 1), (16, 1))}


@pytest.fixture(scope="module")
def toy():
    images = jax.random.uniform(jax.random.key(0), (2, 64, 64, 3), minval=-1)
    net = GradualStyleEncoder(**TOY)
    return net, net.init(jax.random.key(1), images, train=False), images


def shapes(net, side):
    spec = jax.ShapeDtypeStruct((2, side, side, 3), jnp.float32)
    init = lambda x: net.init_with_output(jax.random.key(0), x, train=False)  # noqa: E731
    return jax.eval_shape(init, spec)


# Of the authors' code for 1024 px: the sum over golden/psp/keys.json. A head of six convolutions
# more or less is all that other sizes differ by.
FOR_1024_PX = 267_136_704
HEAD = 6 * (512 * 512 * 9 + 512) + 512 * 512 + 512


@pytest.mark.parametrize(
    ("num_styles", "parameters"), [(18, FOR_1024_PX), (14, FOR_1024_PX - 4 * HEAD)]
)
def test_parameter_count_is_the_published_one(num_styles, parameters):
    codes, variables = shapes(GradualStyleEncoder(num_styles), 256)
    assert codes.shape == (2, num_styles, 512)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == parameters
    assert variables["average"]["latent"].shape == (num_styles, 512)


def test_heads_are_as_deep_as_their_map_is_large():
    _, variables = shapes(GradualStyleEncoder(), 256)
    depth = [len(variables["params"][f"style_{j}"]) - 1 for j in range(18)]
    assert depth == [4] * 3 + [5] * 4 + [6] * 11


def test_the_average_style_is_added_to_what_the_net_says(toy):
    net, variables, images = toy
    average = jax.random.normal(jax.random.key(2), (9, 8))
    with_average = net.apply({**variables, "average": {"latent": average}}, images, train=False)
    bare = GradualStyleEncoder(**TOY, start_from_average=False)
    offsets = bare.apply(
        {name: variables[name] for name in ("params", "batch_stats")}, images, train=False
    )
    np.testing.assert_allclose(with_average, offsets + average[None], rtol=0, atol=1e-6)


def test_fewer_styles_are_the_first_ones(toy):
    net, variables, images = toy
    fewer = GradualStyleEncoder(**TOY | {"num_styles": 5, "start_from_average": False})
    of_fewer = {"params": dict(variables["params"]), "batch_stats": variables["batch_stats"]}
    for j in range(5, 9):
        del of_fewer["params"][f"style_{j}"]
    got = fewer.apply(of_fewer, images, train=False)
    np.testing.assert_allclose(got, net.apply(variables, images, train=False)[:, :5], atol=1e-6)


def test_corner_pixels_of_both_maps_lie_on_one_another():
    # torch.nn.functional.interpolate([0, 3], size=4, align_corners=True): 0 1 2 3
    got = resize_aligned(jnp.array([0.0, 3.0]).reshape(1, 1, 2, 1), (2, 4))
    np.testing.assert_allclose(got[0, :, :, 0], [[0.0, 1.0, 2.0, 3.0]] * 2, atol=1e-6)


def test_training_reaches_every_parameter_and_moves_the_statistics(toy):
    net, variables, images = toy

    def loss(params):
        codes, updated = net.apply(
            {**variables, "params": params}, images, train=True, mutable=["batch_stats"]
        )
        return jnp.mean(jnp.square(codes - 1.0)), updated

    grads, updated = jax.jit(jax.grad(loss, has_aux=True))(variables["params"])
    still = [
        jax.tree_util.keystr(path)
        for path, leaf in jax.tree_util.tree_leaves_with_path(grads)
        if not jnp.any(leaf != 0)
    ]
    assert still == []
    before = jax.tree.leaves(variables["batch_stats"])
    after = jax.tree.leaves(updated["batch_stats"])
    assert all(jnp.any(a != b) for a, b in zip(before, after, strict=True))


def test_bfloat16_computes_in_it_and_keeps_parameters_and_styles_float32(toy):
    _, variables, images = toy
    net = GradualStyleEncoder(**TOY, dtype=jnp.bfloat16)
    codes, kept = net.apply(
        variables, images, train=False, capture_intermediates=True, mutable=["intermediates"]
    )
    assert kept["intermediates"]["backbone"]["unit_0"]["__call__"][0].dtype == jnp.bfloat16
    assert kept["intermediates"]["style_8"]["__call__"][0].dtype == jnp.bfloat16
    assert codes.dtype == jnp.float32
    np.testing.assert_allclose(
        codes, GradualStyleEncoder(**TOY).apply(variables, images, train=False), atol=0.1
    )


def test_pictures_that_do_not_come_down_to_a_pixel_are_an_error():
    with pytest.raises(ValueError, match="StyleHead"):
        shapes(GradualStyleEncoder(**TOY), 80)
