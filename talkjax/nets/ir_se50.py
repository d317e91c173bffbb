"""IR-SE-50: the residual net behind pSp's encoder, and ArcFace's face recogniser on top of it.

Source: models/encoders/{helpers,model_irse}.py and criteria/id_loss.py of
eladrich/pixel2style2pixel@5cfff38, which follows TreB1eN/InsightFace_Pytorch.
"""

import math
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Float

from talkjax.arrays import AnyArray, Array
from talkjax.nets.conv import Sides, batch_norm, dense, pair, torch_kernel_init
from talkjax.ops.vectors import unit_vectors

# (channels, units) of each stage; the first unit of each halves the picture.
STAGES = ((64, 3), (128, 4), (256, 14), (512, 3))
SQUEEZE = 16
# What ArcFace looks at, and what of a 256 px face that is: rows, then columns.
ARCFACE_SIZE_PX = 112
FACE_SIZE_PX = 256
FACE_ROWS, FACE_COLUMNS = (35, 223), (32, 220)


class Pyramid(NamedTuple):
    """Features after the second, third and last stage: 1/4, 1/8 and 1/16 of the picture."""

    fine: Float[Array, "n h4 w4 d4"]
    middle: Float[Array, "n h8 w8 d8"]
    coarse: Float[Array, "n h16 w16 d16"]


class PReLU(nn.Module):
    """ReLU with a learnt slope per channel for what is negative.

    Differs: flax.linen.PReLU has one slope for all channels.
    """

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
        slope = self.param("slope", nn.initializers.constant(0.25), (x.shape[-1],), jnp.float32)
        return jnp.where(x >= 0, x, x * slope.astype(x.dtype).reshape(1, 1, 1, -1))


class Unit(nn.Module):
    """Norm, convolution, PReLU, convolution, norm, channel gates; plus the input.

    Attributes:
      features: output channels.
      stride: of the second convolution and of the shortcut.
      dtype: of the computation; parameters and statistics stay float32.
    """

    features: int
    stride: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"], *, train: bool) -> Float[Array, "n ho wo o"]:
        norm = {"train": train, "dtype": self.dtype}
        if x.shape[-1] == self.features:
            shortcut = x[:, :: self.stride, :: self.stride]
        else:
            shortcut = self._conv("shortcut_conv", 1, stride=self.stride)(x)
            shortcut = batch_norm(**norm, name="shortcut_norm")(shortcut)
        y = batch_norm(**norm, name="norm_in")(x)
        y = PReLU(name="prelu")(self._conv("conv_0", 3)(y))
        y = self._conv("conv_1", 3, stride=self.stride)(y)
        y = batch_norm(**norm, name="norm_out")(y)
        gates = jnp.mean(y, axis=(1, 2), keepdims=True)
        gates = nn.relu(self._conv("squeeze", 1, features=self.features // SQUEEZE)(gates))
        return y * nn.sigmoid(self._conv("excite", 1)(gates)) + shortcut.astype(y.dtype)

    def _conv(
        self, name: str, kernel: int, *, stride: int = 1, features: int | None = None
    ) -> nn.Conv:
        features = self.features if features is None else features
        return plain_conv(features, kernel, stride=stride, dtype=self.dtype, name=name)


class IrSe50(nn.Module):
    """The 24 units, and what pSp takes from between them.

    Attributes:
      stages: (channels, units) of each of the four stages; the first has as many channels as
        the stem.
      dtype: of the computation.
    """

    stages: tuple[tuple[int, int], ...] = STAGES
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: Float[Array, "n h w c"], *, train: bool) -> Pyramid:
        """Features of pictures in [-1, 1], RGB."""
        if len(self.stages) != 4:
            raise ValueError(f"IrSe50: got {len(self.stages)} stages, want 4; change model")
        x = images.astype(self.dtype)
        x = plain_conv(self.stages[0][0], 3, dtype=self.dtype, name="stem_conv")(x)
        x = batch_norm(train=train, dtype=self.dtype, name="stem_norm")(x)
        x = PReLU(name="stem_prelu")(x)
        ends, number = [], 0
        for features, units in self.stages:
            for unit in range(units):
                stride = 1 if unit else 2
                x = Unit(features, stride, dtype=self.dtype, name=f"unit_{number}")(x, train=train)
                number += 1
            ends.append(x)
        return Pyramid(*ends[1:])


class ArcFace(nn.Module):
    """A unit vector of each face; the cosine of two says whether they are one person.

    Made for frozen use. Differs: has no dropout (0.4) before the last layer, which counts in
    training only; and flattens rows, columns, channels, which the import reckons with.

    Attributes:
      width: of the embedding.
      affine: whether the last norm has a scale and a bias.
      stages: see `IrSe50`.
      dtype: of the computation; the embedding is float32.
    """

    width: int = 512
    affine: bool = True
    stages: tuple[tuple[int, int], ...] = STAGES
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, faces: Float[Array, "n h w c"], *, train: bool = False
    ) -> Float[Array, "n d"]:
        """Embeds faces in [-1, 1], RGB, 112 px square: `face_crop` makes them."""
        if faces.shape[1:3] != (ARCFACE_SIZE_PX, ARCFACE_SIZE_PX):
            raise ValueError(
                f"ArcFace: got pictures of {faces.shape[1]}x{faces.shape[2]}, want "
                f"{ARCFACE_SIZE_PX}x{ARCFACE_SIZE_PX}; see face_crop"
            )
        x = IrSe50(self.stages, dtype=self.dtype, name="backbone")(faces, train=train).coarse
        x = batch_norm(train=train, dtype=self.dtype, name="norm_in")(x)
        x = x.reshape(len(x), -1)  # n (7 7 512)
        x = dense(self.width, features_in=x.shape[-1], dtype=self.dtype, name="linear")(x)
        x = nn.BatchNorm(
            use_running_average=not train,
            momentum=0.9,
            epsilon=1e-5,
            use_scale=self.affine,
            use_bias=self.affine,
            dtype=self.dtype,
            name="norm_out",
        )(x)
        return unit_vectors(x)


def face_crop(images: Float[AnyArray, "n h w c"]) -> Float[Array, "n 112 112 c"]:
    """What ArcFace sees of aligned faces: without hair and borders, 112 px.

    Args:
      images: aligned as FFHQ. Of another size than 256 px they are brought to it by averaging.

    Source: criteria/id_loss.py (`extract_feats`), models/psp.py (`face_pool`).
    """
    if images.shape[1:3] != (FACE_SIZE_PX, FACE_SIZE_PX):
        images = adaptive_average(images, FACE_SIZE_PX)
    inner = images[:, slice(*FACE_ROWS), slice(*FACE_COLUMNS)]
    return adaptive_average(inner, ARCFACE_SIZE_PX)


def adaptive_average(
    images: Float[AnyArray, "n h w c"], size_px: int
) -> Float[Array, "n size size c"]:
    """Means over size_px x size_px cells that cover the picture, and overlap where they must.

    Source: torch.nn.AdaptiveAvgPool2d.
    """
    rows, columns = (_cell_weights(side, size_px) for side in images.shape[1:3])
    return jnp.einsum("nhwc,ih,jw->nijc", images, rows, columns)


def _cell_weights(side: int, cells: int) -> Float[np.ndarray, "i h"]:
    """(cells, side) weights of the means along one side."""
    weights = np.zeros((cells, side), np.float32)
    for cell in range(cells):
        first, end = cell * side // cells, math.ceil((cell + 1) * side / cells)
        weights[cell, first:end] = 1 / (end - first)
    return weights


def plain_conv(
    features: int,
    kernel: Sides,
    *,
    stride: int = 1,
    dtype: DTypeLike = jnp.float32,
    name: str | None = None,
) -> nn.Conv:
    """A convolution without bias that keeps the size (over the stride)."""
    kernel = pair(kernel)
    return nn.Conv(
        features,
        kernel,
        strides=(stride, stride),
        padding=[(k // 2, k // 2) for k in kernel],
        use_bias=False,
        dtype=dtype,
        kernel_init=torch_kernel_init,
        name=name,
    )
