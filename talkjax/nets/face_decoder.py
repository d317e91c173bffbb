"""The decoder of SyncTalkFace: from a driving feature and a face pyramid to a picture.

Source: models/wav2lip.py (Decoder) of jinny960812/SyncTalkFace@9d5d08d.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Float

from talkjax.arrays import Array
from talkjax.errors import UserError
from talkjax.nets.conv import ConvBlock, ConvTransposeBlock, check_lengths, conv
from talkjax.ops.conv import depth_to_space


class FaceDecoder(nn.Module):
    """U-Net decoder; after each stage the encoder's output of the same size is appended.

    Attributes:
      channels: of each stage, one pixel first, full size last; as many as there are skips.
      repeats: residual blocks of each stage.
      head_channels: of the last block before the picture.
      patch: side of the squares of pixels that the last convolution draws at once, as in
        `FaceEncoder`.
      dtype: of the computation; the picture itself is float32.
    """

    channels: tuple[int, ...] = (512, 512, 512, 384, 256, 128, 64)
    repeats: tuple[int, ...] = (0, 1, 2, 2, 2, 2, 2)
    head_channels: int = 32
    patch: int = 1
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        driver: Float[Array, "n d"],
        skips: tuple[Float[Array, "n _ _ _"], ...],
        *,
        train: bool,
    ) -> Float[Array, "n h w 3"]:
        """Pictures in [-1, 1].

        Args:
          driver: what the lips shall do.
          skips: `FaceEncoder` output of the same faces, full size first.
          train: batch statistics rather than running ones.
        """
        check_lengths("FaceDecoder", channels=self.channels, repeats=self.repeats, extra=0)
        if len(skips) != len(self.channels):
            raise UserError(
                f"FaceDecoder: got {len(skips)} skips and {len(self.channels)} stages, want as "
                "many; change model.decoder or model.face_encoder"
            )
        x = driver[:, None, None, :].astype(self.dtype)
        stages = zip(self.channels, self.repeats, reversed(skips), strict=True)
        for i, (features, repeats, skip) in enumerate(stages):
            x = self._widen(i, features)(x, train=train)
            for j in range(repeats):
                name = f"stage_{i}_block_{j + 1}"
                block = ConvBlock(features, residual=True, dtype=self.dtype, name=name)
                x = block(x, train=train)
            x = jnp.concatenate([x, skip.astype(self.dtype)], axis=-1)
        x = ConvBlock(self.head_channels, dtype=self.dtype, name="head")(x, train=train)
        colours = 3 * self.patch**2
        last = conv(colours, 1, channels_in=self.head_channels, dtype=self.dtype, name="picture")
        return jnp.tanh(depth_to_space(last(x).astype(jnp.float32), self.patch))

    def _widen(self, stage: int, features: int) -> nn.Module:
        """The block a stage begins with: 1x1 to 1x1, to 4x4, then doubling."""
        name = f"stage_{stage}_block_0"
        if stage == 0:
            return ConvBlock(features, kernel=1, padding=0, dtype=self.dtype, name=name)
        if stage == 1:
            sizes = dict(kernel=4, stride=1, padding=0, output_padding=0)
            return ConvTransposeBlock(features, **sizes, dtype=self.dtype, name=name)
        return ConvTransposeBlock(features, dtype=self.dtype, name=name)
