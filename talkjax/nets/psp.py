"""pSp's GradualStyleEncoder: a picture of a face to a style vector for each layer of StyleGAN.

The residual net (`nets/ir_se50.py`) gives three maps; coarse styles come from the coarsest,
each through a small net of its own that ends in one pixel.

Source: models/encoders/psp_encoders.py and models/psp.py of eladrich/pixel2style2pixel@5cfff38;
Richardson et al. 2021, section 3.
"""

import math

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Float

from talkjax.arrays import Array
from talkjax.nets.conv import check_one_pixel, conv
from talkjax.nets.ir_se50 import STAGES, IrSe50

# Styles below these come from the coarse and the middle map, the rest from the fine one.
COARSE_STYLES, MIDDLE_STYLES = 3, 7
LEAK = 0.01


class EqualizedDense(nn.Module):
    """A linear layer whose weight is stored with unit variance and scaled when it is used.

    Source: EqualLinear of rosinality/stylegan2-pytorch, without activation, lr_mul 1.
    """

    features: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "n c"]) -> Float[Array, "n d"]:
        shape = (x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.normal(1.0), shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        scaled = (kernel / math.sqrt(x.shape[-1])).astype(self.dtype)
        return x.astype(self.dtype) @ scaled + bias.astype(self.dtype).reshape(1, -1)


class StyleHead(nn.Module):
    """One style of each picture: stride-2 convolutions down to one pixel, then a linear layer.

    Attributes:
      width: of the style and of all layers.
      dtype: of the computation.
    """

    width: int = 512
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n d"]:
        given = x.shape
        for i in range(round(math.log2(given[1]))):
            layer = conv(
                self.width,
                3,
                channels_in=x.shape[-1],
                stride=2,
                padding=1,
                dtype=self.dtype,
                name=f"conv_{i}",
            )
            x = nn.leaky_relu(layer(x), LEAK)
        check_one_pixel(x, net="StyleHead", given=given, hint="give square pictures of 2^n px")
        return EqualizedDense(self.width, dtype=self.dtype, name="linear")(x[:, 0, 0])


class GradualStyleEncoder(nn.Module):
    """Styles (W+) of faces for a StyleGAN2 or StyleGAN3 generator.

    The mean style, from which the encoder's output is an offset, is no parameter: it lies in
    the collection "average" as `latent`, (e, d), and is zero until it is imported or set.

    Attributes:
      num_styles: of the generator: 2 log2(resolution) - 2, that is 18 at 1024 px and 14 at 256;
        16 for StyleGAN3.
      start_from_average: add the mean style; pSp does for all faces.
      width: of a style.
      stages: see `IrSe50`.
      dtype: of the computation; styles are float32.
    """

    num_styles: int = 18
    start_from_average: bool = True
    width: int = 512
    stages: tuple[tuple[int, int], ...] = STAGES
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: Float[Array, "n h w c"], *, train: bool) -> Float[Array, "n e d"]:
        """Styles of pictures in [-1, 1], RGB, 256 px in public weights."""
        maps = IrSe50(self.stages, dtype=self.dtype, name="backbone")(images, train=train)
        middle = self._lateral(maps.coarse, maps.middle, "lateral_1")
        fine = self._lateral(middle, maps.fine, "lateral_2")
        styles = []
        for j in range(self.num_styles):
            source = maps.coarse if j < COARSE_STYLES else middle if j < MIDDLE_STYLES else fine
            styles.append(StyleHead(self.width, dtype=self.dtype, name=f"style_{j}")(source))
        codes = jnp.stack(styles, axis=1).astype(jnp.float32)  # n e d
        if not self.start_from_average:
            return codes
        average = self.variable("average", "latent", jnp.zeros, codes.shape[1:], jnp.float32)
        return codes + average.value[None]

    def _lateral(
        self, coarser: Float[Array, "n h w d"], finer: Float[Array, "n h2 w2 c"], name: str
    ) -> Float[Array, "n h2 w2 d"]:
        """The coarser map at the size of the finer one, which is added through a 1x1 layer."""
        layer = conv(coarser.shape[-1], 1, channels_in=finer.shape[-1], dtype=self.dtype, name=name)
        return resize_aligned(coarser, finer.shape[1:3]) + layer(finer)


def resize_aligned(
    x: Float[Array, "n h w c"], size_hw: tuple[int, int]
) -> Float[Array, "n ho wo c"]:
    """Bilinear, with the centres of the corner pixels of both maps on one another.

    Source: torch.nn.functional.interpolate, align_corners=True. Differs: jax.image.resize aligns
    the corners of the maps themselves.
    """
    rows, columns = (
        _aligned_weights(side, out).astype(x.dtype)
        for side, out in zip(x.shape[1:3], size_hw, strict=True)
    )
    return jnp.einsum("nhwc,ih,jw->nijc", x, rows, columns)


def _aligned_weights(side: int, out: int) -> Float[np.ndarray, "i h"]:
    """(out, side) weights along one side."""
    places = np.arange(out) * ((side - 1) / max(out - 1, 1))
    return np.maximum(0.0, 1.0 - np.abs(places[:, None] - np.arange(side)))
