"""The variables that a net would have, as shapes: what an importer fills."""

from typing import Any

import jax
import jax.numpy as jnp
from flax.errors import FlaxError

from talkjax.arrays import Tree
from talkjax.errors import UserError

REASON_LENGTH = 200


def spec(*shape: int) -> jax.ShapeDtypeStruct:
    """A float32 input of a net."""
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def shapes_of(net: Any, *inputs: jax.ShapeDtypeStruct, where: str, **options: Any) -> Tree:
    """Shapes of a net's variables; nothing is computed.

    Args:
      inputs, options: of the net's call.
      where: the file whose settings the net has, for error messages.

    Raises:
      UserError: if the net's layers do not fit together.
    """
    try:
        return jax.eval_shape(
            lambda *arrays: net.init(jax.random.key(0), *arrays, **options), *inputs
        )
    except (FlaxError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:REASON_LENGTH]
        raise UserError(
            f"{where}: its layers do not fit together ({reason}); check KIND"
        ) from error
