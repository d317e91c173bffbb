"""Transposed convolution with PyTorch's semantics and a fast weight gradient.

Plain autodiff gets the weight gradient of an lhs-dilated convolution wrong in speed, not in
value: on CPU it is 19 to 81 times slower than it need be (jax#31662, xla#34273). Written as
the weight gradient of the strided convolution that is its adjoint, it takes the fast path.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from talkjax.arrays import AnyArray, Array

DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def transposed_conv(
    x: Float[AnyArray, "n h w c"],
    kernel: Float[AnyArray, "kh kw c o"],
    *,
    stride: int,
    padding: int,
    output_padding: int = 0,
) -> Float[Array, "n ho wo o"]:
    """Transposed convolution; ho = (h - 1) stride - 2 padding + kh + output_padding.

    Args:
      x: input.
      kernel: of the equivalent plain convolution over the stretched input, that is PyTorch's
        (c, o, kh, kw) weight with both spatial axes flipped, as HWIO.
      stride: by which the input is stretched.
      padding: rows and columns cut from each border of the full result.
      output_padding: rows and columns added at the bottom and right, less than `stride`.

    Raises:
      ValueError: if `padding` exceeds the kernel or `output_padding` is not below `stride`.

    Source: torch.nn.ConvTranspose2d.
    """
    if padding >= min(kernel.shape[:2]) or output_padding >= stride:
        raise ValueError(
            f"transposed convolution: got padding {padding}, output padding {output_padding}, "
            f"want below the kernel {kernel.shape[:2]} and below the stride {stride}"
        )
    return _transposed_conv(x, kernel, stride, padding, output_padding)


def stretched_conv(
    x: Float[AnyArray, "n h w c"],
    kernel: Float[AnyArray, "kh kw c o"],
    stride: int,
    padding: int,
    output_padding: int,
) -> Float[Array, "n ho wo o"]:
    """The same by its definition, a convolution over the stretched input; slow to train."""
    borders = [(k - 1 - padding, k - 1 - padding + output_padding) for k in kernel.shape[:2]]
    return lax.conv_general_dilated(
        x, kernel, (1, 1), borders, lhs_dilation=(stride, stride), dimension_numbers=DIMENSIONS
    )


_transposed_conv = jax.custom_vjp(stretched_conv, nondiff_argnums=(2, 3, 4))


def _adjoint_kernel(kernel):
    """Kernel of the strided convolution that is the adjoint; its own inverse."""
    return kernel[::-1, ::-1].swapaxes(2, 3)


def _strided_conv(y, kernel, *, stride: int, padding: int):
    borders = [(padding, padding)] * 2
    return lax.conv_general_dilated(
        y, kernel, (stride, stride), borders, dimension_numbers=DIMENSIONS
    )


def _forward(x, kernel, stride, padding, output_padding):
    return stretched_conv(x, kernel, stride, padding, output_padding), (x, kernel)


def _backward(stride, padding, output_padding, residuals, cotangent):
    x, kernel = residuals
    adjoint = functools.partial(_strided_conv, stride=stride, padding=padding)
    mirrored = _adjoint_kernel(kernel)
    dx = adjoint(cotangent, mirrored)
    # <x, adjoint(cotangent, k)> is linear in k: its transpose at x is the weight gradient.
    (d_mirrored,) = jax.linear_transpose(lambda k: adjoint(cotangent, k), mirrored)(x)
    return dx, _adjoint_kernel(d_mirrored)


_transposed_conv.defvjp(_forward, _backward)


def stack_frames(frames: Float[Array, "n t h w c"]) -> Float[Array, "n h w t*c"]:
    """Frames of a short clip as channels, frame-major: all channels of frame 0 first."""
    n, t, h, w, c = frames.shape
    return jnp.moveaxis(frames, 1, 3).reshape(n, h, w, t * c)


def space_to_depth(x: Float[AnyArray, "n h w c"], patch: int) -> Float[Array, "n ho wo d"]:
    """Each square of `patch` x `patch` pixels becomes one with patch^2 as many channels.

    Raises:
      ValueError: if height or width is no multiple of `patch`.
    """
    n, h, w, c = x.shape
    if h % patch or w % patch:
        raise ValueError(f"patches of {patch} px: got {w}x{h} px, want multiples of {patch}")
    x = x.reshape(n, h // patch, patch, w // patch, patch, c)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(n, h // patch, w // patch, patch * patch * c)


def depth_to_space(x: Float[AnyArray, "n h w d"], patch: int) -> Float[Array, "n ho wo c"]:
    """The inverse of `space_to_depth`.

    Source: the sub-pixel convolution of Shi et al. 2016 (arXiv 1609.05158), eq. 4.
    """
    n, h, w, d = x.shape
    c = d // patch**2
    x = x.reshape(n, h, w, patch, patch, c)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(n, h * patch, w * patch, c)
