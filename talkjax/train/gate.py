"""The short run that must pass before a long one: `config.run.after`.

A critic that cannot learn fifty clips by heart will not learn a corpus, and a long run that hovers
at chance is the usual way to find out. So a long run may name a run that comes first, and does
not begin unless that one reached its end, and what it required, with the same losses and data.
"""

import pathlib

from ml_collections import ConfigDict

from talkjax.errors import UserError
from talkjax.train.checkpoint import load_trained
from talkjax.train.files import plain
from talkjax.train.required import parse_required
from talkjax.train.trained import Trained

# What the two runs must share; sizes may differ, as the first one is to be a short one.
SAME_CONFIG = ("method", "data.path", "data.clip_frames", "loss_weights")


def check_gate(config: ConfigDict) -> None:
    """Lets a run begin, or not.

    Raises:
      UserError: if `config.run.after` names a run and that is not there, or `check_passed` says no.
    """
    folder = config.run.after
    if not folder:
        return
    if not pathlib.Path(folder).exists():
        raise UserError(f"config.run.after: {folder} is not there; {_remedy(config)}")
    check_passed(load_trained(folder), config)


def check_passed(first: Trained, config: ConfigDict) -> None:
    """Is this the run that must come first, and has it passed?

    Raises:
      UserError: if it is of another method, of other data or losses, was not finished, required
        nothing, or missed it.
    """
    folder = config.run.after
    for key in SAME_CONFIG:
        theirs, ours = _value(first.config, key), _value(config, key)
        if theirs != ours:
            raise UserError(
                f"config.run.after: {folder} is a run with {key} = {theirs}, this one has {ours}; "
                f"{_remedy(config)}"
            )
    if first.step < first.config.run.steps:
        raise UserError(
            f"config.run.after: {folder} is at step {first.step} of {first.config.run.steps}; "
            "give its command again to finish it"
        )
    wanted = parse_required(first.config.run.required)
    if wanted is None:
        raise UserError(
            f"config.run.after: {folder} required nothing, so it proves nothing; {_remedy(config)}"
        )
    name, least = wanted
    reached = first.scores.get(name)
    if reached is None or reached < least:
        got = "was not measured at its end" if reached is None else f"is {reached:.4g} there"
        raise UserError(
            f"config.run.after: {folder} did not pass: {name} {got}, at least {least:g} was "
            "required; give its command again to read why"
        )


def _value(config: ConfigDict, key: str) -> object:
    """A setting as plain values; a data folder by its whole name, a toy as it is."""
    value = plain(config)
    for part in key.split("."):
        value = value[part]
    if key == "data.path" and not value.startswith("fake://"):
        return str(pathlib.Path(value).resolve())
    return value


def _remedy(config: ConfigDict) -> str:
    return (
        "first train this config's variant that comes before it (`overfit`) with --workdir "
        f"{config.run.after} --config.data.path={config.data.path}, or begin without it: "
        "--config.run.after="
    )
