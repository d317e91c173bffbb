"""StyleGAN2's generator: a mapping from noise to styles, and a synthesis from styles.

A picture of side 4 * 2^k takes 2 k + 2 styles (10 at 64 px, 14 at 256, 18 at 1024), W+. Every
to-RGB layer shares its style with the up-convolution after it. Both public codes
(rosinality's, NVIDIA's) are this net; `talkjax.weights.stylegan2` reads their weights.

Source: StyleGAN2 (Karras et al., 2020); rosinality/stylegan2-pytorch@bef283a, model.py;
NVlabs/stylegan3@c233a91, training/networks_stylegan2.py.
"""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
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
from talkjax.ops.modulated_conv import modulated_conv
from talkjax.ops.resample import BINOMIAL_TAPS, upfirdn

SMALLEST_PX = 4
NOISE_MODES = ("const", "random", "none")
# A mode, or one map for each styled convolution, from the smallest.
Noise = str | Sequence[Float[Array, "_ _ _ 1"]]


def resolutions(resolution: int) -> tuple[int, ...]:
    """(4, 8, ..., resolution), in pixels.

    Raises:
      ValueError: if the resolution is no power of two from 8.
    """
    count = resolution.bit_length() - 3
    if resolution < 2 * SMALLEST_PX or resolution != SMALLEST_PX << count:
        raise ValueError(
            f"resolution: got {resolution}, want a power of two, at least 8; change model"
        )
    return tuple(SMALLEST_PX << i for i in range(count + 1))


def channels_at(resolution_px: int, *, base: int, most: int) -> int:
    """Channels of the layers of one size: base / size, at most `most`."""
    return min(base // resolution_px, most)


class StyledConv(nn.Module):
    """Modulated 3x3 convolution, noise, bias, leaky ReLU; perhaps to twice the size.

    Attributes:
      features: output channels.
      stretch: to twice the size, by a transposed convolution and a blur.
      clamp: of the activations.
      dtype: of the convolution; styles are float32.

    Its noise map, of the collection "noise", is drawn at init and stays.
    """

    features: int
    stretch: bool = False
    clamp: float | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], w: Float[Array, "b d"], *, noise: str | Array
    ) -> Float[Array, "b ho wo o"]:
        """Features; `noise` is a mode of `NOISE_MODES` or the map itself (b ho wo 1)."""
        style = EqualDense(x.shape[-1], bias=1.0, name="affine")(w)
        kernel = self.param("kernel", normal_init, (3, 3, x.shape[-1], self.features))
        y = modulated_conv(
            x.astype(self.dtype),
            kernel / math.sqrt(9 * x.shape[-1]),
            style,
            demodulate=True,
            padding=1,
            stretch=self.stretch,
        )
        if self.stretch:
            y = upfirdn(y, 2 * BINOMIAL_TAPS, padding=(1, 1))
        strength = self.param("noise_strength", nn.initializers.zeros, (1,))
        added = self._noise(noise, y.shape)
        if added is not None:
            y = y + (strength.reshape(1, 1, 1, 1) * added).astype(y.dtype)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        y = leaky_relu(y + bias.astype(y.dtype).reshape(1, 1, 1, -1))
        return clamped(y, self.clamp)

    def _noise(self, noise: str | Array, shape) -> Array | None:
        b, h, w, _ = shape
        stored = self.variable(
            "noise", "map", lambda: normal_init(self.make_rng("params"), (h, w), jnp.float32)
        )
        if not isinstance(noise, str):
            return jnp.broadcast_to(noise, (b, h, w, 1))
        if noise == "none":
            return None
        if noise == "const":
            return stored.value.reshape(1, h, w, 1)
        return normal_init(self.make_rng("noise"), (b, h, w, 1), jnp.float32)


class ToRgb(nn.Module):
    """Modulated 1x1 convolution to three channels, with bias; no demodulation.

    Attributes:
      clamp: of the result.
      dtype: of the convolution; the result is float32.
    """

    clamp: float | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], w: Float[Array, "b d"]
    ) -> Float[Array, "b h w 3"]:
        channels = x.shape[-1]
        style = EqualDense(channels, bias=1.0, name="affine")(w) / math.sqrt(channels)
        kernel = self.param("kernel", normal_init, (1, 1, channels, 3))
        y = modulated_conv(x.astype(self.dtype), kernel, style, demodulate=False)
        bias = self.param("bias", nn.initializers.zeros, (3,))
        return clamped(y.astype(jnp.float32) + bias.reshape(1, 1, 1, 3), self.clamp)


class Synthesis(nn.Module):
    """W+ -> picture. Attributes as in `StyleGan2`."""

    resolution: int
    channel_base: int
    channel_max: int
    clamp: float | None
    dtype: DTypeLike

    @nn.compact
    def __call__(self, ws: Float[Array, "b e d"], *, noise: Noise) -> Float[Array, "b h w 3"]:
        sizes = resolutions(self.resolution)
        check_styles("StyleGan2", ws, count=2 * len(sizes))
        noises = _noises(noise, count=2 * len(sizes) - 1)
        both = dict(clamp=self.clamp, dtype=self.dtype)

        def styled(x, w, size: int, stretch: bool, name: str):
            features = channels_at(size, base=self.channel_base, most=self.channel_max)
            layer = StyledConv(features, stretch=stretch, **both, name=name)
            return layer(x, w, noise=noises.pop(0))

        features = channels_at(SMALLEST_PX, base=self.channel_base, most=self.channel_max)
        x = self.param("constant", normal_init, (SMALLEST_PX, SMALLEST_PX, features))
        x = jnp.broadcast_to(x[None], (ws.shape[0], *x.shape))
        x = styled(x, ws[:, 0], SMALLEST_PX, False, "conv_4")
        rgb = ToRgb(**both, name="to_rgb_4")(x, ws[:, 1])
        for i, size in enumerate(sizes[1:]):
            x = styled(x, ws[:, 2 * i + 1], size, True, f"up_conv_{size}")
            x = styled(x, ws[:, 2 * i + 2], size, False, f"conv_{size}")
            rgb = upfirdn(rgb, 2 * BINOMIAL_TAPS, up=2, padding=(2, 1))
            rgb = rgb + ToRgb(**both, name=f"to_rgb_{size}")(x, ws[:, 2 * i + 3])
        return rgb


class StyleGan2(nn.Module):
    """The whole generator.

    Attributes:
      resolution: side of the picture, pixels, a power of two.
      channel_base, channel_max: channels of size s are channel_base / s, at most channel_max.
        32768 and 512 are the public 1024 px nets (rosinality's channel multiplier 2), 16384
        that of most public 256 px ones.
      mapping_layers, width: depth of the mapping, and of w (and z).
      clamp: of activations; NVIDIA's later code has 256, rosinality's none.
      dtype: of convolutions; styles, demodulation and the picture's sum are float32.
    """

    resolution: int = 256
    channel_base: int = 32768
    channel_max: int = 512
    mapping_layers: int = 8
    width: int = 512
    clamp: float | None = None
    dtype: DTypeLike = jnp.float32

    @property
    def styles(self) -> int:
        """How many styles W+ has."""
        return 2 * len(resolutions(self.resolution))

    def setup(self):
        self.mapping = Mapping(self.styles, self.mapping_layers, self.width)
        self.synthesis = Synthesis(
            self.resolution, self.channel_base, self.channel_max, self.clamp, self.dtype
        )

    def __call__(
        self,
        z: Float[Array, "b d"],
        *,
        noise: Noise = "const",
        truncation: float = 1.0,
        train: bool,
    ) -> Float[Array, "b h w 3"]:
        """Pictures of noise z: `synthesize` of `map_styles`."""
        ws = self.map_styles(z, truncation=truncation, train=train)
        return self.synthesize(ws, noise=noise, train=train)

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
        self, ws: Float[Array, "b e d"], *, noise: Noise = "const", train: bool
    ) -> Float[Array, "b h w 3"]:
        """Pictures (RGB, nominally in [-1, 1], not clipped, float32) of W+.

        Args:
          ws: styles, from the coarsest.
          noise: "const": the stored maps, the same for all; "random": fresh ones, from the
            stream "noise"; "none"; or the maps themselves, one for each styled convolution.
          train: has no effect; every net takes it.

        Raises:
          ValueError: if the number of styles or of maps is another than the net's.
        """
        del train
        return self.synthesis(ws, noise=noise)


def _noises(noise: Noise, *, count: int) -> list:
    if isinstance(noise, str):
        if noise not in NOISE_MODES:
            raise ValueError(f"noise: got {noise!r}, want one of {NOISE_MODES} or the maps")
        return [noise] * count
    if len(noise) != count:
        raise ValueError(f"noise: got {len(noise)} maps, want {count}, one for each convolution")
    return list(noise)
