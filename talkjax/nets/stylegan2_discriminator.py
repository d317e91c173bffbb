"""StyleGAN2's discriminator: residual blocks, and the spread of the minibatch as a feature.

Also StyleGAN3's. Source: StyleGAN2 (Karras et al., 2020), appendix B;
rosinality/stylegan2-pytorch@bef283a, model.py; NVlabs/stylegan3@c233a91,
training/networks_stylegan2.py.
"""

import math

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Float

from talkjax.arrays import Array
from talkjax.nets.style_layers import EqualConv, EqualDense
from talkjax.nets.stylegan2 import channels_at, resolutions
from talkjax.ops.resample import BINOMIAL_TAPS, upfirdn


class ResidualBlock(nn.Module):
    """To half the size: two 3x3 convolutions beside one 1x1; the sum over sqrt 2.

    Attributes:
      features: output channels.
      clamp: of the activations.
      dtype: of the computation.
    """

    features: int
    clamp: float | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b ho wo o"]:
        both = dict(clamp=self.clamp, dtype=self.dtype)
        y = EqualConv(x.shape[-1], 3, padding=1, **both, name="conv_0")(x)
        y = upfirdn(y, BINOMIAL_TAPS, padding=(2, 2))
        y = EqualConv(self.features, 3, stride=2, **both, name="conv_1")(y)
        # Blurred only where the 1x1 convolution will look.
        thin = upfirdn(x, BINOMIAL_TAPS, down=2, padding=(1, 1))
        skip = EqualConv(self.features, 1, activate=False, dtype=self.dtype, name="skip")(thin)
        return (y + skip) * jnp.asarray(1 / math.sqrt(2), y.dtype)


def minibatch_spread(x: Float[Array, "b h w c"], *, group: int) -> Float[Array, "b h w c+1"]:
    """`x` with one more channel: the mean standard deviation within each group of examples.

    Groups have min(group, b) examples; with m groups, example i belongs to group i mod m.
    Under `jit` the batch is the global one. Differs: the sources see one device's.

    Raises:
      ValueError: if the groups do not divide the batch.
    """
    b, h, w, c = x.shape
    size = min(group, b)
    if b % size:
        raise ValueError(f"minibatch spread: got {b} pictures, want a multiple of {size}")
    grouped = x.astype(jnp.float32).reshape(size, b // size, h, w, c)
    spread = jnp.sqrt(jnp.var(grouped, axis=0) + 1e-8)
    spread = jnp.tile(jnp.mean(spread, axis=(1, 2, 3)), size)  # b
    spread = jnp.broadcast_to(spread.reshape(b, 1, 1, 1), (b, h, w, 1))
    return jnp.concatenate([x, spread.astype(x.dtype)], axis=-1)


class StyleGan2Discriminator(nn.Module):
    """Is a picture real?

    Attributes:
      resolution, channel_base, channel_max, clamp: as in `StyleGan2`.
      group: of `minibatch_spread`.
      dtype: of the convolutions, but for the last; logits are float32.
    """

    resolution: int = 256
    channel_base: int = 32768
    channel_max: int = 512
    group: int = 4
    clamp: float | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, pictures: Float[Array, "b h w 3"], *, train: bool) -> Float[Array, " b"]:
        """Logits of "real" of pictures in [-1, 1].

        Args:
          pictures: RGB, of the net's resolution; b at most `group` or a multiple of it.
          train: has no effect (no norm, no dropout); every net takes it.

        Raises:
          ValueError: if the pictures are of another size.
        """
        del train
        sizes = resolutions(self.resolution)
        if pictures.shape[1:3] != (self.resolution, self.resolution):
            raise ValueError(
                f"StyleGan2Discriminator: got pictures of {pictures.shape[1:3]}, want "
                f"{self.resolution} px; resize them, or change model.resolution"
            )

        def channels(size: int) -> int:
            return channels_at(size, base=self.channel_base, most=self.channel_max)

        both = dict(clamp=self.clamp, dtype=self.dtype)
        x = EqualConv(channels(self.resolution), 1, **both, name="from_rgb")(pictures)
        for size in reversed(sizes[1:]):
            x = ResidualBlock(channels(size // 2), **both, name=f"block_{size}")(x)
        x = minibatch_spread(x.astype(jnp.float32), group=self.group)
        x = EqualConv(channels(4), 3, padding=1, clamp=self.clamp, name="conv_4")(x)
        x = x.reshape(x.shape[0], -1)
        x = EqualDense(channels(4), activate=True, name="dense")(x)
        return EqualDense(1, name="logit")(x)[:, 0]
