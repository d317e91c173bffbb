"""Losses, one value per row: the caller decides what to average."""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from talkjax.arrays import Array

# Cosines this close to 0 or 1 are clipped, so that their logarithms stay finite.
COSINE_MARGIN = 1e-7


def mean_over_rest(x: Float[Array, "b *rest"]) -> Float[Array, " b"]:
    """Mean of all that belongs to one example."""
    return jnp.mean(x.reshape(x.shape[0], -1), axis=-1)


def binary_cross_entropy(
    probability: Float[Array, "*n"], label: Float[Array, "*n"]
) -> Float[Array, "*n"]:
    """-log of the probability given to the label, nats. ln 2 = 0.693 is chance.

    Source: Wav2Lip applies it to cosines of non-negative embeddings (color_syncnet_train.py).
    """
    p = jnp.clip(probability, COSINE_MARGIN, 1.0 - COSINE_MARGIN)
    return -(label * jnp.log(p) + (1.0 - label) * jnp.log1p(-p))


GAN_FORMS = ("cross_entropy", "saturating")


def adversarial_loss(logits: Float[Array, "*n"], *, real: bool, form: str) -> Float[Array, "*n"]:
    """What a player pays for logits of "real" that should say `real`, nats.

    Args:
      real: what the player wants: the discriminator the truth, the generator always True.
      form: "cross_entropy": -log of the probability of the wanted answer; "saturating": log of
        the probability of the other one. That is flat where the player is far off, and has no
        lower bound.
    """
    right, wrong = real_logits_loss, fake_logits_loss
    if not real:
        right, wrong = wrong, right
    return right(logits) if form == "cross_entropy" else -wrong(logits)


def real_logits_loss(logits: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Cross entropy of "real" given logits: of real pictures (D), of generated ones (G)."""
    return jax.nn.softplus(-logits)


def fake_logits_loss(logits: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Cross entropy of "fake" given logits."""
    return jax.nn.softplus(logits)


def contrastive_loss(
    similarity: Float[Array, "n k"], *, positive: Float[Array, "n k"], valid: Float[Array, "n k"]
) -> Float[Array, " n"]:
    """InfoNCE: -log softmax of the positive among the valid candidates of each row, nats.

    Args:
      similarity: logits (cosine over temperature).
      positive: 1 at each row's one match.
      valid: 1 where a candidate may stand in the denominator; 1 at the match.

    Source: van den Oord et al. 2018, eq. 4.
    """
    logits = jnp.where(valid > 0, similarity, -1e9)
    return jax.nn.logsumexp(logits, axis=-1) - jnp.sum(logits * positive, axis=-1)
