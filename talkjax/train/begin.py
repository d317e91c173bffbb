"""The state of a run before its first step: shapes, placements, random or given values."""

import functools
import logging
from collections.abc import Callable, Mapping
from typing import Any

import jax

from talkjax.arrays import Batch, Key, Nets, Tree
from talkjax.errors import UserError
from talkjax.methods.api import Method
from talkjax.train import sharding
from talkjax.train.job import Job
from talkjax.train.rng import root_key
from talkjax.train.state import TrainState, create_state

_log = logging.getLogger(__name__)


def abstract_state(job: Job) -> TrainState:
    """Shapes and types of the run's state; nothing is computed."""
    return jax.eval_shape(_creator(job), root_key(job.settings.seed))


def _creator(job: Job) -> Callable[[Key], TrainState]:
    return functools.partial(
        _create, method=job.method, optimizers=dict(job.optimizers), spec=job.element_spec
    )


def _create(root: Key, *, method: Method, optimizers: dict, spec: Batch) -> TrainState:
    return create_state(method, optimizers, root, element_spec=spec)


def begin(job: Job, shardings: TrainState) -> TrainState:
    """The state at step 0, each leaf made where it will live."""
    state = jax.jit(_creator(job), out_shardings=shardings)(root_key(job.settings.seed))
    if job.initial and not set(job.initial) & set(state.params):
        raise UserError(
            f"config.init_from has the nets {sorted(job.initial)}, none of {sorted(state.params)}"
        )
    for net, given in job.initial.items():
        state = _with_initial(state, shardings, net=net, given=given)
    if job.initial:
        _log.info("config.init_from: %s", describe_initial(job.initial, state.params))
    return state


def describe_initial(initial: Nets, params: Nets) -> str:
    """Which nets were taken, which of the run were not given, and what was left over."""
    parts = {
        "taken": sorted(set(initial) & set(params)),
        "random, not given": sorted(set(params) - set(initial)),
        "given, not used": sorted(set(initial) - set(params)),
    }
    return "; ".join(f"{what}: {', '.join(nets)}" for what, nets in parts.items() if nets)


def _with_initial(
    state: TrainState, shardings: TrainState, *, net: str, given: Mapping[str, Tree]
) -> TrainState:
    def replace(nets: Nets, places: Nets, part: str) -> Nets:
        if net not in nets:
            return nets
        old, new = (
            {sharding.leaf_path(path): leaf for path, leaf in _leaves(tree)}
            for tree in (nets[net], given[part])
        )
        wrong = sorted(
            name
            for name in set(old) | set(new)
            if name not in old or name not in new or old[name].shape != new[name].shape
        )
        if wrong:
            raise UserError(f"config.init_from: {part} of {net} do not fit at {wrong}")
        return nets | {net: sharding.put_whole(given[part], places[net])}

    return state.replace(
        params=replace(state.params, shardings.params, "params"),
        model_vars=replace(state.model_vars, shardings.model_vars, "vars"),
        ema={
            part: replace(state.ema[part], shardings.ema[part], part) for part in ("params", "vars")
        },
    )


def _leaves(tree: Tree) -> list[tuple[Any, Any]]:
    return jax.tree_util.tree_leaves_with_path(tree)


def placed_state(job: Job) -> tuple[TrainState, TrainState]:
    """(the abstract state with its placements, the placements alone)."""
    abstract = abstract_state(job)
    shardings = sharding.state_shardings(abstract, job.sharding_rules, job.mesh)
    placed = jax.tree.map(
        lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place),
        abstract,
        shardings,
    )
    return placed, shardings
