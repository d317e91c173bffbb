"""The one train step of every method.

For each active phase, in the order the method declares: take the nets it trains out of the
parameters, differentiate its weighted loss with respect to those only, update each of them
with its own optimizer, carry the variables on. Then move the averages and count the step.
Nets that a phase does not train are constants because nothing differentiates them.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import optax

from talkjax.arrays import Array, Batch, Float, Key, Nets, Tree
from talkjax.methods.api import LossOut, Method, Phase
from talkjax.train.rng import stream
from talkjax.train.state import TrainState

Metrics = dict[str, Float[Array, ""]]


def active_phases(method: Method, step: int) -> tuple[str, ...]:
    """Names of the phases that run at `step`; static, one compiled program per distinct set."""
    return tuple(phase.name for phase in method.phases if step % phase.every_steps == 0)


def train_step(
    state: TrainState,
    batch: Batch,
    experts: Nets,
    root_key: Key,
    *,
    method: Method,
    optimizers: Mapping[str, optax.GradientTransformation],
    loss_weights: Mapping[str, Mapping[str, float]],
    active_phases: tuple[str, ...],
    ema_decay: float,
) -> tuple[TrainState, Metrics]:
    """One step: (state, batch) -> (next state, metrics of this step).

    Args:
      experts: {name: {"params", "vars"}} of the frozen nets; seen by the losses under their own
        names, never part of the state.
      loss_weights: {phase: {term: weight}}; the terms must be exactly those the phase returns.
      ema_decay: of the averaged nets. Early on it is min(ema_decay, (1 + step) / (10 + step)),
        so that a short run does not average in its random start. Their `model_vars` are
        averaged alike (integers: the latest), because statistics belong to their weights.
        Source: the `num_updates` rule of TensorFlow's ExponentialMovingAverage.

    Returns:
      The metrics `<phase>/<term>` (unweighted means), `<phase>/total`, `<phase>/gradient_norm`
      and the phase's own scalars as `<phase>/<scalar>`.
    """
    params, opt_state = dict(state.params), dict(state.opt_state)
    model_vars, metrics = dict(state.model_vars), {}
    for phase in method.phases:
        if phase.name not in active_phases:
            continue
        trained = {net: params[net] for net in phase.trains}
        view = params | _part(experts, "params", own=params)
        vars_view = model_vars | _part(experts, "vars", own=params)
        key = stream(root_key, state.step, phase.name)

        def weighted_loss(trained, phase=phase, view=view, vars_view=vars_view, key=key):
            out = phase.loss_fn(view | trained, vars_view, batch, key)
            means = _term_means(phase, out, loss_weights[phase.name])
            total = sum(loss_weights[phase.name][name] * mean for name, mean in means.items())
            # LossOut is no pytree, so its parts go out by themselves.
            return total, (means, dict(out.model_vars), dict(out.scalars))

        (total, (means, new_vars, scalars)), grads = jax.value_and_grad(
            weighted_loss, has_aux=True
        )(trained)
        for net in phase.trains:
            updates, opt_state[net] = optimizers[net].update(
                grads[net], opt_state[net], trained[net]
            )
            params[net] = optax.apply_updates(trained[net], updates)
        model_vars |= _own_vars(phase, new_vars, model_vars)
        named = means | scalars | {"total": total, "gradient_norm": _norm(grads)}
        metrics |= {f"{phase.name}/{name}": value for name, value in named.items()}
    ema = _moved_average(state, params, model_vars, ema_decay=ema_decay)
    return TrainState(state.step + 1, params, opt_state, model_vars, ema), metrics


def _part(experts: Nets, part: str, *, own: Nets) -> Nets:
    shared = sorted(set(experts) & set(own))
    if shared:
        raise ValueError(f"nets {shared} are both trained and frozen experts; rename one of them")
    return {name: expert[part] for name, expert in experts.items()}


def _term_means(phase: Phase, out: LossOut, weights: Mapping[str, float]) -> Metrics:
    if set(out.terms) != set(weights):
        raise ValueError(
            f"loss terms of phase {phase.name}: the method returns {sorted(out.terms)}, "
            f"config.loss_weights.{phase.name} has {sorted(weights)}; make them equal"
        )
    for name, term in out.terms.items():
        if term.ndim != 1:
            raise ValueError(
                f"loss term {phase.name}/{name}: got shape {list(term.shape)}, "
                "want one value per example, [batch]"
            )
    clash = sorted((set(out.terms) | {"total", "gradient_norm"}) & set(out.scalars))
    if clash:
        raise ValueError(f"phase {phase.name}: scalars {clash} have the name of a loss term")
    return {name: jnp.mean(term.astype(jnp.float32)) for name, term in out.terms.items()}


def _own_vars(phase: Phase, new: Nets, own: Nets) -> Nets:
    strangers = sorted(set(new) - set(own))
    if strangers:
        raise ValueError(
            f"phase {phase.name} returns model_vars of {strangers}; "
            f"only the method's own nets {sorted(own)} carry variables"
        )
    return new


def _norm(tree: Tree) -> Float[Array, ""]:
    squares = [jnp.sum(jnp.square(leaf.astype(jnp.float32))) for leaf in jax.tree.leaves(tree)]
    return jnp.sqrt(sum(squares))


def _moved_average(
    state: TrainState, params: Nets, model_vars: Nets, *, ema_decay: float
) -> dict[str, Tree]:
    step = state.step.astype(jnp.float32)
    decay = jnp.minimum(ema_decay, (1.0 + step) / (10.0 + step))

    def move(old: Array, new: Array) -> Array:
        if not jnp.issubdtype(new.dtype, jnp.floating):
            return new
        return old + (1.0 - decay).astype(old.dtype) * (new - old)

    latest = {"params": params, "vars": model_vars}
    return {
        part: {net: jax.tree.map(move, old, latest[part][net]) for net, old in averages.items()}
        for part, averages in state.ema.items()
    }
