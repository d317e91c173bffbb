"""The convolution blocks of the Wav2Lip family, and PyTorch's default initialisation.

Source: models/conv.py of Rudrabha/Wav2Lip@5c90fa9 and jinny960812/SyncTalkFace@9d5d08d.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Float

from talkjax.arrays import Array
from talkjax.errors import UserError
from talkjax.ops.conv import transposed_conv

Sides = int | tuple[int, int]

# U(-1/sqrt(fan_in), 1/sqrt(fan_in)): kaiming_uniform with a = sqrt(5).
torch_kernel_init = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
# For a transposed convolution PyTorch counts the fan on the output side.
torch_transposed_kernel_init = nn.initializers.variance_scaling(1 / 3, "fan_out", "uniform")


def torch_bias_init(fan_in: int):
    """PyTorch's initialiser of a bias: uniform within 1/sqrt(fan_in)."""
    bound = 1 / math.sqrt(fan_in)

    def init(key, shape, dtype=jnp.float32):
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


def pair(value: Sides) -> tuple[int, int]:
    """(rows, columns) of a setting that may be one number for both."""
    return (value, value) if isinstance(value, int) else tuple(value)


def conv(
    features: int,
    kernel: Sides,
    *,
    channels_in: int,
    stride: Sides = 1,
    padding: Sides = 0,
    dtype: DTypeLike = jnp.float32,
    name: str | None = None,
) -> nn.Conv:
    """A plain convolution with bias, explicit padding and PyTorch's initialisation."""
    kernel = pair(kernel)
    return nn.Conv(
        features,
        kernel,
        strides=pair(stride),
        padding=[(p, p) for p in pair(padding)],
        dtype=dtype,
        kernel_init=torch_kernel_init,
        bias_init=torch_bias_init(kernel[0] * kernel[1] * channels_in),
        name=name,
    )


def dense(
    features: int,
    *,
    features_in: int,
    dtype: DTypeLike = jnp.float32,
    name: str | None = None,
) -> nn.Dense:
    """A linear layer with PyTorch's initialisation."""
    return nn.Dense(
        features,
        dtype=dtype,
        kernel_init=torch_kernel_init,
        bias_init=torch_bias_init(features_in),
        name=name,
    )


def batch_norm(*, train: bool, dtype: DTypeLike, name: str | None) -> nn.BatchNorm:
    """Batch normalisation, PyTorch's settings (its momentum 0.1 is 0.9 here).

    Under `jit` the statistics are those of the global batch. Differs: PyTorch's are those of
    one device, and its running variance is the unbiased estimate.
    """
    return nn.BatchNorm(
        use_running_average=not train, momentum=0.9, epsilon=1e-5, dtype=dtype, name=name
    )


def _conv_of(
    block: "ConvBlock | LeakyConv", x: Float[Array, "n h w c"]
) -> Float[Array, "n ho wo o"]:
    """`x` through the convolution that the attributes of a block describe, as its `conv`."""
    return conv(
        block.features,
        block.kernel,
        channels_in=x.shape[-1],
        stride=block.stride,
        padding=block.padding,
        dtype=block.dtype,
        name="conv",
    )(x)


class ConvBlock(nn.Module):
    """Convolution with bias, batch norm, (+ input), ReLU; so outputs are never negative.

    Attributes:
      features: output channels.
      kernel, stride, padding: one number, or (rows, columns).
      residual: add the input, before the ReLU; needs the same shape in and out.
      dtype: of the computation; parameters and statistics stay float32.
    """

    features: int
    kernel: Sides = 3
    stride: Sides = 1
    padding: Sides = 1
    residual: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"], *, train: bool) -> Float[Array, "n ho wo o"]:
        y = _conv_of(self, x)
        y = batch_norm(train=train, dtype=self.dtype, name="norm")(y)
        return nn.relu(y + x.astype(y.dtype) if self.residual else y)


def conv_blocks(
    x: Float[Array, "n h w c"],
    settings: Sequence[Mapping[str, Any]],
    *,
    dtype: DTypeLike,
    train: bool,
) -> Float[Array, "n ho wo o"]:
    """`x` through one `ConvBlock` for each settings, named block_0, block_1 and so on.

    Call it in the `__call__` of the net that the blocks belong to.
    """
    for i, block in enumerate(settings):
        x = ConvBlock(**block, dtype=dtype, name=f"block_{i}")(x, train=train)
    return x


class TransposedConv(nn.Module):
    """Transposed convolution with bias; see `ops.conv.transposed_conv`."""

    features: int
    kernel: int
    stride: int
    padding: int
    output_padding: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n ho wo o"]:
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        kernel = self.param("kernel", torch_transposed_kernel_init, shape, jnp.float32)
        fan_in = self.kernel**2 * self.features
        bias = self.param("bias", torch_bias_init(fan_in), (self.features,), jnp.float32)
        y = transposed_conv(
            x.astype(self.dtype),
            kernel.astype(self.dtype),
            stride=self.stride,
            padding=self.padding,
            output_padding=self.output_padding,
        )
        return y + bias.astype(self.dtype).reshape(1, 1, 1, -1)


class ConvTransposeBlock(nn.Module):
    """Transposed convolution with bias, batch norm, ReLU. Attributes as in `ConvBlock`."""

    features: int
    kernel: int = 3
    stride: int = 2
    padding: int = 1
    output_padding: int = 1
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"], *, train: bool) -> Float[Array, "n ho wo o"]:
        y = TransposedConv(
            self.features,
            self.kernel,
            self.stride,
            self.padding,
            self.output_padding,
            dtype=self.dtype,
            name="conv",
        )(x)
        return nn.relu(batch_norm(train=train, dtype=self.dtype, name="norm")(y))


class LeakyConv(nn.Module):
    """Convolution with bias, leaky ReLU (0.01), no norm. Attributes as in `ConvBlock`."""

    features: int
    kernel: Sides = 3
    stride: Sides = 1
    padding: Sides = 1
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n ho wo o"]:
        y = _conv_of(self, x)
        return nn.leaky_relu(y, 0.01)


def check_one_pixel(x: Float[Array, "n h w c"], *, net: str, given: tuple[int, ...], hint: str):
    """Raises UserError, naming the net, unless `x` has been reduced to one pixel."""
    if x.shape[1:3] != (1, 1):
        raise UserError(
            f"{net}: its last layer leaves {x.shape[1]}x{x.shape[2]} of an input {given}, "
            f"want 1x1; {hint}"
        )


def check_lengths(net: str, *, channels: tuple[int, ...], repeats: tuple[int, ...], extra: int):
    """Raises UserError unless there is one repeat for each stage but the last `extra`."""
    if len(channels) != len(repeats) + extra:
        raise UserError(
            f"{net}: got {len(channels)} channels and {len(repeats)} repeats, "
            f"want {extra} more channels than repeats; change model"
        )
