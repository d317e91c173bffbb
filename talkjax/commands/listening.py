"""A trained sync critic as `prepare` and `doctor` use it: checked once, opened where clips are.

`data_prep` knows only `Listener` and `CriticSource`; here they are made from a checkpoint.
"""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from data_prep.sync_check import Heard
from talkjax.commands.critic_arguments import MIN_ACCURACY
from talkjax.commands.evaluate import CRITIC_METHOD
from talkjax.commands.evaluation_parts import make_critic
from talkjax.data.schema import Record
from talkjax.data.transforms import decode_frames
from talkjax.errors import UserError
from talkjax.evals.clip_offset import clip_score, least_frames
from talkjax.evals.sync import Critic
from talkjax.experts import SAME_CROPS
from talkjax.train.checkpoint import load_trained
from talkjax.train.trained import Trained, fingerprint

# A worker keeps to one core, as the rest of preparation does; so its sums, too, are the same
# wherever it runs.
WORKER_XLA_FLAGS = "--xla_cpu_multi_thread_eigen=false"


class CriticListener:
    """A critic that judges records; a `data_prep.sync_check.Listener`."""

    def __init__(self, critic: Critic):
        self.least_frames = least_frames(critic)
        self._critic = critic

    def __call__(self, record: Record) -> Heard:
        frames = decode_frames(
            record, np.arange(record.num_frames), size_px=self._critic.image_size
        )
        score = clip_score(self._critic, frames, record.mel.astype(np.float32))
        return Heard(
            score.offset_frames,
            round(score.confidence, 4),
            round(score.fine_offset_frames - score.offset_frames, 2),
        )


@dataclasses.dataclass(frozen=True)
class StoredCritic:
    """A critic's checkpoint, to be opened in a worker; a `data_prep.sync_check.CriticSource`.

    Attributes:
      path: of the workdir or export.
      step: which checkpoint.
      weights: its fingerprint.
    """

    path: str
    step: int
    weights: str

    def open(self) -> CriticListener:
        """Loads and compiles it, for this process's CPU.

        Raises:
          UserError: if other weights lie there than were checked.
        """
        jax.config.update("jax_platforms", "cpu")
        flags = os.environ.get("XLA_FLAGS", "")
        if WORKER_XLA_FLAGS not in flags:
            os.environ["XLA_FLAGS"] = f"{flags} {WORKER_XLA_FLAGS}".strip()
        trained = load_trained(self.path, step=self.step)
        found = fingerprint(trained.params)
        if found != self.weights:
            raise UserError(
                f"{self.path}: its weights are now {found}, were {self.weights} when it was "
                "checked; leave the critic alone while it is used"
            )
        return CriticListener(make_critic(trained))


def find_critic(
    path: Path, *, crops: Mapping[str, Any], any_critic: bool
) -> tuple[Trained, dict[str, Any]]:
    """A critic that is good enough and was trained on such crops, and who it is.

    Args:
      path: a workdir or an export.
      crops: settings with which the crops are, or will be, prepared.
      any_critic: take it however accurate it is.

    Returns:
      The critic; and "checkpoint", "step", "weights_sha256", "validation_accuracy" (None if it
      is unknown).

    Raises:
      UserError: naming both values.
    """
    trained = load_trained(path)
    method = str(trained.config.method)
    if method != CRITIC_METHOD:
        raise UserError(
            f"{path}: holds a {method}, want a {CRITIC_METHOD} as --critic; train one with "
            "configs/sync_critic_grid.py (a SyncNet gives its verdicts in `talkjax score` and "
            "`talkjax evaluate --syncnet`)"
        )
    for key in SAME_CROPS:
        theirs, ours = trained.data_settings.get(key), crops.get(key)
        if theirs != ours:
            raise UserError(
                f"{path}: the critic was trained on crops with {key} = {theirs}, these have "
                f"{ours}; take a critic trained on such crops, or prepare crops as its own"
            )
    accuracy = trained.scores.get("accuracy")
    if not any_critic:
        _check_accuracy(path, accuracy, step=trained.step)
    identity = {
        "checkpoint": str(path),
        "step": int(trained.step),
        "weights_sha256": fingerprint(trained.params),
        "validation_accuracy": None if accuracy is None else round(float(accuracy), 4),
    }
    return trained, identity


def _check_accuracy(path: Path, accuracy: float | None, *, step: int) -> None:
    if accuracy is None:
        raise UserError(
            f"{path}: the critic was not validated at its step {step}, so nobody knows what its "
            "verdicts are worth; train it to its end, or take it as it is with --any-critic"
        )
    if not accuracy >= MIN_ACCURACY:
        raise UserError(
            f"{path}: the critic has validation accuracy {accuracy:.4f} (a coin has 0.5), want "
            f"{MIN_ACCURACY:g}; train it longer or on more data, or take it as it is with "
            "--any-critic"
        )


def listener(trained: Trained) -> CriticListener:
    """A critic that `find_critic` checked, on this process's default device."""
    return CriticListener(make_critic(trained))


def stored(path: Path, identity: Mapping[str, Any]) -> StoredCritic:
    """What a worker needs to open the critic that `find_critic` checked."""
    return StoredCritic(str(path.resolve()), identity["step"], identity["weights_sha256"])
