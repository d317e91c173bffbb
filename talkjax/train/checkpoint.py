"""Checkpoints of a run, and the small exported form.

A workdir holds `checkpoints/<step>/` (orbax) with the items `state`, `data` (the iterator's
state, JSON), `config` (the resolved config, JSON) and `about` (JSON: format version, table of
leaves, last validation and its step, how the data were prepared, which frozen experts took
part, which public weights it began from). `load_trained` reads it and the export of `trained.py`
alike; neither needs anything beside it.

orbax's v0 manager is used, here only: its v1 is still announced as subject to change.
"""

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import ml_collections
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from talkjax.arrays import Tree
from talkjax.errors import UserError
from talkjax.train.damage import check_keys, named
from talkjax.train.files import hashable
from talkjax.train.sharding import leaf_path
from talkjax.train.state import TrainState
from talkjax.train.trained import (
    FORMAT_VERSION,
    Trained,
    check_about,
    fingerprint,
    is_export,
    read_export,
    write_export,
)

OTHER_STEP = "remove this folder to use an earlier step, or train again"
ITEMS = ("state", "data", "config", "about")
CHECKPOINTS = "checkpoints"


@dataclasses.dataclass(frozen=True)
class Restored:
    """A run as it was saved: its state on the devices, and what lay beside it.

    Attributes:
      about: all notes of the checkpoint.
    """

    state: TrainState
    data_state: Any
    config: dict[str, Any]
    scores: dict[str, Any]
    about: dict[str, Any]


class Checkpoints:
    """The checkpoints of one workdir, written in the background."""

    def __init__(self, workdir: str | os.PathLike, *, keep: int, best_metric: str = ""):
        """
        Args:
          keep: how many of the latest steps stay.
          best_metric: "max:<score>" or "min:<score>" also keeps the step that is best by that
            validation score; "" keeps none.
        """
        if keep < 1:
            raise UserError(f"config.run.keep_checkpoints: got {keep}, want at least 1")
        self._best = parse_best_metric(best_metric)
        policies = [checkpoint_managers.LatestN(keep)]
        if self._best:
            policies.append(
                checkpoint_managers.BestN(
                    get_metric_fn=lambda metrics: metrics["rank"],
                    n=1,
                    keep_checkpoints_without_metrics=False,
                )
            )
        self._manager = ocp.CheckpointManager(
            pathlib.Path(workdir).resolve() / CHECKPOINTS,
            item_names=ITEMS,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=checkpoint_managers.AnyPreservationPolicy(policies),
                enable_async_checkpointing=True,
                cleanup_tmp_directories=True,
            ),
        )

    def latest_step(self) -> int | None:
        return self._manager.latest_step()

    def save(
        self,
        state: TrainState,
        *,
        step: int,
        data_state: Any,
        config: Mapping[str, Any],
        scores: Mapping[str, Any],
        data_settings: Mapping[str, Any],
        experts: Mapping[str, Any],
        began_from: Mapping[str, Any] | None,
    ) -> None:
        """Starts to save; the state may be donated at once.

        Args:
          data_settings: how the data were prepared, as JSON.
          scores: {"step", "values"} of the last validation, or {}.
          experts, began_from: as in `Trained`.
        """
        if step in self._manager.all_steps():
            return
        about = {"scores": dict(scores), "data_settings": dict(data_settings)}
        about |= {"experts": dict(experts), "began_from": began_from and dict(began_from)}
        about |= {"format": FORMAT_VERSION, "leaves": _leaf_table(state)}
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state),
                data=ocp.args.JsonSave({"iterator": data_state}),
                config=ocp.args.JsonSave(dict(config)),
                about=ocp.args.JsonSave(about),
            ),
            metrics=self._rank(step, scores),
            force=True,
        )

    def _rank(self, step: int, scores: Mapping[str, Any]) -> dict[str, float] | None:
        values = scores_at(step, scores)
        return {"rank": rank_of(self._best, values)} if self._best and values else None

    def restore(self, abstract: TrainState, *, step: int) -> Restored:
        """The run at `step`, placed as the abstract state's shardings say.

        Raises:
          UserError: listing every leaf that is missing, left over or of another shape; or if the
            checkpoint is damaged.
        """
        folder = self._manager.directory / str(step)
        with named(folder, remedy=OTHER_STEP):
            notes = self._manager.restore(
                step,
                args=ocp.args.Composite(
                    data=ocp.args.JsonRestore(),
                    config=ocp.args.JsonRestore(),
                    about=ocp.args.JsonRestore(),
                ),
            )
            check_about(notes.about, folder)
            _check_leaves(notes.about["leaves"], _leaf_table(abstract), folder)
            state = self._manager.restore(
                step, args=ocp.args.Composite(state=ocp.args.StandardRestore(abstract))
            ).state
            about = notes.about
            return Restored(state, notes.data["iterator"], notes.config, about["scores"], about)

    def read_config(self, *, step: int) -> dict[str, Any]:
        """The config that was saved with a step."""
        with named(self._manager.directory / str(step), remedy=OTHER_STEP):
            return self._manager.restore(
                step, args=ocp.args.Composite(config=ocp.args.JsonRestore())
            ).config

    def reached_preemption(self, step: int) -> bool:
        """True at the same step in all processes once any was told to stop (distributed runs)."""
        return self._manager.reached_preemption(step)

    def wait(self) -> None:
        """Returns when everything that was to be saved is on the disk."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        self._manager.close()


def parse_best_metric(best_metric: str) -> tuple[str, str] | None:
    """ "max:accuracy" -> ("max", "accuracy"); "" -> None."""
    if not best_metric:
        return None
    direction, _, name = best_metric.partition(":")
    if direction not in ("max", "min") or not name:
        raise UserError(
            f'config.run.best_metric: got {best_metric!r}, want "max:<score>", "min:<score>" or ""'
        )
    return direction, name


def scores_at(step: int, scores: Mapping[str, Any]) -> dict[str, float]:
    """The validation of this very step; {} if the last one was of an earlier step."""
    return dict(scores["values"]) if scores and scores["step"] == step else {}


def rank_of(best: tuple[str, str], values: Mapping[str, float]) -> float:
    """The number that is higher for the better checkpoint."""
    direction, name = best
    if name not in values:
        raise UserError(f"config.run.best_metric names {name!r}, validation gives {sorted(values)}")
    return values[name] if direction == "max" else -values[name]


def _leaf_table(tree: Tree) -> dict[str, list[Any]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {leaf_path(path): [str(leaf.dtype), *leaf.shape] for path, leaf in leaves}


def _check_leaves(saved: Mapping[str, Any], wanted: Mapping[str, Any], folder: Any) -> None:
    problems = [f"missing {name}" for name in sorted(set(wanted) - set(saved))]
    problems += [f"left over {name}" for name in sorted(set(saved) - set(wanted))]
    for name in sorted(set(saved) & set(wanted)):
        if list(saved[name]) != list(wanted[name]):
            problems.append(f"{name} is {_show(saved[name])}, want {_show(wanted[name])}")
    if problems:
        raise UserError(
            f"{folder} does not fit this config: {'; '.join(problems)}; "
            "use the config it was trained with, or another workdir"
        )


def _show(entry: Any) -> str:
    dtype, *shape = entry
    return f"{dtype}{shape}"


# ---- trained models: workdirs and exports alike


def load_trained(path: str | os.PathLike, *, step: int | None = None) -> Trained:
    """A trained model from a workdir or an export.

    Args:
      step: of a workdir: which checkpoint. None takes the best one where the run's own
        `config.run.best_metric` keeps one, else the latest. An export has one step only.

    Raises:
      UserError: if there is neither an export nor a checkpoint of that step at the path.
    """
    folder = pathlib.Path(path).resolve()
    if is_export(folder):
        trained = read_export(folder)
        if step not in (None, trained.step):
            raise UserError(
                f"{path}: found an exported checkpoint of step {trained.step}, want step {step}; "
                "give the training workdir, or leave --step out"
            )
        return trained
    if (folder / CHECKPOINTS).is_dir():
        return _load_workdir(folder, step=step)
    found = "a file" if folder.exists() else "nothing"
    if folder.is_dir():
        full = any(folder.iterdir())
        found = "a folder without checkpoints/ and params.npz" if full else "an empty folder"
    raise UserError(
        f"{path}: found {found}, want a training workdir or an exported checkpoint; "
        "check the path, or train first"
    )


def load_expert(path: str | os.PathLike) -> dict[str, Any]:
    """A frozen net from the workdir or export of the run that trained it.

    Returns:
      {"params", "vars"} of its one net, {"config", "scores", "step", "data_settings", "origin"}
      of its run, and the "fingerprint" of its weights.

    Raises:
      UserError: if the run trained several nets, so that "its net" means nothing.
    """
    trained = load_trained(path)
    if len(trained.params) != 1:
        raise UserError(
            f"{path}: a frozen expert must have one net, this run has {sorted(trained.params)}"
        )
    (net,) = trained.params
    return {
        "params": trained.params[net],
        "vars": trained.model_vars[net],
        "config": trained.config,
        "scores": trained.scores,
        "step": trained.step,
        "data_settings": trained.data_settings,
        "origin": trained.origin,
        "fingerprint": fingerprint(trained.params),
    }


def export(path: str | os.PathLike, out: str | os.PathLike, *, step: int | None = None) -> None:
    """Writes what `load_trained(path, step=step)` gives as a small folder, atomically.

    Raises:
      UserError: if `out` exists or cannot be made.
    """
    out = pathlib.Path(out)
    if out.exists():
        found = "a folder" if out.is_dir() else "a file"
        raise UserError(
            f"{out}: found {found}, want a name that is free; name another folder, or remove this"
        )
    for parent in out.parents:
        if parent.exists() and not parent.is_dir():
            raise UserError(f"{out}: {parent} is a file, want a folder; name another --out")
    write_export(load_trained(path, step=step), out)


def _load_workdir(folder: pathlib.Path, *, step: int | None) -> Trained:
    handlers = {name: ocp.JsonCheckpointHandler() for name in ITEMS if name != "state"}
    handlers["state"] = ocp.PyTreeCheckpointHandler()
    options = ocp.CheckpointManagerOptions(create=False)
    with ocp.CheckpointManager(
        folder / CHECKPOINTS, item_handlers=handlers, options=options
    ) as manager:
        steps = manager.all_steps()
        if not steps:
            raise UserError(
                f"{folder / CHECKPOINTS}: found no checkpoint, want at least one; none was saved "
                "yet: train first, or train on"
            )
        if step is not None and step not in steps:
            there = " ".join(map(str, sorted(steps)))
            raise UserError(
                f"{folder / CHECKPOINTS}: no checkpoint at step {step}, there are: {there}; give "
                "one of them with --step"
            )
        looked_at = steps if step is None else [step]
        notes = {saved: _read_notes(manager, folder, step=saved) for saved in looked_at}
        chosen = _choose_step(notes) if step is None else step
        check_about(notes[chosen].about, folder)
        with named(folder / CHECKPOINTS / str(chosen), remedy=OTHER_STEP):
            state = _restore_nets(manager, step=chosen)
    about = notes[chosen].about
    return Trained(
        config=ml_collections.ConfigDict(hashable(notes[chosen].config)),
        params=state["params"] | state["ema"]["params"],
        model_vars=state["model_vars"] | state["ema"]["vars"],
        step=chosen,
        scores=scores_at(chosen, about["scores"]),
        data_settings=about["data_settings"],
        experts=about.get("experts"),
        began_from=about.get("began_from"),
    )


def _read_notes(manager: ocp.CheckpointManager, folder: pathlib.Path, *, step: int) -> Any:
    place = folder / CHECKPOINTS / str(step)
    with named(place, remedy=OTHER_STEP):
        items = ocp.args.Composite(config=ocp.args.JsonRestore(), about=ocp.args.JsonRestore())
        notes = manager.restore(step, args=items)
    wanted = {"config": {"method": str, "run": dict}, "about": {"format": int, "scores": dict}}
    for item, keys in wanted.items():
        check_keys(notes[item], keys, where=place / item, remedy=OTHER_STEP)
    return notes


def _choose_step(notes: Mapping[int, Any]) -> int:
    best = parse_best_metric(notes[max(notes)].config["run"]["best_metric"])
    values = {step: scores_at(step, note.about["scores"]) for step, note in notes.items()}
    ranks = {step: rank_of(best, found) for step, found in values.items() if best and found}
    return max(ranks, key=lambda step: (ranks[step], step)) if ranks else max(notes)


def _restore_nets(manager: ocp.CheckpointManager, *, step: int) -> dict[str, Any]:
    """Parameters, variables and averages as numpy; the optimizer state stays on the disk."""
    metadata = manager.item_metadata(step).state
    if metadata is None:
        raise ValueError("the state has no _METADATA")
    saved = metadata.tree
    wanted = {part: saved[part] for part in ("params", "model_vars", "ema")}
    abstract = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), wanted)
    as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), abstract)
    return manager.restore(
        step,
        args=ocp.args.Composite(
            state=ocp.args.PyTreeRestore(item=abstract, restore_args=as_numpy, partial_restore=True)
        ),
    ).state
