"""SyncNet as a judge of our own: the published architecture and loss, on data that we have.

One net, `syncnet`, sees several windows of each clip and the sound of each. Its one loss,
`contrastive`, pulls a window and its own sound together and pushes sounds of other moments of
the same clip away until they are `margin` apart.

It judges (`talkjax evaluate --syncnet`, `talkjax score`); no generator is trained against it.

Source: Chung & Zisserman 2016, "Out of time", eq. 1 and section 3.2. Differs: they draw one
false pair for each true one, by a shift of up to 2 s; here every window meets every other
window of its clip, and both kinds weigh the same.
"""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from talkjax.arrays import Array, Batch, Float, Key, Nets
from talkjax.errors import UserError
from talkjax.methods.api import LossOut, Method, Phase
from talkjax.nets.syncnet import SyncNet
from talkjax.ops import image, pairs
from talkjax.ops.chance import alerts_at_chance

SMALLEST_SQUARE = 1e-6


def build(
    *,
    image_size: int,
    channel_order: str,
    margin: float,
    min_gap_frames: int,
    dtype: str,
    syncnet: Mapping[str, object],
) -> Method:
    """SyncNet as a method.

    Args:
      image_size: side of the crops, px; the published net's is 224.
      channel_order: "bgr" (public weights) or "rgb".
      margin: distance beyond which a false pair costs nothing.
      min_gap_frames: moments of one clip closer than this are neither true nor false pairs.
      dtype: of the computation, "float32" or "bfloat16".
      syncnet: settings of `SyncNet`.
    """
    system = SyncNetTraining(
        image_size=image_size,
        channel_order=channel_order,
        margin=margin,
        min_gap_frames=min_gap_frames,
        net=SyncNet(**syncnet, dtype=jnp.dtype(dtype)),
    )
    return Method(
        init_fn=system.init,
        phases=(Phase("fit", ("syncnet",), system.loss),),
        predict_fn=system.predict,
        averaged=("syncnet",),
        scores_fn=system.scores,
    )


@dataclasses.dataclass(frozen=True)
class SyncNetTraining:
    """The net and what is done with it. Pure functions of parameters and batch."""

    image_size: int
    channel_order: str
    margin: float
    min_gap_frames: int
    net: SyncNet

    def init(self, key: Key, batch: Batch) -> tuple[Nets, Nets]:
        """Parameters and batch statistics of `syncnet`."""
        t, height, width = batch["frames_u8"].shape[2:5]
        if height != self.image_size:
            raise UserError(
                f"model.image_size: got {self.image_size}, data.image_size is {height}; make "
                "them equal"
            )
        frames = jnp.zeros((2, t, height, width, 3))
        mfcc = jnp.zeros((2, *batch["mfcc"].shape[2:]))
        variables = self.net.init(key, frames, mfcc, train=False)
        stats = {"batch_stats": variables["batch_stats"]}
        return {"syncnet": variables["params"]}, {"syncnet": stats}

    def embed(self, params: Nets, model_vars: Nets, batch: Batch, *, train: bool):
        """(lips b w d, sounds b w d, new statistics); not normalised."""
        b, w = batch["mfcc"].shape[:2]
        frames = image.to_order(_rows(batch["frames_u8"]).astype(jnp.float32), self.channel_order)
        embedded, updated = self.net.apply(
            {"params": params["syncnet"], **model_vars["syncnet"]},
            frames,
            _rows(batch["mfcc"]),
            train=train,
            mutable=["batch_stats"],
        )
        return embedded.lips.reshape(b, w, -1), embedded.sound.reshape(b, w, -1), updated

    def false_pairs(self, batch: Batch) -> Float[Array, "b w w"]:
        """1 where two windows of a clip are far enough apart to be called out of sync."""
        starts = batch["start_frames"]
        return pairs.false_pairs(starts, starts, min_gap_frames=self.min_gap_frames)

    def loss(self, params: Nets, model_vars: Nets, batch: Batch, key: Key) -> LossOut:
        """The contrastive loss, and what it means in accuracy."""
        del key
        lips, sounds, updated = self.embed(params, model_vars, batch, train=True)
        false = self.false_pairs(batch)
        distances = pair_distances(lips, sounds)
        named = _measures(distances, false)
        scalars = {name: jnp.mean(jax.lax.stop_gradient(value)) for name, value in named.items()}
        terms = {"contrastive": contrastive_loss(distances, false, margin=self.margin)}
        return LossOut(terms, {"syncnet": updated}, scalars)

    def predict(
        self, params: Nets, model_vars: Nets, batch: Batch, key: Key
    ) -> Mapping[str, Array]:
        """{"lip_embedding": b w d, "sound_embedding": b w d}; not normalised."""
        del key
        lips, sounds, _ = self.embed(params, model_vars, batch, train=False)
        return {"lip_embedding": lips, "sound_embedding": sounds}

    def scores(
        self, params: Nets, model_vars: Nets, batch: Batch, key: Key
    ) -> Mapping[str, Float[Array, " b"]]:
        """Validation; `accuracy` (chance 0.5) chooses the best step."""
        del key
        lips, sounds, _ = self.embed(params, model_vars, batch, train=False)
        false = self.false_pairs(batch)
        distances = pair_distances(lips, sounds)
        loss = contrastive_loss(distances, false, margin=self.margin)
        return _measures(distances, false) | {"contrastive": loss}


def pair_distances(
    lips: Float[Array, "b v d"], sounds: Float[Array, "b w d"]
) -> Float[Array, "b v w"]:
    """Euclidean distance of every picture window to every sound window of its clip."""
    squares = jnp.sum(jnp.square(lips), axis=-1)[:, :, None]
    squares = squares + jnp.sum(jnp.square(sounds), axis=-1)[:, None, :]
    squares = squares - 2.0 * jnp.einsum("bvd,bwd->bvw", lips, sounds)
    return jnp.sqrt(jnp.maximum(squares, SMALLEST_SQUARE))


def contrastive_loss(
    distances: Float[Array, "b w w"], false: Float[Array, "b w w"], *, margin: float
) -> Float[Array, " b"]:
    """Half the mean of d^2 over true and of max(margin - d, 0)^2 over false pairs, half of each.

    Args:
      distances: true pairs are on the diagonal.
      false: 1 at false pairs.

    Source: Chung & Zisserman 2016, eq. 1.
    """
    true = jnp.mean(jnp.square(jnp.diagonal(distances, axis1=1, axis2=2)), axis=-1)
    missing = jnp.square(jnp.maximum(margin - distances, 0.0))
    return 0.5 * (0.5 * true + 0.5 * pairs.mean_where(missing, false))


def alerts(values: Mapping[str, float]) -> dict[str, str | None]:
    """What a report or a validation gives reason to warn of: {kind: a warning, or None}."""
    return alerts_at_chance(
        values,
        judge="SyncNet",
        then_try="another --config.model.margin (the distances that it starts with are about the "
        "square root of a third of model.syncnet.width)",
    )


def _rows(x):
    return x.reshape(-1, *x.shape[2:])


def _measures(distances, false) -> dict[str, Float[Array, " b"]]:
    """Share of same-clip pairs ranked rightly (chance 0.5), and both mean distances."""
    true = jnp.broadcast_to(jnp.eye(distances.shape[1])[None], distances.shape)
    return {
        "accuracy": pairs.ranked_rightly(-distances, true, false),
        "distance_true": pairs.mean_where(distances, true),
        "distance_false": pairs.mean_where(distances, false),
    }
