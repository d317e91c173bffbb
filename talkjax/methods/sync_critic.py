"""The sync critic: trained first, then frozen; it judges whether lips belong to a sound.

One net, `sync`, sees several windows of each clip and the sound of each. Two losses, each with
a weight in the config:

- `bce`: cross entropy of cosines as probabilities, true pairs against pairs from another moment
  of the same clip, both kinds weighing the same (Wav2Lip, color_syncnet_train.py; Prajwal et
  al. 2020, eq. 1).
- `contrast`: each mouth must find its own sound, and each sound its mouth, among all other
  moments of its clip and all windows of the other clips (InfoNCE). Many negatives are what gets
  a critic off ln 2 = 0.693 quickly.

Differs: Wav2Lip draws one pair per visit, true or false by a coin; here every window meets
every other window of its clip.
"""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from talkjax.arrays import Array, Batch, Float, Key, Nets
from talkjax.methods.api import LossOut, Method, Phase
from talkjax.nets.sync_critic import SyncCritic
from talkjax.ops import image, losses

# What a coin gets, and how far above it a critic must be before it is believed.
CHANCE, CHANCE_MARGIN = 0.5, 0.05


def build(
    *,
    image_size: int,
    channel_order: str,
    min_gap_frames: int,
    temperature: float,
    dtype: str,
    sync: Mapping[str, object],
) -> Method:
    """The sync critic as a method.

    Args:
      image_size: side of the crops, px; the critic sees their lower half.
      channel_order: "bgr" (public weights) or "rgb".
      min_gap_frames: moments of one clip closer than this are neither true nor false pairs.
      temperature: divides cosines in `contrast`.
      dtype: of the computation, "float32" or "bfloat16".
      sync: settings of `SyncCritic`.
    """
    system = CriticTraining(
        image_size=image_size,
        channel_order=channel_order,
        min_gap_frames=min_gap_frames,
        temperature=temperature,
        critic=SyncCritic(**sync, dtype=jnp.dtype(dtype)),
    )
    return Method(
        init_fn=system.init,
        phases=(Phase("fit", ("sync",), system.loss),),
        predict_fn=system.predict,
        averaged=("sync",),
        scores_fn=system.scores,
    )


@dataclasses.dataclass(frozen=True)
class CriticTraining:
    """The critic and what is done with it. Pure functions of parameters and batch."""

    image_size: int
    channel_order: str
    min_gap_frames: int
    temperature: float
    critic: SyncCritic

    def init(self, key: Key, batch: Batch) -> tuple[Nets, Nets]:
        """Parameters and batch statistics of `sync`."""
        t, height, width = batch["frames_u8"].shape[2:5]
        if height != self.image_size:
            raise ValueError(
                f"model.image_size: got {self.image_size}, data.image_size is {height}; make "
                "them equal"
            )
        clips = jnp.zeros((2, t, height // 2, width, 3))
        mel = jnp.zeros((2, *batch["mel_chunk"].shape[2:]))
        variables = self.critic.init(key, clips, mel, train=False)
        stats = {"batch_stats": variables["batch_stats"]}
        return {"sync": variables["params"]}, {"sync": stats}

    def embed(self, params: Nets, model_vars: Nets, batch: Batch, *, train: bool):
        """(faces b w d, sounds b w d, new statistics), unit norm."""
        b, w = batch["mel_chunk"].shape[:2]
        images = image.to_float(_rows(batch["frames_u8"]))
        images = image.to_order(images, self.channel_order)
        (face, audio), updated = self.critic.apply(
            {"params": params["sync"], **model_vars["sync"]},
            image.lower_half(images) * 0.5 + 0.5,  # [0, 1]
            _rows(batch["mel_chunk"]),
            train=train,
            mutable=["batch_stats"],
        )
        return face.unit.reshape(b, w, -1), audio.unit.reshape(b, w, -1), updated

    def loss(self, params: Nets, model_vars: Nets, batch: Batch, key: Key) -> LossOut:
        """Both losses and what they mean in accuracy."""
        del key
        faces, sounds, updated = self.embed(params, model_vars, batch, train=True)
        false = _false_pairs(batch["start_frames"], self.min_gap_frames)  # b w w
        cosines = jnp.einsum("bvd,bwd->bvw", faces, sounds)
        terms = {
            "bce": _balanced_cross_entropy(cosines, false),
            "contrast": _contrast(faces, sounds, false, self.temperature),
        }
        accuracy, at_half = _accuracies(cosines, false)
        scalars = {"accuracy": jnp.mean(accuracy), "accuracy_at_half": jnp.mean(at_half)}
        return LossOut(terms, {"sync": updated}, scalars)

    def predict(
        self, params: Nets, model_vars: Nets, batch: Batch, key: Key
    ) -> Mapping[str, Array]:
        """{"face_embedding": b w d, "audio_embedding": b w d}, unit norm."""
        del key
        faces, sounds, _ = self.embed(params, model_vars, batch, train=False)
        return {"face_embedding": faces, "audio_embedding": sounds}

    def scores(
        self, params: Nets, model_vars: Nets, batch: Batch, key: Key
    ) -> Mapping[str, Float[Array, " b"]]:
        """Validation: `accuracy` (chance 0.5) is what a generator run's gate looks at."""
        del key
        faces, sounds, _ = self.embed(params, model_vars, batch, train=False)
        false = _false_pairs(batch["start_frames"], self.min_gap_frames)
        cosines = jnp.einsum("bvd,bwd->bvw", faces, sounds)
        accuracy, at_half = _accuracies(cosines, false)
        return {
            "accuracy": accuracy,
            "accuracy_at_half": at_half,
            "bce": _balanced_cross_entropy(cosines, false),
            "cosine_true": jnp.mean(jnp.diagonal(cosines, axis1=1, axis2=2), axis=-1),
            "cosine_false": _mean_where(cosines, false),
        }


def alerts(values: Mapping[str, float]) -> dict[str, str | None]:
    """What a report or a validation gives reason to warn of: {kind: a warning, or None}."""
    found = {}
    for name, accuracy in values.items():
        if name.endswith("/accuracy"):
            where, remedy = VALIDATION if name.startswith("eval/") else TRAINING
            found[where] = (
                f"the critic is at chance on {where}: it ranks {accuracy:.1%} of same-clip pairs "
                f"rightly, a coin 50%. {remedy}"
                if accuracy < CHANCE + CHANCE_MARGIN
                else None
            )
    return found


# Where a critic is at chance, and what to do then.
TRAINING = (
    "its training clips",
    "If it still is after half the steps, stop it; see with `talkjax doctor` whether sound and "
    "picture are in step, then try a lower --config.optim.sync.learning_rate, or more clips",
)
VALIDATION = (
    "the validation clips",
    "If it is good on its training clips, it knows them by heart: prepare more clips",
)


def _rows(x):
    return x.reshape(-1, *x.shape[2:])


def _false_pairs(starts, min_gap_frames: int) -> Float[Array, "b w w"]:
    """1 where two windows of a clip are far enough apart to be called out of sync."""
    gap = jnp.abs(starts[:, :, None] - starts[:, None, :])
    return (gap >= min_gap_frames).astype(jnp.float32)


def _mean_where(x: Float[Array, "b v w"], mask: Float[Array, "b v w"]) -> Float[Array, " b"]:
    # A clip may have no false pair by chance; then its mean is 0 and so is its weight.
    return jnp.sum(x * mask, axis=(1, 2)) / jnp.maximum(jnp.sum(mask, axis=(1, 2)), 1.0)


def _balanced_cross_entropy(cosines, false) -> Float[Array, " b"]:
    true = jnp.diagonal(cosines, axis1=1, axis2=2)
    of_true = jnp.mean(losses.binary_cross_entropy(true, jnp.ones_like(true)), axis=-1)
    of_false = losses.binary_cross_entropy(cosines, jnp.zeros_like(cosines))
    return 0.5 * (of_true + _mean_where(of_false, false))


def _contrast(faces, sounds, false, temperature: float) -> Float[Array, " b"]:
    """InfoNCE both ways, over the windows of the whole batch."""
    b, w, d = faces.shape
    logits = (faces.reshape(b * w, d) @ sounds.reshape(b * w, d).T) / temperature
    same_clip = jnp.kron(jnp.eye(b), jnp.ones((w, w)))
    inside = jnp.einsum("bvw,bc->bvcw", false, jnp.eye(b)).reshape(b * w, b * w)
    match = jnp.eye(b * w)
    valid = jnp.where(same_clip > 0, jnp.maximum(inside, match), 1.0)
    rows = losses.contrastive_loss(logits, positive=match, valid=valid)
    columns = losses.contrastive_loss(logits.T, positive=match, valid=valid.T)
    return jnp.mean((0.5 * (rows + columns)).reshape(b, w), axis=-1)


def _accuracies(cosines, false) -> tuple[Float[Array, " b"], Float[Array, " b"]]:
    """(share of same-clip pairs ranked rightly, share on the right side of 0.5); chance 0.5."""
    true = jnp.diagonal(cosines, axis1=1, axis2=2)
    ranked = _mean_where((true[:, :, None] > cosines).astype(jnp.float32), false)
    right_true = jnp.mean((true > 0.5).astype(jnp.float32), axis=-1)
    right_false = _mean_where((cosines <= 0.5).astype(jnp.float32), false)
    return jax.lax.stop_gradient(ranked), jax.lax.stop_gradient(0.5 * (right_true + right_false))
