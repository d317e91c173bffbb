"""What a run is made of: its settings, and everything else but its data and its folder."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import optax
from jax.sharding import Mesh

from talkjax.arrays import Batch, Nets
from talkjax.methods.api import Method
from talkjax.train import sharding


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """config.run, whole. `*_every_steps` = 0 means never.

    Attributes:
      best_metric: see `Checkpoints`.
      required: "<score>>=<number>": what the last validation must reach, "" for nothing.
      after: workdir of a run that must have passed before this one begins, "" for none; see
        `gate.py`.
      profile_steps: (first, last): these steps are traced into `profile/`; () = none.
    """

    seed: int
    steps: int
    log_every_steps: int
    validate_every_steps: int
    save_every_steps: int
    picture_every_steps: int
    keep_checkpoints: int
    best_metric: str
    required: str
    after: str
    profile_steps: Sequence[int]


@dataclasses.dataclass(frozen=True)
class Job:
    """All that a run is made of, apart from its data and its folder.

    Attributes:
      config: the resolved config as plain values; saved with each checkpoint.
      element_spec: a global batch as `jax.ShapeDtypeStruct`s.
      data_settings: how the data were prepared, for those who use the model; goes with each
        checkpoint.
      experts: {name: {"params", "vars"}}, frozen.
      expert_identities: who they are, see `Trained.experts`; goes with each checkpoint.
      initial: {net: {"params", "vars"}} to begin from, for some of the nets; {} for none.
      began_from: the public weights that are in them, see `Trained.began_from`; goes with each
        checkpoint.
    """

    method: Method
    settings: RunSettings
    config: Mapping[str, Any]
    optimizers: Mapping[str, optax.GradientTransformation]
    loss_weights: Mapping[str, Mapping[str, float]]
    ema_decay: float
    mesh: Mesh
    sharding_rules: sharding.Rules
    element_spec: Batch
    data_settings: Mapping[str, Any]
    experts: Nets
    expert_identities: Mapping[str, Mapping[str, Any]]
    initial: Nets = dataclasses.field(default_factory=dict)
    began_from: Mapping[str, Any] | None = None
