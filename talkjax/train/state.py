"""The one training state. All of it, and nothing else, is donated to each step and saved."""

import flax.struct
import jax
import jax.numpy as jnp
import optax

from talkjax.arrays import Batch, Key, Tree
from talkjax.errors import UserError
from talkjax.methods.api import Method
from talkjax.train.rng import stream


@flax.struct.dataclass
class TrainState:
    """What a run is at a step.

    Attributes:
      step: int32 scalar, how many steps were done; the next one runs with this number.
      params: parameters, keyed by net. Frozen experts are not among them.
      opt_state: optimizer state, keyed by net.
      model_vars: what survives without a gradient (batch statistics, ...), keyed by net.
      ema: {"params": ..., "vars": ...}, the moving averages of the method's `averaged` nets,
        keyed by net; empty dicts when none is averaged.
    """

    # Tree and not arrays: the same class also holds shapes and placements of its leaves.
    step: Tree
    params: Tree
    opt_state: Tree
    model_vars: Tree
    ema: Tree


def create_state(
    method: Method,
    optimizers: dict[str, optax.GradientTransformation],
    root: Key,
    *,
    element_spec: Batch,
) -> TrainState:
    """The state at step 0; pure, made to be jitted.

    Args:
      element_spec: the batch as `jax.ShapeDtypeStruct`s. The nets see zeros of it.

    Raises:
      UserError: if the method's nets and the config's optimizers have different names.
    """
    batch = jax.tree.map(lambda spec: jnp.zeros(spec.shape, spec.dtype), element_spec)
    params, model_vars = method.init_fn(stream(root, 0, "init"), batch)
    if set(params) != set(optimizers):
        raise UserError(
            f"config.optim names the nets {sorted(optimizers)}, the method trains "
            f"{sorted(params)}; give each net one block in config.optim"
        )
    missing = sorted(set(method.averaged) - set(params))
    if missing:
        raise UserError(f"averaged nets {missing} are not nets of the method ({sorted(params)})")
    # A net without variables has an empty entry, so that the tree never changes its shape.
    model_vars = {net: model_vars.get(net, {}) for net in params}
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=dict(params),
        opt_state={net: optimizers[net].init(params[net]) for net in params},
        model_vars=model_vars,
        ema={
            "params": {net: jax.tree.map(jnp.copy, params[net]) for net in method.averaged},
            "vars": {net: jax.tree.map(jnp.copy, model_vars[net]) for net in method.averaged},
        },
    )


def evaluation_nets(state: TrainState) -> tuple[Tree, Tree]:
    """(params, model_vars) to judge and show: the averages where they are kept."""
    return state.params | state.ema["params"], state.model_vars | state.ema["vars"]
