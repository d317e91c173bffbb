"""The sync critic: trained first, then frozen; it judges whether lips belong to a sound.

One net, `sync`, sees several windows of each clip and the sound of each. Three losses, each
with a weight in the config, make the critics of three papers:

- `bce`: cross entropy of cosines as probabilities, true pairs against pairs from another moment
  of the same clip, both kinds weighing the same (Wav2Lip, color_syncnet_train.py; Prajwal et
  al. 2020, eq. 1; SyncTalkFace).
- `contrast`: each mouth must find its own sound, and each sound its mouth, among all other
  moments of its clip and all windows of the other clips (InfoNCE; StyleTalker, with linear ends
  and a learned temperature). Many negatives are what gets a critic off ln 2 = 0.693 quickly.
- `visual`: each mouth must find its own second view (other light, other framing) among other
  moments of its clip (the discriminative term of CALS, with a window of 1.2 s). So visual distance
  means what the lips do, and who it is does not help. Only with `views` = 2; both views are then
  held against the sound.

With `data.consecutive` the windows of a clip start one frame after the other, so that the
negatives are the near misses that an offset search meets, and neighbours share their work.

Differs: Wav2Lip draws one pair per visit, true or false by a coin; here every window meets
every other window of its clip. CALS: from second-hand descriptions; the authors' losses and
weights are not published.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from talkjax.arrays import Array, Batch, Float, Int, Key, Nets, UInt8
from talkjax.errors import UserError
from talkjax.methods.api import LossOut, Method, Phase
from talkjax.nets.sync_critic import SyncCritic, pixels, probability, seen
from talkjax.ops import augment, augment_sound, image, pairs
from talkjax.ops.chance import CHANCE, CHANCE_MARGIN, alerts_at_chance

# Accuracy counts pairs at least a window of 0.2 s apart; nearer ones are what `retrieval` is for.
ACCURACY_GAP_FRAMES = 5
# Source: StyleTalker's discriminator as specified: the temperature is learned, but not below.
LOWEST_TEMPERATURE = 0.01
# Unit vectors of one clip that differ less than this say nothing of the moment.
COLLAPSED = 0.003
# Folded into a step's key, beside the numbers of the views.
SOUND_DRAW = 2**16
LN_2, LN_2_MARGIN = math.log(2.0), 0.01
HOTTEST_TEMPERATURE = 1.0
SILENT_MEL = 0.05


def build(
    *,
    image_size: int,
    channel_order: str,
    min_gap_frames: int,
    temperature: float,
    dtype: str,
    sync: Mapping[str, object],
    # Of runs saved before they could be chosen:
    bce_gap_frames: int = 0,
    views: int = 1,
    every_frames: int = 1,
    jitter: Mapping[str, float] = augment.UNCHANGED,
    sound_jitter: Mapping[str, float] = augment_sound.UNCHANGED,
) -> Method:
    """The sync critic as a method.

    Args:
      image_size: side of the crops, px; the critic sees `sync.region` of them.
      channel_order: "bgr" (public weights) or "rgb".
      min_gap_frames: moments of one clip closer than this are neither true nor false pairs.
      temperature: divides cosines in `contrast` and `visual`; where it is learned, at first.
      dtype: of the computation, "float32" or "bfloat16".
      sync: settings of `SyncCritic`.
      bce_gap_frames: `bce` leaves out pairs closer than this as well: whether sound and lips that
        are a frame apart belong together, it can only guess.
      views: 1, or 2 for the loss `visual`.
      every_frames: with `data.consecutive`, mouths are seen at every so many windows only
        (sound is heard at all of them).
      jitter: settings of `augment.Jitter`, in training.
      sound_jitter: settings of `augment_sound.SoundJitter`, in training.

    Raises:
      UserError: if views are neither 1 nor 2.
    """
    if views not in (1, 2):
        raise UserError(f"model.views: got {views}, want 1 or 2")
    system = CriticTraining(
        image_size=image_size,
        channel_order=channel_order,
        min_gap_frames=min_gap_frames,
        bce_gap_frames=max(min_gap_frames, bce_gap_frames),
        first_temperature=temperature,
        views=views,
        every_frames=every_frames,
        jitter=augment.Jitter(**jitter),
        sound_jitter=augment_sound.SoundJitter(**sound_jitter),
        critic=SyncCritic(**sync, dtype=jnp.dtype(dtype)),
    )
    return Method(
        init_fn=system.init,
        phases=(Phase("fit", ("sync",), system.loss),),
        predict_fn=system.predict,
        averaged=("sync",),
        scores_fn=system.scores,
    )


class Embedded(NamedTuple):
    """Unit embeddings of a batch, and the frames its windows start at.

    Attributes:
      faces: one (b, v, d) for each view.
    """

    faces: tuple[Float[Array, "b v d"], ...]
    sounds: Float[Array, "b w d"]
    face_starts: Int[Array, "b v"]
    sound_starts: Int[Array, "b w"]

    def pairs(self, gap_frames: int) -> tuple[Float[Array, "b v w"], Float[Array, "b v w"]]:
        """(true pairs, false pairs) of mouths and sounds."""
        starts = (self.face_starts, self.sound_starts)
        return pairs.true_pairs(*starts), pairs.false_pairs(*starts, min_gap_frames=gap_frames)


@dataclasses.dataclass(frozen=True)
class CriticTraining:
    """The critic and what is done with it. Pure functions of parameters and batch."""

    image_size: int
    channel_order: str
    min_gap_frames: int
    bce_gap_frames: int
    first_temperature: float
    views: int
    every_frames: int
    jitter: augment.Jitter
    sound_jitter: augment_sound.SoundJitter
    critic: SyncCritic

    def init(self, key: Key, batch: Batch) -> tuple[Nets, Nets]:
        """Parameters and batch statistics of `sync`."""
        *_, height, width, _ = batch["frames_u8"].shape
        if height != self.image_size:
            raise UserError(
                f"model.image_size: got {self.image_size}, data.image_size is {height}; make "
                "them equal"
            )
        frames = jnp.zeros((2, _window_frames(batch), height, width, 3))
        mel = jnp.zeros((2, *batch["mel_chunk"].shape[2:]))
        variables = self.critic.init(key, seen(frames, self.critic.region), mel, train=False)
        stats = {"batch_stats": variables["batch_stats"]}
        return {"sync": variables["params"]}, {"sync": stats}

    def look(self, frames_u8: UInt8[Array, "n t h w c"], key: Key | None):
        """What the critic sees of some frames, in [0, 1], in its order; with a key, jittered."""
        images = image.to_order(image.to_float(frames_u8), self.channel_order)
        if key is None:
            return seen(images, self.critic.region) * 0.5 + 0.5
        region_px = pixels(self.critic.region, self.image_size)
        return augment.view(images * 0.5 + 0.5, key, jitter=self.jitter, region_px=region_px)

    def embed(
        self, params: Nets, model_vars: Nets, batch: Batch, key: Key | None, *, train: bool
    ) -> tuple[Embedded, Nets]:
        """(embeddings, new statistics); a key gives `views` jittered views and a jittered sound,
        None what was recorded."""
        frames, mel, starts = batch["frames_u8"], batch["mel_chunk"], batch["start_frames"]
        b, consecutive = mel.shape[0], frames.ndim == 5
        # All frames of a clip in a row, so that a view is one of the clip.
        clips = frames.reshape(b, -1, *frames.shape[-3:])
        keys = [None] if key is None else list(jax.random.split(key, self.views))
        images = jnp.concatenate([self.look(clips, one) for one in keys])
        if key is not None and self.sound_jitter.changes:
            sound_key = jax.random.fold_in(key, SOUND_DRAW)
            mel = augment_sound.heard(mel, sound_key, jitter=self.sound_jitter)
        apply = functools.partial(
            self.critic.apply,
            {"params": params["sync"], **model_vars["sync"]},
            train=train,
            mutable=["batch_stats"],
        )
        if consecutive:
            (face, sound), updated = apply(
                images, mel, every_frames=self.every_frames, method="embed_stretch"
            )
            face_starts = starts[:, :: self.every_frames]
        else:
            windows = images.reshape(-1, frames.shape[2], *images.shape[2:])
            (face, sound), updated = apply(windows, _rows(mel))
            face_starts = starts
        faces = face.unit.reshape(len(keys), b, -1, face.unit.shape[-1])
        sounds = sound.unit.reshape(b, -1, sound.unit.shape[-1])
        return Embedded(tuple(faces), sounds, face_starts, starts), updated

    def temperature(self, params: Nets) -> Float[Array, ""]:
        """What cosines are divided by."""
        factor = self.critic.apply({"params": params["sync"]}, method="temperature_factor")
        return jnp.maximum(self.first_temperature * factor, LOWEST_TEMPERATURE)

    def loss(self, params: Nets, model_vars: Nets, batch: Batch, key: Key) -> LossOut:
        """The losses, and what they mean in accuracy."""
        changes = self.views > 1 or self.jitter.changes or self.sound_jitter.changes
        key = key if changes else None
        found, updated = self.embed(params, model_vars, batch, key, train=True)
        true, false = found.pairs(self.min_gap_frames)
        temperature = self.temperature(params)
        negatives = dict(true=true, false=false, temperature=temperature)
        cosines = [_cosines(faces, found.sounds) for faces in found.faces]
        terms = {
            "bce": _mean([self.cross_entropy(c, found) for c in cosines]),
            "contrast": _mean(
                [pairs.contrast(faces, found.sounds, **negatives) for faces in found.faces]
            ),
        }
        if self.views == 2:
            terms["visual"] = self.visual(found, temperature)
        scores = self.judge(cosines[0], found)
        scalars = {name: jnp.mean(scores[name]) for name in TRAINING_SCORES}
        scalars |= {
            "retrieval_chance": jnp.float32(1.0 / found.sounds.shape[1]),
            "face_spread": pairs.spread(found.faces[0]),
            "sound_spread": pairs.spread(found.sounds),
            "mel_spread": jnp.mean(jnp.std(batch["mel_chunk"], axis=1)),
            "temperature": temperature,
        }
        return LossOut(terms, {"sync": updated}, jax.lax.stop_gradient(scalars))

    def visual(self, found: Embedded, temperature: Float[Array, ""]) -> Float[Array, " b"]:
        """Each mouth finds its second view among other moments of its clip, nats."""
        starts = (found.face_starts, found.face_starts)
        return pairs.contrast(
            *found.faces,
            true=pairs.true_pairs(*starts),
            false=pairs.false_pairs(*starts, min_gap_frames=self.min_gap_frames),
            temperature=temperature,
            across_clips=False,
        )

    def cross_entropy(self, cosines, found: Embedded) -> Float[Array, " b"]:
        """The loss `bce`."""
        probable = probability(cosines, self.critic.ends)
        return pairs.balanced_cross_entropy(probable, *found.pairs(self.bce_gap_frames))

    def judge(self, cosines, found: Embedded) -> dict[str, Float[Array, " b"]]:
        """How rightly the pairs of each clip are told apart."""
        true, apart = found.pairs(max(self.min_gap_frames, ACCURACY_GAP_FRAMES))
        probable = probability(cosines, self.critic.ends)
        return {
            "accuracy": pairs.ranked_rightly(cosines, true, apart),
            "accuracy_at_half": pairs.right_side_of_half(probable, true, apart),
            "retrieval": pairs.retrieval(cosines, true),
        }

    def predict(
        self, params: Nets, model_vars: Nets, batch: Batch, key: Key
    ) -> Mapping[str, Array]:
        """{"face_embedding": b w d, "audio_embedding": b w d}, unit norm."""
        del key
        # Nothing is paired here.
        batch = {"start_frames": jnp.zeros(batch["mel_chunk"].shape[:2], jnp.int32), **batch}
        found, _ = self.embed(params, model_vars, batch, None, train=False)
        return {"face_embedding": found.faces[0], "audio_embedding": found.sounds}

    def scores(
        self, params: Nets, model_vars: Nets, batch: Batch, key: Key
    ) -> Mapping[str, Float[Array, " b"]]:
        """Validation: `accuracy` (chance 0.5) is what a generator run's gate looks at."""
        del key
        found, _ = self.embed(params, model_vars, batch, None, train=False)
        true, false = found.pairs(self.min_gap_frames)
        cosines = _cosines(found.faces[0], found.sounds)
        return self.judge(cosines, found) | {
            "bce": self.cross_entropy(cosines, found),
            "cosine_true": pairs.mean_where(cosines, true),
            "cosine_false": pairs.mean_where(cosines, false),
            "retrieval_chance": jnp.full(cosines.shape[:1], 1.0 / cosines.shape[2]),
        }


def net_settings(sync: Mapping[str, object]) -> dict[str, object]:
    """All settings of a critic's net; those that a run from before they existed lacks, as well."""
    net = SyncCritic(**sync)
    names = {field.name for field in dataclasses.fields(net)} - {"parent", "name", "dtype"}
    return {name: getattr(net, name) for name in sorted(names)}


# The gate before a long run. Which config file the run is of, its values do not say.
FIFTY_CLIPS_FIRST = (
    "next run `talkjax train --config CONFIG.py:overfit --workdir runs/overfit` with this run's "
    "config file and data: fifty clips, PASS, or FAIL and why. If it fails, or this was it, "
)
TRAINING_SCORES = ("accuracy", "accuracy_at_half", "retrieval")


def alerts(values: Mapping[str, float]) -> dict[str, str | None]:
    """What a report or a validation gives reason to warn of: {kind: a warning, or None}."""
    found = alerts_at_chance(
        values,
        judge="the critic",
        first=FIFTY_CLIPS_FIRST,
        then_try="a lower --config.optim.sync.learning_rate",
    )
    named = {name.removeprefix("fit/"): value for name, value in values.items()}
    for kind, scalar, wrong, text in REASONS:
        if scalar in named:
            found[kind] = text.format(named[scalar]) if wrong(named) else None
    return found


def causes(values: Mapping[str, float]) -> str:
    """Why a critic may have stayed below what its run requires, the likeliest first.

    Args:
      values: the last report and the last validation.
    """
    seen_wrong = [text for text in alerts(values).values() if text]
    return "; ".join([*seen_wrong, LIKELY_CAUSES])


# (kind, scalar of the phase, what is wrong, what to say): the first that holds is the reason why a
# critic is stuck; the others often follow from it.
REASONS = (
    (
        "sound",
        "mel_spread",
        lambda v: v["mel_spread"] < SILENT_MEL,
        "the sound is the same in every window of a clip (its log-mel differs by {:.3f}, speech by "
        "about 1): the clips are silent, or their sound was lost; look with `talkjax doctor`",
    ),
    (
        "faces alike",
        "face_spread",
        lambda v: v["face_spread"] < COLLAPSED,
        "all mouths of a clip have the same embedding (spread {:.5f}): the mouths do not move or "
        "the net has collapsed; look at the crops with `talkjax doctor`, then try a lower "
        "--config.optim.sync.learning_rate or a larger --config.loss_weights.fit.contrast",
    ),
    (
        "sounds alike",
        "sound_spread",
        lambda v: v["sound_spread"] < COLLAPSED,
        "all sounds of a clip have the same embedding (spread {:.5f}): the net has collapsed; try "
        "a lower --config.optim.sync.learning_rate or a larger "
        "--config.loss_weights.fit.contrast",
    ),
    (
        "flat",
        "bce",
        lambda v: abs(v["bce"] - LN_2) < LN_2_MARGIN and v["accuracy"] < CHANCE + CHANCE_MARGIN,
        "the loss bce is flat at ln 2 ({:.3f}, a coin's): true and false pairs look alike. Usual "
        "causes: sound and picture out of step, a wrong frame rate, too high a "
        "--config.optim.sync.learning_rate, or no --config.loss_weights.fit.contrast",
    ),
    (
        "temperature low",
        "temperature",
        lambda v: v["temperature"] <= 1.001 * LOWEST_TEMPERATURE,
        "the temperature fell to its floor ({:.3f}): the critic makes up for pairs that it cannot "
        "tell apart, or knows its clips by heart; compare eval/val/retrieval with fit/retrieval",
    ),
    (
        "temperature high",
        "temperature",
        lambda v: v["temperature"] > HOTTEST_TEMPERATURE,
        "the temperature ran away to {:.2f}: the pairs say nothing, so the loss is made flat; see "
        "with `talkjax doctor` whether sound and picture are in step",
    ),
)
LIKELY_CAUSES = (
    "usual causes, in this order: sound and picture are out of step or at another frame rate "
    "(`talkjax doctor`), a learning rate that is too high or too low, too few steps"
)


def _window_frames(batch: Batch) -> int:
    """Frames of one window."""
    frames, windows = batch["frames_u8"], batch["mel_chunk"].shape[1]
    return frames.shape[2] if frames.ndim == 6 else frames.shape[1] - windows + 1


def _rows(x):
    return x.reshape(-1, *x.shape[2:])


def _mean(terms: list[Float[Array, " b"]]) -> Float[Array, " b"]:
    return sum(terms) / len(terms)


def _cosines(faces: Float[Array, "b v d"], sounds: Float[Array, "b w d"]):
    return jnp.einsum("bvd,bwd->bvw", faces, sounds)
