"""Unit vectors and cosines, always in float32."""

import jax.numpy as jnp
from jaxtyping import Float

from talkjax.arrays import AnyArray, Array

SMALLEST_NORM = 1e-12


def unit_vectors(x: Float[AnyArray, "*n d"]) -> Float[Array, "*n d"]:
    """`x` over its length, float32; a zero vector stays zero and has a finite gradient.

    Source: torch.nn.functional.normalize, eps 1e-12.
    """
    x = x.astype(jnp.float32)
    squared = jnp.sum(jnp.square(x), axis=-1, keepdims=True)
    return x / jnp.sqrt(jnp.maximum(squared, SMALLEST_NORM**2))


def cosine(a: Float[AnyArray, "*n d"], b: Float[AnyArray, "*n d"]) -> Float[Array, "*n"]:
    """Cosine of the angle between rows of `a` and `b`; 0 where either is a zero vector."""
    return jnp.sum(unit_vectors(a) * unit_vectors(b), axis=-1)
