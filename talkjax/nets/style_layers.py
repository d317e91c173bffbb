"""What StyleGAN2, its discriminator and StyleGAN3 share: layers with run-time scale, mapping.

Weights are drawn from N(0, 1) and multiplied at run time by lr_mul / sqrt(fan in), so that an
optimiser that normalises steps (Adam) moves every layer at the same relative speed.

Source: StyleGAN2 (Karras et al., 2020); rosinality/stylegan2-pytorch@bef283a, model.py and
NVlabs/stylegan3@c233a91, training/networks_stylegan2.py.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Float

from talkjax.arrays import Array
from talkjax.ops.conv import DIMENSIONS

SLOPE = 0.2
LRELU_GAIN = math.sqrt(2)
# Of the running mean of w.
W_AVERAGE_BETA = 0.998

normal_init = nn.initializers.normal(1.0)


def leaky_relu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Leaky ReLU (0.2) times sqrt 2, which about keeps the variance."""
    return nn.leaky_relu(x, SLOPE) * jnp.asarray(LRELU_GAIN, x.dtype)


def clamped(x: Float[Array, "*shape"], limit: float | None) -> Float[Array, "*shape"]:
    """`x` within [-limit, limit]; all of it if there is no limit."""
    return x if limit is None else jnp.clip(x, -limit, limit)


class EqualDense(nn.Module):
    """Linear layer with run-time scale; float32 throughout.

    Attributes:
      features: outputs.
      lr_mul: of weights and biases, which are stored divided by it.
      weight_scale: of the initial weights (0: they start at 0).
      bias: initial value of the biases, one or one for each output.
      activate: leaky ReLU afterwards.
    """

    features: int
    lr_mul: float = 1.0
    weight_scale: float = 1.0
    bias: float | tuple[float, ...] = 0.0
    activate: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "b d"]) -> Float[Array, "b o"]:
        def init(key, shape):
            return self.weight_scale / self.lr_mul * jax.random.normal(key, shape)

        def bias_init(key, shape):
            del key
            return jnp.broadcast_to(jnp.asarray(self.bias, jnp.float32), shape) / self.lr_mul

        kernel = self.param("kernel", init, (x.shape[-1], self.features))
        bias = self.param("bias", bias_init, (self.features,))
        y = x.astype(jnp.float32) @ (kernel * (self.lr_mul / math.sqrt(x.shape[-1])))
        y = y + bias.reshape(1, -1) * self.lr_mul
        return leaky_relu(y) if self.activate else y


class EqualConv(nn.Module):
    """Convolution with run-time scale.

    Attributes:
      features, kernel: output channels, and rows (and columns) of the kernel.
      stride, padding: of the convolution.
      activate: with a bias, and leaky ReLU afterwards; else without both.
      clamp: of the activations.
      dtype: of the computation.
    """

    features: int
    kernel: int
    stride: int = 1
    padding: int = 0
    activate: bool = True
    clamp: float | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b ho wo o"]:
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        kernel = self.param("kernel", normal_init, shape)
        kernel = kernel / math.sqrt(math.prod(shape[:3]))
        y = lax.conv_general_dilated(
            x.astype(self.dtype),
            kernel.astype(self.dtype),
            (self.stride, self.stride),
            [(self.padding, self.padding)] * 2,
            dimension_numbers=DIMENSIONS,
        )
        if not self.activate:
            return y
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return clamped(leaky_relu(y + bias.astype(y.dtype).reshape(1, 1, 1, -1)), self.clamp)


class Mapping(nn.Module):
    """z -> W+ (one w, repeated), and the running mean of w that truncation aims at.

    Attributes:
      styles: number of style layers, to which w is repeated.
      layers: fully connected ones, as wide as w.
      width: of w.
      lr_mul: of the layers.
    """

    styles: int
    layers: int = 8
    width: int = 512
    lr_mul: float = 0.01

    @nn.compact
    def __call__(
        self,
        z: Float[Array, "b z"],
        *,
        truncation: float = 1.0,
        truncated_styles: int | None = None,
        train: bool,
    ) -> Float[Array, "b e d"]:
        """W+ of each z, float32.

        Args:
          z: noise, N(0, 1).
          truncation: of the distance from the mean of w that is kept; 1 keeps w.
          truncated_styles: how many styles, from the coarsest, are truncated; None: all.
          train: move the running mean "w_avg" of the collection "averages" (which must then
            be mutable).
        """
        x = z.astype(jnp.float32)
        x = x * lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + 1e-8)
        for i in range(self.layers):
            x = EqualDense(self.width, self.lr_mul, activate=True, name=f"layer_{i}")(x)
        average = self.variable("averages", "w_avg", jnp.zeros, (self.width,), jnp.float32)
        if train and not self.is_initializing():
            mean = jnp.mean(lax.stop_gradient(x), axis=0)
            average.value = mean + W_AVERAGE_BETA * (average.value - mean)
        ws = jnp.broadcast_to(x[:, None], (x.shape[0], self.styles, self.width))
        if truncation == 1.0:
            return ws
        centre = average.value.reshape(1, 1, -1)
        nearer = centre + truncation * (ws - centre)
        last = self.styles if truncated_styles is None else truncated_styles
        return jnp.concatenate([nearer[:, :last], ws[:, last:]], axis=1)


def check_styles(net: str, ws: Float[Array, "b e d"], *, count: int):
    """Raises ValueError, naming the net, unless `ws` has one style for each layer."""
    if ws.shape[1] != count:
        raise ValueError(
            f"{net}: got {ws.shape[1]} styles, want {count}; give W+ of shape "
            f"(examples, {count}, width), or change model"
        )
