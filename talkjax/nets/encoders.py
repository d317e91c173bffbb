"""Encoders of SyncTalkFace: speech, lips, and the face that is to be re-lipped.

Default sizes are the published ones (128 px). In every encoder the last entry of `channels`
is the width of the layers that leave one pixel; `repeats` counts residual blocks a stage.
Features are ReLU outputs, so never negative.

Source: models/wav2lip.py of jinny960812/SyncTalkFace@9d5d08d.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Float

from talkjax.arrays import Array
from talkjax.errors import UserError
from talkjax.nets.conv import ConvBlock, check_lengths, check_one_pixel, conv, conv_blocks
from talkjax.ops.conv import space_to_depth, stack_frames

SMALLER = "drop or add one entry of channels and repeats for each halving of the picture"


class AudioEncoder(nn.Module):
    """A feature of each 0.2 s mel window (80 bins, 16 frames).

    Attributes:
      channels: of the four stages, and the width of the feature.
      repeats: residual blocks of the four stages; (2, 2, 2, 2) in the sync critic.
      dtype: of the computation.
    """

    channels: tuple[int, ...] = (32, 64, 128, 256, 512)
    repeats: tuple[int, ...] = (2, 2, 2, 1)
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, mel: Float[Array, "n m s"], *, train: bool) -> Float[Array, "n d"]:
        check_lengths("AudioEncoder", channels=self.channels, repeats=self.repeats, extra=1)
        strides = (1, (3, 1), 3, (3, 2))  # 80x16, 27x16, 9x6, 3x3
        blocks = []
        stages = zip(self.channels[:-1], strides, self.repeats, strict=True)
        for features, stride, repeats in stages:
            blocks += [dict(features=features, stride=stride)]
            blocks += [dict(features=features, residual=True)] * repeats
        blocks += [dict(features=self.channels[-1], padding=0)]
        blocks += [dict(features=self.channels[-1], kernel=1, padding=0)]
        x = mel[..., None].astype(self.dtype)
        x = conv_blocks(x, blocks, dtype=self.dtype, train=train)
        hint = "a window has 80 bins and 16 frames (data.mel_frames)"
        check_one_pixel(x, net="AudioEncoder", given=mel.shape, hint=hint)
        return x[:, 0, 0]


class LipEncoder(nn.Module):
    """A feature of each short lip clip: whole crops whose upper half is zero.

    Attributes:
      stem_channels: of the convolution over time and space that comes first.
      channels: of the stride-2 stages, and the width of the feature.
      repeats: residual blocks of each stride-2 stage.
      clip_frames: length of a clip; the stem sees all of it.
      dtype: of the computation.

    Differs: the 3-D stem convolution of the source spans the whole clip and leaves one time
    step, so it is written as a 2-D one over stacked frames (same weights, same result).
    """

    stem_channels: int = 64
    channels: tuple[int, ...] = (64, 128, 256, 512, 512)
    repeats: tuple[int, ...] = (3, 2, 2, 1)
    clip_frames: int = 5
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, clips: Float[Array, "n t h w c"], *, train: bool) -> Float[Array, "n d"]:
        check_lengths("LipEncoder", channels=self.channels, repeats=self.repeats, extra=1)
        if clips.shape[1] != self.clip_frames:
            raise UserError(
                f"LipEncoder: got clips of {clips.shape[1]} frames, want {self.clip_frames}; "
                "check data.lip_radius_frames"
            )
        x = stack_frames(clips.astype(self.dtype))
        x = conv(
            self.stem_channels,
            7,
            channels_in=x.shape[-1],
            stride=2,
            padding=3,
            dtype=self.dtype,
            name="stem",
        )(x)
        blocks = []
        for features, repeats in zip(self.channels[:-1], self.repeats, strict=True):
            blocks += [dict(features=features, stride=2)]
            blocks += [dict(features=features, residual=True)] * repeats
        blocks += [dict(features=self.channels[-1], kernel=4, padding=0)]
        blocks += [dict(features=self.channels[-1], kernel=1, padding=0)]
        x = conv_blocks(x, blocks, dtype=self.dtype, train=train)
        check_one_pixel(x, net="LipEncoder", given=clips.shape, hint=SMALLER)
        return x[:, 0, 0]


class FaceEncoder(nn.Module):
    """The face as a pyramid of features: the masked target beside a reference frame.

    Attributes:
      channels: of the full-size stage, of each stride-2 stage, and of the one-pixel stage.
      repeats: residual blocks of every stage but the last.
      patch: side of the squares of pixels that stage 0 sees as one; 1 in the source. On a CPU
        most of a step goes into the full-size stages.
      dtype: of the computation.
    """

    channels: tuple[int, ...] = (16, 32, 64, 128, 256, 512, 512)
    repeats: tuple[int, ...] = (0, 2, 3, 2, 2, 1)
    patch: int = 1
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, frames: Float[Array, "n h w c"], *, train: bool
    ) -> tuple[Float[Array, "n _ _ _"], ...]:
        """The output of every stage, full size first, one pixel last."""
        check_lengths("FaceEncoder", channels=self.channels, repeats=self.repeats, extra=1)
        kernel = 7 if self.patch == 1 else 3
        stages = [[dict(features=self.channels[0], kernel=kernel, padding=kernel // 2)]]
        stages += [[dict(features=features, stride=2)] for features in self.channels[1:-1]]
        for i, repeats in enumerate(self.repeats):
            stages[i] += [dict(features=self.channels[i], residual=True)] * repeats
        last = dict(features=self.channels[-1], padding=0)
        stages += [[last | dict(kernel=4), last | dict(kernel=1)]]
        x = space_to_depth(frames.astype(self.dtype), self.patch)
        outputs = []
        for i, stage in enumerate(stages):
            for j, block in enumerate(stage):
                name = f"stage_{i}_block_{j}"
                x = ConvBlock(**block, dtype=self.dtype, name=name)(x, train=train)
            outputs.append(x)
        check_one_pixel(x, net="FaceEncoder", given=frames.shape, hint=SMALLER)
        return tuple(outputs)
