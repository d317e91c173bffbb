"""The audio-visual sync critic: do these mouths belong to this sound?

Two branches that never see each other embed five mouths and 0.2 s of sound. Their ends are
non-negative features, whose cosines lie in [0, 1], or linear ones, whose cosines lie in [-1, 1].
Defaults are SyncTalkFace's (lower half of 128 px crops); `WAV2LIP_FACE` gives Wav2Lip's public
expert (of 96 px crops).

A critic of a longer context cuts its window into parts of 0.2 s, embeds each with the same
branch, lets the parts of a window look at each other, and lays them end to end: the cosine
compares what is seen with what is heard part by part.

Source: models/syncnet.py of jinny960812/SyncTalkFace@9d5d08d and Rudrabha/Wav2Lip@5c90fa9. Long
contexts: CALS (arXiv 2305.19556) names 1.2 s; their net is not published, this one is ours.
"""

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Float

from talkjax.arrays import Array
from talkjax.errors import UserError
from talkjax.nets.conv import check_lengths, check_one_pixel, conv_blocks, dense
from talkjax.nets.encoders import SMALLER, AudioEncoder
from talkjax.ops.conv import stack_frames
from talkjax.ops.vectors import unit_vectors

# A part: five frames of 25 a second are exactly 16 mel frames of 80 a second.
PART_FRAMES, PART_MEL_FRAMES = 5, 16
ENDS = ("relu", "linear")
LOWER_HALF = (0.5, 1.0, 0.0, 1.0)
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
      stem_stride: of the first convolution. 1 is the published net; with 2 it sees all pixels, but
        a stage less follows and the whole costs less than half.
      dtype: of the computation.
    """

    channels: tuple[int, ...] = (32, 64, 128, 256, 512, 512, 512)
    repeats: tuple[int, ...] = (0, 2, 3, 2, 2, 2)
    last_kernel: int = 4
    stem_stride: int = 1
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, half_frames: Float[Array, "n t h w c"], *, train: bool
    ) -> Float[Array, "n d"]:
        check_lengths("FaceBranch", channels=self.channels, repeats=self.repeats, extra=1)
        blocks = []
        for i, (features, repeats) in enumerate(zip(self.channels[:-1], self.repeats, strict=True)):
            # Stage 1 pads by 1 only, so it cuts a border of one pixel.
            stem = dict(kernel=7, padding=3, stride=self.stem_stride)
            first = {0: stem, 1: dict(kernel=5, stride=(1, 2))}
            blocks += [dict(features=features) | first.get(i, dict(stride=2))]
            blocks += [dict(features=features, residual=True)] * repeats
        last = dict(features=self.channels[-1], padding=0)
        blocks += [last | dict(kernel=self.last_kernel), last | dict(kernel=1)]
        x = stack_frames(half_frames.astype(self.dtype))
        x = conv_blocks(x, blocks, dtype=self.dtype, train=train)
        check_one_pixel(x, net="FaceBranch", given=half_frames.shape, hint=SMALLER)
        return x[:, 0, 0]


class ContextMixer(nn.Module):
    """Lets the parts of a window look at each other: a small pre-norm transformer.

    It begins as the identity, so that training begins from parts that are compared one by one.
    The learned positions are added where parts are compared, not to what they hold.

    Attributes:
      layers: of attention and a net of twice the width.
      heads: of attention; must divide the width.
      dtype: of the computation.

    Source: a transformer of two layers over 30 frames is the issue's reading of CALS. Differs: the
    authors' net is not published.
    """

    layers: int
    heads: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, parts: Float[Array, "n p d"]) -> Float[Array, "n p d"]:
        p, d = parts.shape[1:]
        x = parts.astype(self.dtype)
        place = self.param("place", nn.initializers.normal(0.02), (p, d), jnp.float32)
        place = place.astype(self.dtype)[None]
        for i in range(self.layers):
            y = nn.LayerNorm(dtype=self.dtype, name=f"norm_{i}")(x)
            x = x + nn.MultiHeadDotProductAttention(
                num_heads=self.heads,
                dtype=self.dtype,
                out_kernel_init=nn.initializers.zeros_init(),
                name=f"attention_{i}",
            )(y + place, y + place, y)
            y = nn.LayerNorm(dtype=self.dtype, name=f"norm_{i}_wide")(x)
            y = nn.gelu(dense(2 * d, features_in=d, dtype=self.dtype, name=f"wide_{i}")(y))
            zeros = nn.initializers.zeros_init()
            x = x + nn.Dense(d, dtype=self.dtype, kernel_init=zeros, name=f"narrow_{i}")(y)
        return x  # n p d


class SyncCritic(nn.Module):
    """Embeds mouths and sound in one space; the cosine says whether they are in sync.

    Attributes:
      face_channels, face_repeats, face_last_kernel, face_stem_stride: see `FaceBranch`. For lower
        halves of 64 px crops (32x64) leave out one stride-2 stage.
      audio_channels, audio_repeats: see `AudioEncoder`; the last widths must agree.
      region: what it sees of a crop: first and last row, first and last column, as fractions
        of the side.
      ends: "relu": features are not negative and a cosine is a probability (Wav2Lip); "linear":
        a projection comes last and cosines lie in [-1, 1] (InfoNCE).
      parts: 1 for a window of any length that is embedded as one; more for a window of so many
        parts of 0.2 s.
      context_layers, context_heads: of the `ContextMixer` over the parts.
      learned_temperature: whether it holds a factor of the temperature.
      dtype: of the computation; embeddings are float32.
    """

    face_channels: tuple[int, ...] = (32, 64, 128, 256, 512, 512, 512)
    face_repeats: tuple[int, ...] = (0, 2, 3, 2, 2, 2)
    face_last_kernel: int = 4
    audio_channels: tuple[int, ...] = (32, 64, 128, 256, 512)
    audio_repeats: tuple[int, ...] = (2, 2, 2, 2)
    region: tuple[float, ...] = LOWER_HALF
    ends: str = "relu"
    parts: int = 1
    context_layers: int = 0
    context_heads: int = 1
    learned_temperature: bool = False
    face_stem_stride: int = 1
    dtype: DTypeLike = jnp.float32

    def setup(self):
        width = self.audio_channels[-1]
        if self.face_channels[-1] != width:
            raise UserError(
                f"SyncCritic: widths of face {self.face_channels[-1]} and audio {width} differ; "
                "change the last entry of model.*_channels"
            )
        if self.ends not in ENDS:
            raise UserError(f"SyncCritic: ends: got {self.ends!r}, want one of {ENDS}")
        self.face = FaceBranch(
            self.face_channels,
            self.face_repeats,
            self.face_last_kernel,
            self.face_stem_stride,
            dtype=self.dtype,
        )
        self.audio = AudioEncoder(self.audio_channels, self.audio_repeats, dtype=self.dtype)
        if self.context_layers:
            mixer = dict(layers=self.context_layers, heads=self.context_heads, dtype=self.dtype)
            self.face_context, self.audio_context = ContextMixer(**mixer), ContextMixer(**mixer)
        if self.ends == "linear":
            self.face_end = dense(width, features_in=width, dtype=self.dtype)
            self.audio_end = dense(width, features_in=width, dtype=self.dtype)
        if self.learned_temperature:
            self.log_temperature = self.param(
                "log_temperature", nn.initializers.zeros_init(), (), jnp.float32
            )

    def __call__(
        self,
        frames: Float[Array, "v t h w c"],
        mel: Float[Array, "n m s"],
        *,
        train: bool,
    ) -> tuple[Embedding, Embedding]:
        """(face, audio) embeddings of v mouths and n sounds; arguments as in the methods below."""
        face = self.embed_face(frames, train=train)
        return face, self.embed_audio(mel, train=train)

    def embed_face(self, frames: Float[Array, "n t h w c"], *, train: bool) -> Embedding:
        """Embeds what `seen` leaves of consecutive crops, in [0, 1] (BGR in public weights)."""
        n, t = frames.shape[:2]
        if self.parts > 1 and t != self.parts * PART_FRAMES:
            raise UserError(
                f"SyncCritic: got windows of {t} frames, want {self.parts * PART_FRAMES} for "
                f"{self.parts} parts; change data.clip_frames or model.sync.parts"
            )
        cut = frames.reshape(n * self.parts, t // self.parts, *frames.shape[2:])
        features = self.face_parts(cut, train=train)
        return self.join_faces(features.reshape(n, self.parts, -1))

    def embed_audio(self, mel: Float[Array, "n m s"], *, train: bool) -> Embedding:
        """Embeds mel windows that start at the first of the frames."""
        n, m, s = mel.shape
        if self.parts > 1 and s != self.parts * PART_MEL_FRAMES:
            raise UserError(
                f"SyncCritic: got windows of {s} mel frames, want {self.parts * PART_MEL_FRAMES} "
                f"for {self.parts} parts; change data.mel_frames or model.sync.parts"
            )
        cut = jnp.moveaxis(mel.reshape(n, m, self.parts, s // self.parts), 2, 1)
        features = self.audio_parts(cut.reshape(-1, m, s // self.parts), train=train)
        return self.join_sounds(features.reshape(n, self.parts, -1))

    def embed_stretch(
        self,
        frames: Float[Array, "n t hr wr c"],
        mel: Float[Array, "b w m s"],
        *,
        every_frames: int,
        train: bool,
    ) -> tuple[Embedding, Embedding]:
        """Embeds windows that start one frame after the other; parts that they share once.

        Args:
          frames: what `seen` leaves of the t frames that the w windows span; of the b clips, or
            of several views of each.
          mel: of each window.
          every_frames: mouths are embedded at every so many windows only, from the first on.

        Returns:
          Of n * ceil(w / every_frames) mouths and of b * w sounds; equal to those of the
          windows by themselves.
        """
        b, w = mel.shape[:2]
        part_frames = (frames.shape[1] - w + 1) // self.parts
        steps = part_frames * np.arange(self.parts)
        places, window_parts = _shared(np.arange(0, w, every_frames)[:, None] + steps)
        cut = frames[:, places[:, None] + np.arange(part_frames)]
        faces = self.face_parts(cut.reshape(-1, *cut.shape[2:]), train=train)
        faces = faces.reshape(len(frames), len(places), -1)[:, window_parts]  # n v p d

        m, s = mel.shape[2:]
        cut = mel.reshape(b, w, m, self.parts, s // self.parts)
        cut = jnp.moveaxis(cut, 3, 2).reshape(b, w * self.parts, m, -1)
        starts = np.arange(w)[:, None] + steps
        places, window_parts = _shared(starts)
        firsts = np.array([np.flatnonzero(starts.reshape(-1) == place)[0] for place in places])
        sounds = self.audio_parts(cut[:, firsts].reshape(-1, m, cut.shape[-1]), train=train)
        sounds = sounds.reshape(b, len(places), -1)[:, window_parts]  # b w p d
        return (
            self.join_faces(faces.reshape(-1, *faces.shape[2:])),
            self.join_sounds(sounds.reshape(-1, *sounds.shape[2:])),
        )

    def face_parts(self, frames: Float[Array, "n t h w c"], *, train: bool) -> Float[Array, "n d"]:
        """Features of single parts, for those who make several windows of them."""
        return self.face(frames, train=train)

    def audio_parts(self, mel: Float[Array, "n m s"], *, train: bool) -> Float[Array, "n d"]:
        """Features of the sound of single parts."""
        return self.audio(mel, train=train)

    def join_faces(self, parts: Float[Array, "n p d"]) -> Embedding:
        """Embeddings of windows from the features of their parts."""
        parts = self.face_context(parts) if self.context_layers else parts
        return _embedding(self.face_end(parts) if self.ends == "linear" else nn.relu(parts))

    def join_sounds(self, parts: Float[Array, "n p d"]) -> Embedding:
        """As `join_faces`, of sound."""
        parts = self.audio_context(parts) if self.context_layers else parts
        return _embedding(self.audio_end(parts) if self.ends == "linear" else nn.relu(parts))

    def temperature_factor(self) -> Float[Array, ""]:
        """Of the temperature that cosines are divided by; 1 at first, and if it is not learned."""
        return jnp.exp(self.log_temperature) if self.learned_temperature else jnp.ones(())


def _shared(starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(distinct starts, the place of each start among them) of windows times parts."""
    places, inverse = np.unique(starts, return_inverse=True)
    return places, inverse.reshape(starts.shape)


def seen(images: Float[Array, "*n h w c"], region: tuple[float, ...]) -> Float[Array, "*n hr wr c"]:
    """What a critic sees of square crops: see `SyncCritic.region`."""
    top, bottom, left, right = pixels(region, images.shape[-3])
    return images[..., top:bottom, left:right, :]


def pixels(region: tuple[float, ...], size_px: int) -> tuple[int, ...]:
    """A region in pixels: first row, row after the last, first column, column after the last."""
    top, bottom, left, right = region
    if not (0.0 <= top < bottom <= 1.0 and 0.0 <= left < right <= 1.0):
        raise UserError(
            f"model.sync.region: got {region}, want (first row, last row, first column, last "
            "column) as growing fractions of the side"
        )
    return tuple(round(edge * size_px) for edge in region)


def probability(cosine: Float[Array, "*n"], ends: str) -> Float[Array, "*n"]:
    """A cosine as the probability of being in sync: itself, or (1 + cosine) / 2 of linear ends."""
    return cosine if ends == "relu" else 0.5 * (1.0 + cosine)


def _embedding(parts: Float[Array, "n p d"]) -> Embedding:
    raw = parts.astype(jnp.float32).reshape(parts.shape[0], -1)
    return Embedding(raw=raw, unit=unit_vectors(raw))
