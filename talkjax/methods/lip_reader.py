"""The lip reader: trained on real clips whose words and their times are known; then a judge.

Lips that can be read are what a talking face is for (the readability test of CALS). One net,
`reader`, and two losses, each with a weight in the config:

- `word`: cross entropy over the whole vocabulary, labels smoothed, features of words mixed in
  pairs (mixup). No word is excluded by the grammar of its sentence.
- `sound`: the mel frames of each video frame, guessed from the mouth. It teaches the net to see
  what is heard on every frame, where words are few (Ma et al. 2021, LiRA; Ahn et al. 2024,
  SyncVSR). Sound is no input: a reader hears nothing.

Source: training strategies of Ma et al. 2022. Differs: mixup is of features of words (manifold
mixup, Verma et al. 2019), since clips with words at different times cannot be mixed as pictures.
"""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from talkjax.arrays import Array, Batch, Float, Key, Nets
from talkjax.errors import UserError
from talkjax.methods.api import LossOut, Method, Phase
from talkjax.nets.lip_reader import LipReader, Reading
from talkjax.ops import mouth_changes


def build(
    *,
    image_size: int,
    label_smoothing: float,
    mixup: float,
    augmentation: Mapping[str, float | int],
    dtype: str,
    reader: Mapping[str, object],
) -> Method:
    """The lip reader as a method.

    Args:
      image_size: side of the crops that mouths are cut from, px.
      label_smoothing: probability that the target spreads over all words.
      mixup: both parameters of the Beta distribution that shares are drawn from; 0 is off.
      augmentation: settings of `mouth_changes.Strength`.
      dtype: of the computation, "float32" or "bfloat16".
      reader: settings of `LipReader`, but for the sizes that the data decide.
    """
    system = ReaderTraining(
        image_size=image_size,
        label_smoothing=label_smoothing,
        mixup=mixup,
        strength=mouth_changes.Strength(**augmentation),
        settings=dict(reader, dtype=jnp.dtype(dtype)),
    )
    return Method(
        init_fn=system.init,
        phases=(Phase("fit", ("reader",), system.loss),),
        predict_fn=system.predict,
        averaged=("reader",),
        scores_fn=system.scores,
    )


@dataclasses.dataclass(frozen=True)
class ReaderTraining:
    """The reader and what is done with it. Pure functions of parameters and batch."""

    image_size: int
    label_smoothing: float
    mixup: float
    strength: mouth_changes.Strength
    settings: Mapping[str, object]

    def net(self, num_words: int, sound_features: int) -> LipReader:
        return LipReader(num_words=num_words, sound_features=sound_features, **self.settings)

    def init(self, key: Key, batch: Batch) -> tuple[Nets, Nets]:
        """Parameters and batch statistics of `reader`."""
        mouths = batch["mouth_u8"]
        if mouths.shape[2] * 2 != self.image_size:
            raise UserError(
                f"model.image_size: got {self.image_size}, data.image_size is "
                f"{mouths.shape[2] * 2}; make them equal"
            )
        _, _, bins, mel_frames = batch["mel_windows"].shape
        net = self.net(batch["word_one_hot"].shape[-1], bins * mel_frames)
        plain = mouth_changes.plain_mouths(jnp.zeros((2, *mouths.shape[1:]), jnp.uint8))
        variables = net.init(key, plain, jnp.zeros((2, 1, 2)), train=False)
        stats = {"batch_stats": variables["batch_stats"]}
        return {"reader": variables["params"]}, {"reader": stats}

    def loss(self, params: Nets, model_vars: Nets, batch: Batch, key: Key) -> LossOut:
        """Both losses on changed clips; clips without words weigh nothing in `word`."""
        keys = dict(
            zip(
                ("pace", "edges", "look", "masks", "mix", "drop", "name"),
                jax.random.split(key, 7),
                strict=True,
            )
        )
        frames = batch["mouth_u8"].shape[1]
        shown, spans = mouth_changes.changed_pace(
            keys["pace"], batch["word_spans"], frames=frames, strength=self.strength
        )
        spans = mouth_changes.changed_boundaries(keys["edges"], spans, self.strength)
        mouths = jnp.take_along_axis(batch["mouth_u8"], shown[:, :, None, None, None], axis=1)
        mel = jnp.take_along_axis(batch["mel_windows"], shown[:, :, None, None], axis=1)
        mouths = mouth_changes.changed_mouths(keys["look"], mouths, self.strength)
        seen = mouth_changes.seen_frames(
            keys["masks"], len(mouths), frames=frames, strength=self.strength
        )
        mouths = mouths * seen.astype(mouths.dtype)[:, :, None, None]
        net = self.net(batch["word_one_hot"].shape[-1], mel.shape[2] * mel.shape[3])
        tree = {"params": params["reader"], **model_vars["reader"]}
        settings = dict(train=True, rngs={"dropout": keys["drop"]}, mutable=["batch_stats"])
        reading, updated = net.apply(tree, mouths, spans, **settings, method="look")
        there = jnp.sum(batch["word_one_hot"], axis=-1)  # b l; 1 where a word stands
        there = there * _inside(spans, frames, margin=self.strength.boundary_frames)
        words, target = self._mixed(keys["mix"], reading.words, batch["word_one_hot"], there)
        logits = net.apply(
            tree, words, train=True, rngs={"dropout": keys["name"]}, method="name_them"
        )
        terms = {
            "word": _per_clip(self._cross_entropy(logits, target), there),
            "sound": jnp.mean(jnp.square(reading.sound - _flat(mel)), axis=(1, 2)),
        }
        right = (jnp.argmax(logits, -1) == jnp.argmax(target, -1)).astype(jnp.float32)
        return LossOut(terms, {"reader": updated}, {"accuracy": jnp.mean(_per_clip(right, there))})

    def predict(
        self, params: Nets, model_vars: Nets, batch: Batch, key: Key
    ) -> Mapping[str, Array]:
        """{"word_logits": (b, l, v)} of the words at batch["word_spans"] (frames, b l 2)."""
        del key
        return {"word_logits": self._read(params, model_vars, batch)[1]}

    def scores(
        self, params: Nets, model_vars: Nets, batch: Batch, key: Key
    ) -> Mapping[str, Float[Array, " b"]]:
        """Validation: the mean of `accuracy` is the share of words that are read rightly."""
        del key
        reading, logits = self._read(params, model_vars, batch)
        one_hot = batch["word_one_hot"]
        there = jnp.sum(one_hot, axis=-1)
        right = (jnp.argmax(logits, -1) == jnp.argmax(one_hot, -1)).astype(jnp.float32)
        wrong = -jnp.sum(one_hot * jax.nn.log_softmax(logits), axis=-1)
        sound = jnp.square(reading.sound - _flat(batch["mel_windows"]))
        return {
            "accuracy": _per_clip(right, there),
            "cross_entropy": _per_clip(wrong, there),
            "sound_error": jnp.mean(sound, axis=(1, 2)),
        }

    def _read(
        self, params: Nets, model_vars: Nets, batch: Batch
    ) -> tuple[Reading, Float[Array, "b l v"]]:
        sizes = [params["reader"][name]["bias"].shape[0] for name in ("name_words", "guess_sound")]
        tree = {"params": params["reader"], **model_vars["reader"]}
        mouths = mouth_changes.plain_mouths(batch["mouth_u8"])
        return self.net(*sizes).apply(tree, mouths, batch["word_spans"], train=False)

    def _mixed(self, key, words, one_hot, there):
        """Each word's features and target with a share of another's of the batch."""
        if not self.mixup:
            return words, one_hot
        order_key, share_key = jax.random.split(key)
        b, w = there.shape
        order = jax.random.permutation(order_key, b * w)
        share = jax.random.beta(share_key, self.mixup, self.mixup, (b * w, 1))
        share = jnp.maximum(share, 1.0 - share)  # the word's own is the larger
        share = jnp.where(there.reshape(-1)[order][:, None] > 0, share, 1.0)

        def mix(x):
            flat = x.reshape(b * w, -1)
            return (share * flat + (1.0 - share) * flat[order]).reshape(x.shape)

        return mix(words), mix(one_hot)

    def _cross_entropy(self, logits, target):
        smooth = self.label_smoothing
        target = (1.0 - smooth) * target + smooth / target.shape[-1]
        return -jnp.sum(target * jax.nn.log_softmax(logits), axis=-1)


def _flat(mel: Float[Array, "b t m s"]) -> Float[Array, "b t a"]:
    return mel.reshape(*mel.shape[:2], -1)


def _inside(spans: Float[Array, "b l 2"], frames: int, *, margin: float) -> Float[Array, "b l"]:
    """1 where a word has not left the clip by the change of pace."""
    within = (spans[..., 0] >= -margin) & (spans[..., 1] <= frames + margin)
    return within.astype(jnp.float32)


def _per_clip(of_words: Float[Array, "b l"], there: Float[Array, "b l"]) -> Float[Array, " b"]:
    """Sums over each clip's words, scaled so that the mean over clips is that over all words."""
    words_per_clip = jnp.maximum(jnp.sum(there), 1.0) / len(there)
    return jnp.sum(of_words * there, axis=1) / words_per_clip
