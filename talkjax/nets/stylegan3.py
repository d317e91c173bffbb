"""StyleGAN3's generator: alias-free layers on Fourier features, for both configurations.

16 styles at every resolution: w_0 turns and moves the Fourier features, w_1 to w_14 are those
of the layers, w_15 that of the to-RGB layer. Configuration T (translation) has 3x3 kernels and
separable filters; R (rotation) has 1x1 kernels, radial filters and, as published, twice the
channels.

Source: StyleGAN3 (Karras et al., 2021); NVlabs/stylegan3@c233a91,
training/networks_stylegan3.py.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Float

from talkjax.arrays import Array
from talkjax.nets.style_layers import (
    EqualDense,
    Mapping,
    check_styles,
    clamped,
    leaky_relu,
    normal_init,
)
from talkjax.nets.stylegan3_plan import STYLES, InputPlan, LayerPlan, plan
from talkjax.ops.modulated_conv import modulated_conv
from talkjax.ops.resample import upfirdn

# What the published 256 px configuration R has instead of T's settings.
CONFIG_R = {"config": "r", "channel_base": 32768, "channel_max": 1024}
CLAMP = 256.0
OUTPUT_SCALE = 0.25
MAGNITUDE_BETA = 0.999
TURNED_BY_NOTHING = (1.0, 0.0, 0.0, 0.0)


def draw_frequencies(key: Array, count: int, *, cutoff: float) -> Float[Array, "c 2"]:
    """Random points, about uniform in the disc of radius `cutoff` (cycles per side)."""
    points = jax.random.normal(key, (count, 2))
    radii = jnp.sqrt(jnp.sum(jnp.square(points), axis=1, keepdims=True))
    return points / (radii * jnp.exp(0.25 * jnp.square(radii))) * cutoff


class FourierInput(nn.Module):
    """Sines on a plane that the style turns and moves, then mixed linearly; float32.

    Attributes:
      plan: how many sines, on which grid.

    The frequencies (cycles per side) and phases (turns), drawn at init, and a further fixed
    3x3 transform of the plane are in the collection "buffers".
    """

    plan: InputPlan

    @nn.compact
    def __call__(
        self, w: Float[Array, "b d"], *, transform: Float[Array, "*batch 3 3"] | None
    ) -> Float[Array, "b h w c"]:
        count, side, rate, cutoff = self.plan
        frequencies = self.variable(
            "buffers",
            "frequencies",
            lambda: draw_frequencies(self.make_rng("params"), count, cutoff=cutoff),
        ).value
        phases = self.variable(
            "buffers", "phases", lambda: jax.random.uniform(self.make_rng("params"), (count,)) - 0.5
        ).value
        stored = self.variable("buffers", "transform", lambda: jnp.eye(3)).value
        pose = EqualDense(4, weight_scale=0.0, bias=TURNED_BY_NOTHING, name="affine")(w)
        plane = _plane(pose)
        further = jnp.broadcast_to(stored if transform is None else transform, plane.shape)
        moved = jnp.matmul(plane, further, precision="highest")  # b 3 3
        # By products, not by a matrix multiplication: accelerators would round the phases.
        fx, fy = (frequencies[:, i].reshape(1, -1) for i in range(2))
        turned_x, turned_y, shift = (
            fx * moved[:, 0, i].reshape(-1, 1) + fy * moved[:, 1, i].reshape(-1, 1)
            for i in range(3)
        )  # b c
        length = jnp.sqrt(jnp.square(turned_x) + jnp.square(turned_y))
        audible = jnp.clip(1 - (length - cutoff) / (rate / 2 - cutoff), 0, 1)
        at = (jnp.arange(side) + 0.5 - side / 2) / rate
        rows = at.reshape(1, -1, 1, 1) * turned_y[:, None, None]
        columns = at.reshape(1, 1, -1, 1) * turned_x[:, None, None]
        phase = rows + columns + (shift + phases.reshape(1, -1))[:, None, None]
        sines = jnp.sin(2 * jnp.pi * phase) * audible[:, None, None]  # b h w c
        kernel = self.param("kernel", normal_init, (count, count))
        return sines @ (kernel / math.sqrt(count))


def _plane(pose: Float[Array, "b 4"]) -> Float[Array, "b 3 3"]:
    """(cosine, sine, x, y), of any length of the first two -> rotation after translation."""
    pose = pose / jnp.sqrt(jnp.sum(jnp.square(pose[:, :2]), axis=1, keepdims=True))
    c, s, x, y = (pose[:, i] for i in range(4))
    zero, one = jnp.zeros_like(c), jnp.ones_like(c)
    rows = [[c, -s, s * y - c * x], [s, c, -s * x - c * y], [zero, zero, one]]
    return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)


class AliasFreeLayer(nn.Module):
    """Modulated convolution, then a leaky ReLU at a higher rate, between two filters.

    Attributes:
      plan: sizes and filters.
      dtype: of the computation; of the to-RGB layer, of its convolution only.

    The running mean square of its input is "magnitude" of the collection "averages".
    """

    plan: LayerPlan
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], w: Float[Array, "b d"], *, train: bool
    ) -> Float[Array, "b ho wo o"]:
        p = self.plan
        gain = lax.rsqrt(self._magnitude(x, train=train)).reshape(1, 1, 1, 1)
        style = EqualDense(p.in_channels, bias=1.0, name="affine")(w)
        shape = (p.kernel, p.kernel, p.in_channels, p.out_channels)
        kernel = self.param("kernel", normal_init, shape)
        if p.to_rgb:
            style = style / math.sqrt(p.in_channels)
        else:
            mean_squares = jnp.mean(jnp.square(kernel), axis=(0, 1, 2), keepdims=True)
            kernel = kernel * lax.rsqrt(mean_squares)
            style = style * lax.rsqrt(jnp.mean(jnp.square(style)))
        y = modulated_conv(
            x.astype(self.dtype),
            kernel,
            style,
            demodulate=not p.to_rgb,
            padding=p.kernel - 1,
        )
        bias = self.param("bias", nn.initializers.zeros, (p.out_channels,)).reshape(1, 1, 1, -1)
        if p.to_rgb:
            return clamped(y.astype(jnp.float32) * gain + bias, CLAMP)
        y = y * gain.astype(y.dtype) + bias.astype(y.dtype)
        y = upfirdn(y, p.up * p.up_taps(), up=p.up, padding=p.padding)
        return upfirdn(clamped(leaky_relu(y), CLAMP), p.down_taps(), down=p.down)

    def _magnitude(self, x, *, train: bool) -> Float[Array, "1"]:
        magnitude = self.variable("averages", "magnitude", jnp.ones, (1,), jnp.float32)
        if train and not self.is_initializing():
            now = jnp.mean(jnp.square(lax.stop_gradient(x).astype(jnp.float32)))
            magnitude.value = now + MAGNITUDE_BETA * (magnitude.value - now)
        return magnitude.value


class Synthesis3(nn.Module):
    """W+ -> picture. Attributes as in `StyleGan3`."""

    resolution: int
    channel_base: int
    channel_max: int
    config: str
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self,
        ws: Float[Array, "b e d"],
        *,
        transform: Float[Array, "*batch 3 3"] | None,
        train: bool,
    ) -> Float[Array, "b h w 3"]:
        check_styles("StyleGan3", ws, count=STYLES)
        first, layers = plan(
            self.resolution,
            channel_base=self.channel_base,
            channel_max=self.channel_max,
            config=self.config,
        )
        x = FourierInput(first, name="input")(ws[:, 0], transform=transform)
        for i, layer in enumerate(layers):
            x = AliasFreeLayer(layer, self.dtype, name=f"layer_{i}")(x, ws[:, i + 1], train=train)
        return x * OUTPUT_SCALE


class StyleGan3(nn.Module):
    """The whole generator; its discriminator is `StyleGan2Discriminator`.

    Attributes:
      resolution: side of the picture, pixels, a power of two.
      channel_base, channel_max: a layer that keeps frequencies up to f (cycles per side) has
        channel_base / (2 f) channels, at most channel_max. As they are for either
        configuration: nothing is doubled for R (see `CONFIG_R`).
      config: "t" or "r".
      mapping_layers, width: depth of the mapping, and of w (and z).
      dtype: of the layers; the Fourier features, styles and demodulation are float32.
    """

    resolution: int = 256
    channel_base: int = 16384
    channel_max: int = 512
    config: str = "t"
    mapping_layers: int = 2
    width: int = 512
    dtype: DTypeLike = jnp.float32

    @property
    def styles(self) -> int:
        """How many styles W+ has."""
        return STYLES

    def setup(self):
        self.mapping = Mapping(STYLES, self.mapping_layers, self.width)
        self.synthesis = Synthesis3(
            self.resolution, self.channel_base, self.channel_max, self.config, self.dtype
        )

    def __call__(
        self, z: Float[Array, "b d"], *, truncation: float = 1.0, train: bool
    ) -> Float[Array, "b h w 3"]:
        """Pictures of noise z: `synthesize` of `map_styles`."""
        ws = self.map_styles(z, truncation=truncation, train=train)
        return self.synthesize(ws, train=train)

    def map_styles(
        self,
        z: Float[Array, "b d"],
        *,
        truncation: float = 1.0,
        truncated_styles: int | None = None,
        train: bool,
    ) -> Float[Array, "b e d"]:
        """W+ of noise z; see `Mapping`."""
        return self.mapping(
            z, truncation=truncation, truncated_styles=truncated_styles, train=train
        )

    def synthesize(
        self,
        ws: Float[Array, "b e d"],
        *,
        transform: Float[Array, "*batch 3 3"] | None = None,
        train: bool,
    ) -> Float[Array, "b h w 3"]:
        """Pictures (RGB, nominally in [-1, 1], not clipped, float32) of W+.

        Args:
          ws: styles, from the coarsest; the first turns and moves the picture.
          transform: of the plane of the Fourier features, instead of the stored one; one, or
            one for each example. Picture coordinates are 1 per side, the origin central.
          train: move the running magnitudes of the collection "averages" (which must then be
            mutable).

        Raises:
          ValueError: if the number of styles is another than 16.
        """
        return self.synthesis(ws, transform=transform, train=train)
