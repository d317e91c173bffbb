"""The audio-visual sync critic: do these five mouths belong to this sound?

Two branches end in non-negative features, so cosines lie in [0, 1]. Defaults are SyncTalkFace's
(lower half of 128 px crops); `WAV2LIP_FACE` gives Wav2Lip's public expert (of 96 px crops).

Source: models/syncnet.py of jinny960812/SyncTalkFace@9d5d08d and Rudrabha/Wav2Lip@5c90fa9.
"""

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Float

from talkjax.arrays import Array
from talkjax.nets.conv import check_lengths, check_one_pixel, conv_blocks
from talkjax.nets.encoders import SMALLER, AudioEncoder
from talkjax.ops.conv import stack_frames
from talkjax.ops.vectors import unit_vectors

# Settings of SyncCritic for 48x96 half faces; everything else as it is.
WAV2LIP_FACE = {"face_repeats": (0, 2, 3, 2, 2, 0), "face_last_kernel": 3}


class Embedding(NamedTuple):
    """Features of n windows, float32.

    Attributes:
      raw: after the last ReLU.
      unit: the same divided by their length.
    """

    raw: Float[Array, "n d"]
    unit: Float[Array, "n d"]


class FaceBranch(nn.Module):
    """A feature of each five-frame window of lower half faces.

    Attributes:
      channels: of the full-size stage, of the stage that halves the columns, of each stride-2
        stage, and of the one-pixel stage.
      repeats: residual blocks of every stage but the last.
      last_kernel: of the convolution that leaves one pixel.
      dtype: of the computation.
    """

    channels: tuple[int, ...] = (32, 64, 128, 256, 512, 512, 512)
    repeats: tuple[int, ...] = (0, 2, 3, 2, 2, 2)
    last_kernel: int = 4
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, half_frames: Float[Array, "n t h w c"], *, train: bool
    ) -> Float[Array, "n d"]:
        check_lengths("FaceBranch", channels=self.channels, repeats=self.repeats, extra=1)
        blocks = []
        for i, (features, repeats) in enumerate(zip(self.channels[:-1], self.repeats, strict=True)):
            # Stage 1 pads by 1 only, so it cuts a border of one pixel.
            first = {0: dict(kernel=7, padding=3), 1: dict(kernel=5, stride=(1, 2))}
            blocks += [dict(features=features) | first.get(i, dict(stride=2))]
            blocks += [dict(features=features, residual=True)] * repeats
        last = dict(features=self.channels[-1], padding=0)
        blocks += [last | dict(kernel=self.last_kernel), last | dict(kernel=1)]
        x = stack_frames(half_frames.astype(self.dtype))
        x = conv_blocks(x, blocks, dtype=self.dtype, train=train)
        check_one_pixel(x, net="FaceBranch", given=half_frames.shape, hint=SMALLER)
        return x[:, 0, 0]


class SyncCritic(nn.Module):
    """Embeds mouths and sound in one space; the cosine says whether they are in sync.

    Attributes:
      face_channels, face_repeats, face_last_kernel: see `FaceBranch`. For lower halves of
        64 px crops (32x64) leave out one stride-2 stage.
      audio_channels, audio_repeats: see `AudioEncoder`; the last widths must agree.
      dtype: of the computation; embeddings are float32.
    """

    face_channels: tuple[int, ...] = (32, 64, 128, 256, 512, 512, 512)
    face_repeats: tuple[int, ...] = (0, 2, 3, 2, 2, 2)
    face_last_kernel: int = 4
    audio_channels: tuple[int, ...] = (32, 64, 128, 256, 512)
    audio_repeats: tuple[int, ...] = (2, 2, 2, 2)
    dtype: DTypeLike = jnp.float32

    def setup(self):
        if self.face_channels[-1] != self.audio_channels[-1]:
            raise ValueError(
                f"SyncCritic: widths of face {self.face_channels[-1]} and audio "
                f"{self.audio_channels[-1]} differ; change the last entry of model.*_channels"
            )
        self.face = FaceBranch(
            self.face_channels, self.face_repeats, self.face_last_kernel, dtype=self.dtype
        )
        self.audio = AudioEncoder(self.audio_channels, self.audio_repeats, dtype=self.dtype)

    def __call__(
        self,
        half_frames: Float[Array, "n t h w c"],
        mel: Float[Array, "n m s"],
        *,
        train: bool,
    ) -> tuple[Embedding, Embedding]:
        """(face, audio) embeddings of n windows; arguments as in the two methods below."""
        face = self.embed_face(half_frames, train=train)
        return face, self.embed_audio(mel, train=train)

    def embed_face(self, half_frames: Float[Array, "n t h w c"], *, train: bool) -> Embedding:
        """Embeds lower halves of five consecutive crops, in [0, 1] (BGR in public weights)."""
        return _embedding(self.face(half_frames, train=train))

    def embed_audio(self, mel: Float[Array, "n m s"], *, train: bool) -> Embedding:
        """Embeds mel windows that start at the first of the five frames."""
        return _embedding(self.audio(mel, train=train))


def _embedding(features: Float[Array, "n d"]) -> Embedding:
    raw = features.astype(jnp.float32)
    return Embedding(raw=raw, unit=unit_vectors(raw))
