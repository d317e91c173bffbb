"""The lip reader: which words does this mouth say, given when they begin and end?

A 3-D convolution and a residual net see each frame with its neighbours, a temporal net goes over
the clip once, and each word is read off a few places in its span and beside it, so that one pass
over a clip reads all of its words. A second head guesses the sound of each frame; it takes part
in training only.

Source: the pipeline of Stafylakis & Tzimiropoulos 2017 and Ma et al. 2022 (3-D convolution,
residual net, dilated temporal convolutions). Differs: small; words are cut out of the clip's
features, like regions in Fast R-CNN, where LRW has one word in the middle of each clip.
"""

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Float

from talkjax.arrays import Array
from talkjax.nets.conv import batch_norm

STEM_FRAMES, STEM_KERNEL = 5, 5


class Reading(NamedTuple):
    """What is read.

    Attributes:
      words: features of each word, before the last layers.
      sound: the guessed sound of each frame.
    """

    words: Float[Array, "b l d"]
    sound: Float[Array, "b t a"]


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; the first one may halve the sides.

    Attributes: as in `nets.conv.ConvBlock`.
    """

    features: int
    stride: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"], *, train: bool) -> Float[Array, "n ho wo o"]:
        y = _conv_norm(x, self.features, 3, stride=self.stride, block=self, train=train, name="a")
        y = _conv_norm(nn.relu(y), self.features, 3, stride=1, block=self, train=train, name="b")
        if x.shape != y.shape:
            settings = dict(stride=self.stride, block=self, train=train)
            x = _conv_norm(x, self.features, 1, **settings, name="shortcut")
        return nn.relu(x + y)


def _conv_norm(x, features, kernel, *, stride, block, train, name):
    y = nn.Conv(
        features,
        (kernel, kernel),
        strides=(stride, stride),
        padding=[(kernel // 2, kernel // 2)] * 2,
        use_bias=False,
        dtype=block.dtype,
        kernel_init=nn.initializers.he_normal(),
        name=f"conv_{name}",
    )(x)
    return batch_norm(train=train, dtype=block.dtype, name=f"norm_{name}")(y)


class MouthEncoder(nn.Module):
    """A feature of each frame.

    Attributes:
      stem: channels of the 3-D convolution (5 frames, 5x5 pixels, every second pixel); then
        comes a maximum over 3x3, every second.
      stages: channels of the residual stages; all but the first halve the sides.
      blocks: residual blocks of each stage.
      features: width of the result.
      dropout: share of the last map's channels that are dropped in training.
      dtype: of the computation.
    """

    stem: int
    stages: tuple[int, ...]
    blocks: int
    features: int
    dropout: float
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, mouths: Float[Array, "b t h w"], *, train: bool) -> Float[Array, "b t d"]:
        b, t = mouths.shape[:2]
        # Neighbouring frames as channels: the same numbers as a 3-D convolution, quicker on CPUs.
        reach = STEM_FRAMES // 2
        padded = jnp.pad(mouths, ((0, 0), (reach, reach), (0, 0), (0, 0)), mode="edge")
        x = jnp.stack([padded[:, i : i + t] for i in range(STEM_FRAMES)], axis=-1)
        x = x.reshape(b * t, *x.shape[2:]).astype(self.dtype)
        x = nn.relu(
            _conv_norm(x, self.stem, STEM_KERNEL, stride=2, block=self, train=train, name="stem")
        )
        x = nn.max_pool(x, (3, 3), strides=(2, 2), padding=[(1, 1), (1, 1)])
        for i, channels in enumerate(self.stages):
            for j in range(self.blocks):
                stride = 2 if i > 0 and j == 0 else 1
                name = f"stage_{i}_block_{j}"
                x = ResidualBlock(channels, stride, dtype=self.dtype, name=name)(x, train=train)
        x = nn.Dropout(self.dropout, broadcast_dims=(1, 2), deterministic=not train)(x)
        # Where in the mouth something is seen matters, so places are not averaged.
        x = nn.Dense(self.features, use_bias=False, dtype=self.dtype, name="join")(
            x.reshape(b * t, -1)
        )
        x = nn.relu(batch_norm(train=train, dtype=self.dtype, name="norm_join")(x))
        return x.reshape(b, t, -1)


class TemporalBlock(nn.Module):
    """Two dilated convolutions over time, added to the input.

    Attributes:
      dilation: frames between the three that are seen at once.
      dropout: share of features dropped in training.
    """

    dilation: int
    dropout: float
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b t d"], *, train: bool) -> Float[Array, "b t d"]:
        y = x
        for name in ("a", "b"):
            y = nn.Conv(
                x.shape[-1],
                (3,),
                kernel_dilation=(self.dilation,),
                use_bias=False,
                dtype=self.dtype,
                name=f"conv_{name}",
            )(y)
            y = nn.relu(batch_norm(train=train, dtype=self.dtype, name=f"norm_{name}")(y))
            y = nn.Dropout(self.dropout, deterministic=not train)(y)
        return x + y


class LipReader(nn.Module):
    """Reads the words of mouth clips.

    Attributes:
      num_words: v, size of the vocabulary.
      sound_features: a, what is guessed of each frame's sound.
      stem, stages, blocks: see `MouthEncoder`.
      width: d, of the features of a frame.
      dilations: of the temporal blocks, one after the other.
      points: places within a word that it is read at, evenly spaced.
      points_beside: places before and as many after it, a frame and a half apart.
      hidden: width of the layer before the last.
      dropout: in training, everywhere but in the stem.
      dtype: of the computation; what comes out is float32.
    """

    num_words: int
    sound_features: int
    stem: int
    stages: tuple[int, ...]
    blocks: int
    width: int
    dilations: tuple[int, ...]
    points: int
    points_beside: int
    hidden: int
    dropout: float
    dtype: DTypeLike = jnp.float32

    def setup(self):
        self.encoder = MouthEncoder(
            self.stem, self.stages, self.blocks, self.width, self.dropout, dtype=self.dtype
        )
        self.temporal = [
            TemporalBlock(dilation, self.dropout, dtype=self.dtype) for dilation in self.dilations
        ]
        self.drop = nn.Dropout(self.dropout)
        self.join_words = nn.Dense(self.hidden, dtype=self.dtype)
        self.name_words = nn.Dense(self.num_words, dtype=self.dtype)
        self.guess_sound = nn.Dense(self.sound_features, dtype=self.dtype)

    def __call__(
        self, mouths: Float[Array, "b t h w"], spans: Float[Array, "b l 2"], *, train: bool
    ) -> tuple[Reading, Float[Array, "b l v"]]:
        """Everything once, for initialisation."""
        reading = self.look(mouths, spans, train=train)
        return reading, self.name_them(reading.words, train=train)

    def look(
        self, mouths: Float[Array, "b t h w"], spans: Float[Array, "b l 2"], *, train: bool
    ) -> Reading:
        """Goes over the clips and cuts the words out.

        Args:
          mouths: `ops.mouth_changes.plain_mouths` or changed ones.
          spans: begin and end of each word in frames; frame f is [f, f + 1).
        """
        x = self.encoder(mouths, train=train)
        for block in self.temporal:
            x = block(x, train=train)
        places = word_places(spans, points=self.points, points_beside=self.points_beside)
        words = features_at(x, places)
        b, w = words.shape[:2]
        sound = self.guess_sound(self.drop(x, deterministic=not train)).astype(jnp.float32)
        return Reading(words.reshape(b, w, -1), sound)

    def name_them(self, words: Float[Array, "b l d"], *, train: bool) -> Float[Array, "b l v"]:
        """Logits of each word of the vocabulary."""
        x = self.drop(words, deterministic=not train)
        x = self.drop(nn.relu(self.join_words(x)), deterministic=not train)
        return self.name_words(x).astype(jnp.float32)


# Between the places beside a word, in frames.
BESIDE_FRAMES = 1.5


def word_places(
    spans: Float[Array, "b l 2"], *, points: int, points_beside: int
) -> Float[Array, "b l p"]:
    """Times (frames) at which each word is looked at: in it, and on either side of it."""
    begin, end = spans[..., :1], spans[..., 1:]
    shares = ((jnp.arange(points) + 0.5) / points)[None, None, :]
    steps = ((jnp.arange(points_beside) + 0.5) * BESIDE_FRAMES)[None, None, :]
    within = begin + (end - begin) * shares
    return jnp.concatenate([begin - steps[..., ::-1], within, end + steps], axis=-1)


def features_at(x: Float[Array, "b t d"], places: Float[Array, "b l p"]) -> Float[Array, "b l p d"]:
    """`x` between frames, linearly; frame f stands at f + 0.5. Beyond the clip, its ends."""
    t = x.shape[1]
    at = jnp.clip(places - 0.5, 0.0, t - 1.0)
    weight = jnp.maximum(0.0, 1.0 - jnp.abs(at[..., None] - jnp.arange(t)[None, None, None, :]))
    return jnp.einsum("bwpt,btd->bwpd", weight.astype(x.dtype), x)
