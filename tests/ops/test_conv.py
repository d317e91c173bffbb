import jax
import jax.numpy as jnp
import numpy as np
import pytest

from talkjax.ops import conv
from talkjax.ops.vectors import cosine, unit_vectors

# kernel, stride, padding, output padding: the two of SyncTalkFace, and three others
SETTINGS = [(4, 1, 0, 0), (3, 2, 1, 1), (3, 2, 1, 0), (2, 2, 0, 0), (5, 3, 2, 2)]


def scatter(x, weight, *, stride, padding, output_padding):
    """The definition: every input pixel adds its scaled kernel to the output (float64)."""
    n, h, w, _ = x.shape
    _, o, k, _ = weight.shape  # PyTorch's (in, out, kh, kw)
    full = np.zeros(
        (
            n,
            (h - 1) * stride + k + output_padding + padding,
            (w - 1) * stride + k + output_padding + padding,
            o,
        )
    )
    for i in range(h):
        for j in range(w):
            rows, columns = slice(i * stride, i * stride + k), slice(j * stride, j * stride + k)
            full[:, rows, columns] += np.einsum("nc,cokl->nklo", x[:, i, j], weight)
    height = (h - 1) * stride - 2 * padding + k + output_padding
    width = (w - 1) * stride - 2 * padding + k + output_padding
    return full[:, padding : padding + height, padding : padding + width]


def arrays(kernel, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((2, 5, 4, 3)).astype(np.float32)
    weight = rng.standard_normal((3, 6, kernel, kernel)).astype(np.float32)
    return x, weight


def ours(x, kernel, setting):
    _, stride, padding, output_padding = setting
    return conv.transposed_conv(
        x, kernel, stride=stride, padding=padding, output_padding=output_padding
    )


def to_hwio(weight):
    return jnp.asarray(weight[:, :, ::-1, ::-1].transpose(2, 3, 0, 1))


@pytest.mark.parametrize("setting", SETTINGS)
def test_equals_the_scatter_definition(setting):
    k, stride, padding, output_padding = setting
    x, weight = arrays(k)
    want = scatter(x, weight, stride=stride, padding=padding, output_padding=output_padding)
    got = ours(jnp.asarray(x), to_hwio(weight), setting)
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)


def plain(x, kernel, setting):
    return conv.stretched_conv(x, kernel, *setting[1:])


@pytest.mark.parametrize("setting", SETTINGS)
def test_gradients_equal_plain_autodiff(setting):
    x, weight = arrays(setting[0])
    x, kernel = jnp.asarray(x), to_hwio(weight)

    def gradients(function):
        loss = lambda x, kernel: jnp.sum(jnp.sin(function(x, kernel, setting)))  # noqa: E731
        return jax.grad(loss, argnums=(0, 1))(x, kernel)

    for got, want in zip(gradients(ours), gradients(plain), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("setting", SETTINGS[:2])
def test_gradient_of_the_gradient_norm_equals_plain_autodiff(setting):
    x, weight = arrays(setting[0])
    x, kernel = jnp.asarray(x), to_hwio(weight)

    def penalty(function):
        def norm(x, kernel):
            loss = lambda x: jnp.sum(jnp.sin(function(x, kernel, setting)))  # noqa: E731
            return jnp.sum(jnp.square(jax.grad(loss)(x)))

        return jax.grad(norm, argnums=(0, 1))(x, kernel)

    for got, want in zip(penalty(ours), penalty(plain), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-3)


def test_weight_gradient_avoids_the_slow_form():
    # Plain autodiff correlates the stretched input with the cotangent: an lhs_dilation of 2 in
    # the weight gradient. Ours strides over the cotangent instead (rhs_dilation).
    x, weight = arrays(3)
    setting = SETTINGS[1]

    def dilations(function):
        loss = lambda kernel: jnp.sum(jnp.sin(function(jnp.asarray(x), kernel, setting)))  # noqa: E731
        text = jax.jit(jax.grad(loss)).lower(to_hwio(weight)).as_text()
        return [line for line in text.splitlines() if "stablehlo.convolution" in line]

    slow = [line for line in dilations(plain) if "lhs_dilate = [2, 2]" in line]
    fast = [line for line in dilations(ours) if "lhs_dilate = [2, 2]" in line]
    # the forward pass has one in both
    assert (len(slow), len(fast)) == (2, 1)


def test_impossible_padding_is_an_error():
    x, weight = arrays(3)
    with pytest.raises(ValueError, match="got padding 1, output padding 2"):
        ours(jnp.asarray(x), to_hwio(weight), (3, 2, 1, 2))


def test_frames_are_stacked_frame_by_frame():
    frames = np.arange(2 * 5 * 2 * 3 * 3, dtype=np.float32).reshape(2, 5, 2, 3, 3)
    want = np.concatenate([frames[:, i] for i in range(5)], axis=-1)
    np.testing.assert_array_equal(conv.stack_frames(jnp.asarray(frames)), want)


def test_unit_vector_of_zero_is_zero_with_a_finite_gradient():
    zero = jnp.zeros((1, 4))
    np.testing.assert_array_equal(unit_vectors(zero), zero)
    gradient = jax.grad(lambda x: jnp.sum(cosine(x, jnp.ones((1, 4)))))(zero)
    assert jnp.isfinite(gradient).all()


def test_cosines_are_float32_even_for_bfloat16_input():
    a = jnp.asarray([[3.0, 4.0]], jnp.bfloat16)
    got = cosine(a, jnp.asarray([[4.0, 3.0]], jnp.bfloat16))
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, [24 / 25], rtol=1e-6)


def test_patches_keep_every_pixel_in_reading_order():
    pixels = np.arange(2 * 4 * 6 * 3, dtype=np.float32).reshape(2, 4, 6, 3)
    deep = conv.space_to_depth(jnp.asarray(pixels), 2)
    assert deep.shape == (2, 2, 3, 12)
    np.testing.assert_array_equal(deep[1, 1, 2], pixels[1, 2:4, 4:6].reshape(-1))
    np.testing.assert_array_equal(conv.depth_to_space(deep, 2), pixels)


def test_patches_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="want multiples of 2"):
        conv.space_to_depth(jnp.zeros((1, 3, 4, 1)), 2)
