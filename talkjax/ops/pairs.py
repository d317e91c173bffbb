"""Pairs of mouths and sounds that were sampled together: which are true, which false, and what
a sync critic makes of them.

Each clip gives v mouths and w sounds with the frames they start at; every sound is held against
every mouth. A true pair starts at the same frame; a false pair starts at least `min_gap_frames`
apart; what lies between is neither.
"""

import jax.numpy as jnp
from jaxtyping import Float, Int

from talkjax.arrays import Array
from talkjax.ops import losses


def true_pairs(mouths: Int[Array, "b v"], sounds: Int[Array, "b w"]) -> Float[Array, "b v w"]:
    """1 where a mouth and a sound start at the same frame."""
    return (mouths[:, :, None] == sounds[:, None, :]).astype(jnp.float32)


def false_pairs(
    mouths: Int[Array, "b v"], sounds: Int[Array, "b w"], *, min_gap_frames: int
) -> Float[Array, "b v w"]:
    """1 where a mouth and a sound of a clip are far enough apart to be called out of sync."""
    gap = jnp.abs(mouths[:, :, None] - sounds[:, None, :])
    return (gap >= min_gap_frames).astype(jnp.float32)


def mean_where(x: Float[Array, "b v w"], mask: Float[Array, "b v w"]) -> Float[Array, " b"]:
    """Mean of a clip's pairs that count; 0 where none does, and so is its weight."""
    return jnp.sum(x * mask, axis=(1, 2)) / jnp.maximum(jnp.sum(mask, axis=(1, 2)), 1.0)


def balanced_cross_entropy(
    probability: Float[Array, "b v w"], true: Float[Array, "b v w"], false: Float[Array, "b v w"]
) -> Float[Array, " b"]:
    """Cross entropy, nats; true and false pairs weigh the same. ln 2 = 0.693 is chance.

    Source: Wav2Lip's color_syncnet_train.py, on cosines of non-negative embeddings.
    """
    of_true = losses.binary_cross_entropy(probability, jnp.ones_like(probability))
    of_false = losses.binary_cross_entropy(probability, jnp.zeros_like(probability))
    return 0.5 * (mean_where(of_true, true) + mean_where(of_false, false))


def contrast(
    left: Float[Array, "b v d"],
    right: Float[Array, "b w d"],
    *,
    true: Float[Array, "b v w"],
    false: Float[Array, "b v w"],
    temperature: float | Float[Array, ""],
    across_clips: bool = True,
) -> Float[Array, " b"]:
    """InfoNCE both ways among the false pairs of a clip and all pairs across clips, nats.

    A row or column without a true pair asks nothing.

    Args:
      across_clips: False leaves the pairs across clips out, where faces give the answer away.

    Source: van den Oord et al. 2018, eq. 4; with same-clip negatives StyleTalker and CALS.
    """
    b, v, d = left.shape
    w = right.shape[1]
    logits = (left.reshape(b * v, d) @ right.reshape(b * w, d).T) / temperature
    same_clip = jnp.kron(jnp.eye(b), jnp.ones((v, w)))
    match, inside = _across_clips(true), _across_clips(false)
    valid = jnp.where(same_clip > 0, jnp.maximum(inside, match), float(across_clips))
    rows = _asked(logits, match, valid).reshape(b, v)
    columns = _asked(logits.T, match.T, valid.T).reshape(b, w)
    return 0.5 * (_mean_asked(rows, true.sum(axis=2)) + _mean_asked(columns, true.sum(axis=1)))


def ranked_rightly(
    cosines: Float[Array, "b v w"], true: Float[Array, "b v w"], false: Float[Array, "b v w"]
) -> Float[Array, " b"]:
    """Share of false pairs whose cosine is below that of the same mouth's true pair; chance 0.5."""
    own = jnp.sum(cosines * true, axis=2, keepdims=True)
    asked = false * jnp.sum(true, axis=2, keepdims=True)
    return mean_where((own > cosines).astype(jnp.float32), asked)


def right_side_of_half(
    probability: Float[Array, "b v w"], true: Float[Array, "b v w"], false: Float[Array, "b v w"]
) -> Float[Array, " b"]:
    """Balanced share of pairs on their side of 0.5; chance 0.5."""
    above = (probability > 0.5).astype(jnp.float32)
    return 0.5 * (mean_where(above, true) + mean_where(1.0 - above, false))


def retrieval(cosines: Float[Array, "b v w"], true: Float[Array, "b v w"]) -> Float[Array, " b"]:
    """Share of mouths whose own sound is the nearest of its clip's w; chance 1 / w.

    Ties miss, so that a critic that finds all alike finds nothing.
    """
    own = jnp.sum(cosines * true, axis=2, keepdims=True)
    beaten = jnp.sum((cosines >= own) * (1.0 - true), axis=2) == 0
    asked = jnp.sum(true, axis=2)
    return _mean_asked(beaten.astype(jnp.float32), asked)


def spread(units: Float[Array, "b v d"]) -> Float[Array, ""]:
    """How much unit vectors of one clip differ: 0 all alike, 1 - 1/v all at right angles."""
    return jnp.mean(1.0 - jnp.sum(jnp.mean(units, axis=1) ** 2, axis=-1))


def _across_clips(inside: Float[Array, "b v w"]) -> Float[Array, "bv bw"]:
    """Pairs of one clip as pairs of all windows with all; 0 across clips."""
    b, v, w = inside.shape
    return jnp.einsum("bvw,bc->bvcw", inside, jnp.eye(b)).reshape(b * v, b * w)


def _asked(logits, match, valid) -> Float[Array, " n"]:
    return losses.contrastive_loss(logits, positive=match, valid=valid)


def _mean_asked(x: Float[Array, "b v"], asked: Float[Array, "b v"]) -> Float[Array, " b"]:
    return jnp.sum(jnp.where(asked > 0, x, 0.0), axis=1) / jnp.maximum(asked.sum(axis=1), 1.0)
