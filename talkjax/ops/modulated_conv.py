"""Convolution whose input channels a style scales, example by example.

The published codes scale the kernel and convolve by groups; scaling the input, convolving all
examples with one kernel and scaling the output is the same, and quicker.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from talkjax.arrays import AnyArray, Array
from talkjax.ops.conv import DIMENSIONS, transposed_conv

EPSILON = 1e-8


def modulated_conv(
    x: Float[AnyArray, "b h w c"],
    kernel: Float[AnyArray, "kh kw c o"],
    style: Float[AnyArray, "b c"],
    *,
    demodulate: bool,
    padding: int = 0,
    stretch: bool = False,
) -> Float[Array, "b ho wo o"]:
    """`x` convolved with kernel[..., c, :] style[c], as `x`'s type.

    Args:
      x: input; the convolution runs in its type.
      kernel: float32.
      style: factor of each input channel, float32.
      demodulate: scale every output channel to what unit variance of independent inputs
        would leave at unit variance.
      padding: rows and columns of zeros at each border.
      stretch: a transposed convolution of stride 2 without padding instead: h -> 2 h + 1 for
        3x3 kernels; `kernel` as `ops.conv.transposed_conv` wants it.

    Source: StyleGAN2 (Karras et al., 2020), eq. 1 to 3.
    """
    kernel = jnp.asarray(kernel, jnp.float32)
    style = jnp.asarray(style, jnp.float32)
    b, c = style.shape
    y = jnp.asarray(x) * style.reshape(b, 1, 1, c).astype(x.dtype)
    if stretch:
        y = transposed_conv(y, kernel.astype(x.dtype), stride=2, padding=0)
    else:
        borders = [(padding, padding)] * 2
        y = lax.conv_general_dilated(
            y, kernel.astype(x.dtype), (1, 1), borders, dimension_numbers=DIMENSIONS
        )
    if not demodulate:
        return y
    variance = jnp.square(style) @ jnp.sum(jnp.square(kernel), axis=(0, 1))  # b o
    scale = lax.rsqrt(variance + EPSILON)
    return y * scale.reshape(b, 1, 1, -1).astype(y.dtype)
