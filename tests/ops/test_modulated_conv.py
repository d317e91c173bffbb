"""Scaling input and output is scaling the kernel, example by example."""

import jax.numpy as jnp
import numpy as np
import pytest

from talkjax.ops.modulated_conv import modulated_conv

RNG = np.random.default_rng(0)


def correlate(x, kernel, padding):
    """Plain numpy: one picture h w c with one kernel kh kw c o."""
    kh, kw = kernel.shape[:2]
    x = np.pad(x, [(padding, padding), (padding, padding), (0, 0)])
    rows, columns = x.shape[0] - kh + 1, x.shape[1] - kw + 1
    return sum(
        x[i : i + rows, j : j + columns] @ kernel[i, j] for i in range(kh) for j in range(kw)
    )


def stretched(x):
    out = np.zeros((2 * x.shape[0] - 1, 2 * x.shape[1] - 1, x.shape[2]))
    out[::2, ::2] = x
    return out


@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize("stretch", [True, False])
def test_it_is_a_convolution_with_a_kernel_of_each_example(demodulate, stretch):
    x = RNG.standard_normal((3, 5, 6, 4)).astype(np.float32)
    kernel = RNG.standard_normal((3, 3, 4, 2)).astype(np.float32)
    style = RNG.standard_normal((3, 4)).astype(np.float32)
    got = modulated_conv(x, kernel, style, demodulate=demodulate, padding=1, stretch=stretch)
    for i in range(3):
        own = kernel.astype(np.float64) * style[i].reshape(1, 1, 4, 1)
        if demodulate:
            own /= np.sqrt(np.sum(np.square(own), axis=(0, 1, 2)) + 1e-8)
        want = correlate(stretched(x[i]), own, 2) if stretch else correlate(x[i], own, 1)
        assert got[i].shape == want.shape
        np.testing.assert_allclose(got[i], want, rtol=0, atol=2e-5)


def test_demodulated_outputs_do_not_depend_on_the_strength_of_the_style():
    x = jnp.asarray(RNG.standard_normal((1, 4, 4, 3)), jnp.float32)
    kernel = jnp.asarray(RNG.standard_normal((3, 3, 3, 2)), jnp.float32)
    style = jnp.asarray(RNG.standard_normal((1, 3)), jnp.float32)
    one = modulated_conv(x, kernel, style, demodulate=True, padding=1)
    ten = modulated_conv(x, kernel, 10 * style, demodulate=True, padding=1)
    np.testing.assert_allclose(ten, one, rtol=0, atol=1e-5)


def test_half_precision_stays():
    x = jnp.ones((1, 4, 4, 3), jnp.bfloat16)
    y = modulated_conv(x, jnp.ones((1, 1, 3, 2)), jnp.ones((1, 3)), demodulate=True)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(y, np.float32), np.sqrt(3), rtol=0.01)
