"""Discriminators. So far the visual-quality one of SyncTalkFace.

Source: models/wav2lip.py (disc_qual) of jinny960812/SyncTalkFace@9d5d08d.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Float

from talkjax.arrays import Array
from talkjax.nets.conv import LeakyConv, check_lengths, check_one_pixel, conv
from talkjax.ops.conv import space_to_depth


class QualityDiscriminator(nn.Module):
    """Is the lower half of a single frame real?

    Attributes:
      channels: of each stage, and of the one-pixel stage.
      kernels: of every stage but the last, which has 4x4 and 1x1. Stage 0 keeps the size,
        stage 1 halves the columns (so that the half frame is square), the others halve both.
      patch: side of the squares of pixels that stage 0 sees as one; 1 in the source.
      dtype: of the computation; logits are float32.

    Differs: the source returns probabilities; a sigmoid of these logits.
    """

    channels: tuple[int, ...] = (32, 64, 128, 256, 512, 512, 512)
    kernels: tuple[int, ...] = (7, 5, 5, 5, 3, 3)
    patch: int = 1
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, half_frames: Float[Array, "n h w c"], *, train: bool) -> Float[Array, " n"]:
        """Logits of "real".

        Args:
          half_frames: lower halves, twice as wide as high, in [-1, 1].
          train: has no effect (no norm, no dropout); every net takes it.
        """
        del train
        check_lengths("QualityDiscriminator", channels=self.channels, repeats=self.kernels, extra=1)
        x = space_to_depth(half_frames.astype(self.dtype), self.patch)
        for i, (features, kernel) in enumerate(zip(self.channels[:-1], self.kernels, strict=True)):
            same = dict(features=features, kernel=kernel, padding=kernel // 2, dtype=self.dtype)
            stride = {0: 1, 1: (1, 2)}.get(i, 2)
            x = LeakyConv(**same, stride=stride, name=f"stage_{i}_block_0")(x)
            if i > 0:
                x = LeakyConv(**same, name=f"stage_{i}_block_1")(x)
        i = len(self.kernels)
        last = dict(features=self.channels[-1], padding=0, dtype=self.dtype)
        x = LeakyConv(**last, kernel=4, name=f"stage_{i}_block_0")(x)
        x = LeakyConv(**last, kernel=1, name=f"stage_{i}_block_1")(x)
        hint = "drop or add one entry of channels and kernels for each halving of the picture"
        check_one_pixel(x, net="QualityDiscriminator", given=half_frames.shape, hint=hint)
        logits = conv(1, 1, channels_in=x.shape[-1], dtype=self.dtype, name="logit")(x)
        return logits[:, 0, 0, 0].astype(jnp.float32)
