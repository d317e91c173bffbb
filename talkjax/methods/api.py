"""The whole contract between a method and the trainer: three frozen records.

A method is a value. `methods/<name>.py` exposes `build(**model_settings) -> Method`; nothing
is inherited and nothing is registered. `train/` knows this file and nothing about lips.
"""

import dataclasses
from collections.abc import Callable, Mapping

from talkjax.arrays import Array, Batch, Float, Key, Nets


@dataclasses.dataclass(frozen=True)
class LossOut:
    """What a loss function returns.

    Attributes:
      terms: named per-example losses; the trainer takes each one's mean over the batch and
        weights it with the config value `loss_weights.<phase>.<term>` of the same name.
      model_vars: everything without a gradient that must survive (batch statistics, ...),
        keyed by net; nets that are not in it keep what they had.
      scalars: values to log that are not optimised.
    """

    terms: Mapping[str, Float[Array, " b"]]
    model_vars: Nets
    scalars: Mapping[str, Float[Array, ""]]


@dataclasses.dataclass(frozen=True)
class Phase:
    """One differentiation and one update, a part of the train step.

    Attributes:
      name: names the phase in logs, in `loss_weights` and in its random stream.
      trains: the nets that this phase differentiates and updates; all others are constants.
      loss_fn: (params, model_vars, batch, key) -> LossOut. `params` and `model_vars` hold
        every net, the frozen experts under their own names among them.
      every_steps: the phase runs when step % every_steps == 0 (lazy regularisers).
    """

    name: str
    trains: tuple[str, ...]
    loss_fn: Callable[[Nets, Nets, Batch, Key], LossOut]
    every_steps: int = 1


@dataclasses.dataclass(frozen=True)
class Method:
    """A published system as a value.

    Attributes:
      init_fn: (key, batch) -> (params, model_vars), both keyed by net; `batch` may hold
        shapes only (it is called under `jax.eval_shape`).
      phases: run in this order, each on the parameters the one before left.
      predict_fn: (params, model_vars, batch, key) -> dict of arrays, for evaluation, pictures
        and generation. Frozen experts are not needed.
      experts: names of the frozen nets that `params` must also hold while training.
      averaged: nets of which an exponential moving average is kept.
      scores_fn: (params, model_vars, batch, key) -> named per-example scores for validation,
        higher or lower as the name says.
    """

    init_fn: Callable[[Key, Batch], tuple[Nets, Nets]]
    phases: tuple[Phase, ...]
    predict_fn: Callable[[Nets, Nets, Batch, Key], Mapping[str, Array]]
    experts: tuple[str, ...] = ()
    averaged: tuple[str, ...] = ()
    scores_fn: Callable[[Nets, Nets, Batch, Key], Mapping[str, Float[Array, " b"]]] | None = None
