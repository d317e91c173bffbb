"""config.optim.<net> -> one optax transform per net.

A block goes whole into `make_optimizer`, so unknown and missing keys are refused: every number
stands in the config. An optimizer shared by a phase and its lazy
regulariser has one state, as in StyleGAN2; its schedule counts updates of the net, not steps of
the loop.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import optax

from talkjax.errors import UserError

NAMES = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "warmup", "cosine")


def make_optimizers(blocks: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Optimizers keyed by net.

    Raises:
      UserError: naming the net and the key that is wrong or missing.
    """
    parameters = inspect.signature(make_optimizer).parameters
    optimizers = {}
    for net, block in blocks.items():
        unknown, missing = (
            sorted(set(block) - set(parameters)),
            sorted(set(parameters) - set(block)),
        )
        if unknown or missing:
            raise UserError(
                f"config.optim.{net}: unknown keys {unknown}, missing keys {missing}; "
                f"the keys are {sorted(parameters)}"
            )
        try:
            optimizers[net] = make_optimizer(**block)
        except ValueError as error:
            raise UserError(f"config.optim.{net}: {error}") from error
    return optimizers


def make_optimizer(
    *,
    name: str,
    learning_rate: float,
    b1: float,
    b2: float,
    eps: float,
    weight_decay: float,
    schedule: str,
    warmup_steps: int,
    decay_steps: int,
    end_factor: float,
    clip_norm: float,
) -> optax.GradientTransformation:
    """One net's optimizer.

    Args:
      name: "adam", "adamw" or "sgd" (plain; b1, b2 and eps then mean nothing).
      learning_rate: the peak.
      weight_decay: decoupled, per update and times the learning rate; adamw only.
      schedule: "constant"; "warmup" (linear from 0 over `warmup_steps`, then constant);
        "cosine" (the same warm-up, then down to `end_factor` * peak at `decay_steps`, counted
        from 0).
      clip_norm: the net's gradient is scaled down to this global norm; 0 = off.

    Raises:
      ValueError: on an unknown name, or on numbers that contradict the schedule.
    """
    if name not in NAMES:
        raise ValueError(f"optimizer name: got {name!r}, want one of {list(NAMES)}")
    if weight_decay and name != "adamw":
        raise ValueError(f"weight_decay: got {weight_decay} with {name}, which ignores it")
    rate = make_schedule(
        schedule,
        learning_rate=learning_rate,
        warmup_steps=warmup_steps,
        decay_steps=decay_steps,
        end_factor=end_factor,
    )
    if name == "adam":
        update = optax.adam(rate, b1=b1, b2=b2, eps=eps)
    elif name == "adamw":
        update = optax.adamw(rate, b1=b1, b2=b2, eps=eps, weight_decay=weight_decay)
    else:
        update = optax.sgd(rate)
    return optax.chain(optax.clip_by_global_norm(clip_norm), update) if clip_norm else update


def make_schedule(
    schedule: str,
    *,
    learning_rate: float,
    warmup_steps: int,
    decay_steps: int,
    end_factor: float,
) -> optax.Schedule:
    """The learning rate as a function of the number of updates; see `make_optimizer`."""
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule: got {schedule!r}, want one of {list(SCHEDULES)}")
    if schedule == "constant":
        if warmup_steps or decay_steps:
            raise ValueError('warmup_steps and decay_steps must be 0 with schedule "constant"')
        return optax.constant_schedule(learning_rate)
    if schedule == "warmup":
        if warmup_steps <= 0 or decay_steps:
            raise ValueError('schedule "warmup" wants warmup_steps > 0 and decay_steps = 0')
        return optax.linear_schedule(0.0, learning_rate, warmup_steps)
    if decay_steps <= warmup_steps:
        raise ValueError(f'"cosine" wants decay_steps ({decay_steps}) > warmup ({warmup_steps})')
    return optax.warmup_cosine_decay_schedule(
        0.0 if warmup_steps else learning_rate,
        learning_rate,
        warmup_steps,
        decay_steps,
        end_value=end_factor * learning_rate,
    )
