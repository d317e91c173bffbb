"""fit(): the only training loop.

It reads top to bottom: restore or begin; then for each step: next batch, onto the devices,
step; every so often report, validate, show, save; at the end save and wait. What is specific
to a method comes in as the method and as the hooks.
"""

import contextlib
import dataclasses
import functools
import pathlib
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np

from talkjax.arrays import Nets, UInt8
from talkjax.errors import UserError
from talkjax.train import sharding
from talkjax.train.alerts import Alerts, FindAlerts
from talkjax.train.begin import begin, placed_state
from talkjax.train.checkpoint import Checkpoints, Restored, scores_at
from talkjax.train.files import flat, plain, write_json
from talkjax.train.job import Job, RunSettings
from talkjax.train.metrics import MetricsWriter, Progress, Window
from talkjax.train.pace import Pace
from talkjax.train.pictures import write_png
from talkjax.train.profiling import profiler
from talkjax.train.required import check_required
from talkjax.train.rng import root_key
from talkjax.train.state import TrainState, evaluation_nets
from talkjax.train.step import active_phases, train_step
from talkjax.train.stopping import Stopped, stop_signals, told_to_stop

STEPS_IN_FLIGHT = 2
# The one setting of config.run that changes the result of the steps still to come.
FIXED_RUN_SETTINGS = ("run.seed",)


@dataclasses.dataclass(frozen=True)
class Hooks:
    """What `fit` calls now and then; each may be None.

    Attributes:
      validate: (params, model_vars) -> named scores over the validation set.
      pictures: (params, model_vars) -> named uint8 RGB pictures.
      alerts: what there is to warn of in a report or a validation, see `FindAlerts`.
      causes: why a run may have missed what it requires, from the last logged values.
    """

    validate: Callable[[Nets, Nets], Mapping[str, float]] | None = None
    pictures: Callable[[Nets, Nets], Mapping[str, UInt8[np.ndarray, "h w 3"]]] | None = None
    alerts: FindAlerts | None = None
    causes: Callable[[Mapping[str, float]], str] | None = None


@runtime_checkable
class DataIterator(Protocol):
    """An endless iterator of this process's part of each batch, whose state is JSON."""

    def __next__(self) -> Mapping[str, np.ndarray]: ...

    def get_state(self) -> Any: ...

    def set_state(self, state: Any) -> None: ...


def fit(
    job: Job,
    data: DataIterator,
    *,
    workdir: pathlib.Path,
    hooks: Hooks,
    allow_config_change: bool = False,
) -> TrainState:
    """Trains to `settings.steps`, from the workdir's last checkpoint if there is one.

    Raises:
      UserError: if the workdir holds another run, or the config does not fit itself.
      NonFiniteLoss: naming the term and the step; nothing non-finite is ever saved.
      Stopped: after SIGTERM or SIGINT, when the state is on the disk.
      RequirementMissed: at the end, if `settings.required` was not reached.
    """
    settings = job.settings
    checkpoints = Checkpoints(
        workdir, keep=settings.keep_checkpoints, best_metric=settings.best_metric
    )
    placed, shardings = placed_state(job)
    start, state, scores, began_from = _begin_or_resume(
        job,
        data,
        checkpoints,
        placed=placed,
        shardings=shardings,
        workdir=workdir,
        allow_config_change=allow_config_change,
    )
    if jax.process_index() == 0:
        write_json(workdir / "config.json", job.config)

    whole = sharding.replicated(job.mesh)
    batch_sharding = sharding.batch_sharding(job.mesh)
    experts = sharding.put_whole(dict(job.experts), whole)
    root = jax.jit(root_key, static_argnums=0, out_shardings=whole)(settings.seed)
    step_fn, compiled = jit_step(job, shardings), set()
    examples = jax.tree.leaves(job.element_spec)[0].shape[0]

    writer = MetricsWriter(workdir, resume_step=start)
    progress = Progress(start=start, steps=settings.steps)
    pace = Pace(settings.steps, _periodic(hooks, settings))
    alerts = Alerts(hooks.alerts, steps=settings.steps)
    progress.say(f"{workdir}: from step {start} to {settings.steps}")
    window, closed = Window(steps_in_flight=STEPS_IN_FLIGHT), None
    told: dict[str, float] = {}

    def report(done: int, values: Mapping[str, float]) -> None:
        writer.scalars(done, values)
        told.update(values)
        for warning in alerts.new(done, values):
            progress.say(f"WARNING step {done}: {warning}")

    def report_closed() -> None:
        nonlocal closed
        if closed is not None:
            values = closed[1].report()
            progress.report(closed[0], values, left=pace.left_s(closed[0]))
            report(closed[0], values)
            closed = None

    def save(done: int) -> None:
        # A checkpoint of a broken run would be resumed for ever, so look before saving.
        report_closed()
        window.check()
        checkpoints.save(
            state,
            step=done,
            data_state=data.get_state(),
            config=job.config,
            scores=scores,
            data_settings=job.data_settings,
            experts=job.expert_identities,
            began_from=began_from,
        )

    with contextlib.ExitStack() as stack:
        stack.callback(checkpoints.close)
        stack.callback(writer.close)
        stack.callback(progress.close)
        stop = stack.enter_context(stop_signals())
        profile = stack.enter_context(profiler(workdir, settings.profile_steps))
        stack.enter_context(jax.transfer_guard("disallow"))
        for step in range(start, settings.steps):
            profile(step)
            with window.waiting():
                batch = next(data)
            batch = sharding.put_batch(batch, batch_sharding)
            phases = active_phases(job.method, step)
            # The first call of each set of phases compiles, which is no step time.
            if phases not in compiled:
                progress.say(f"compiling the step ({', '.join(phases)}); minutes on a CPU")
            with contextlib.ExitStack() as first_call:
                if phases not in compiled:
                    first_call.enter_context(window.paused())
                    first_call.enter_context(pace.aside())
                state, metrics = step_fn(state, batch, experts, root, active_phases=phases)
                compiled.add(phases)
            window.add(step, metrics, examples=examples)
            pace.step()
            progress.step()

            done = step + 1
            last = done == settings.steps
            if closed is not None and len(window) > STEPS_IN_FLIGHT:
                report_closed()
            if _due(done, settings.log_every_steps) or last:
                report_closed()
                closed, window = (done, window), window.split()
            with window.paused(), jax.transfer_guard("allow"):
                if hooks.validate and (_due(done, settings.validate_every_steps) or last):
                    with pace.aside("validation"):
                        values = dict(hooks.validate(*evaluation_nets(state)))
                    scores = {"step": done, "values": values}
                    progress.say(f"step {done}  " + _show_scores(values))
                    report(done, {f"eval/val/{name}": value for name, value in values.items()})
                if hooks.pictures and (_due(done, settings.picture_every_steps) or last):
                    with pace.aside("pictures"):
                        for name, picture in hooks.pictures(*evaluation_nets(state)).items():
                            write_png(workdir / "pictures" / f"{name}_{done:08d}.png", picture)
                            writer.picture(done, name, picture)
                stopping = told_to_stop(stop, checkpoints, done)
                if _due(done, settings.save_every_steps) or last or stopping:
                    with pace.aside("saving"):
                        save(done)
                if stopping and not last:
                    checkpoints.wait()
                    raise Stopped(
                        f"stopped at step {done} of {settings.steps}, which is saved; "
                        "the same command goes on from there",
                        stop.get("signal", signal.SIGTERM),
                    )
        checkpoints.wait()
    last_scores = scores_at(settings.steps, scores)
    passed = check_required(settings.required, last_scores, told=told, causes=hooks.causes)
    if passed:
        progress.say(passed)
    return state


class _Start(NamedTuple):
    """Where a run begins: its step, state, last validation, and what it was fine-tuned from."""

    step: int
    state: TrainState
    scores: Mapping[str, Any]
    began_from: Mapping[str, Any] | None


def _begin_or_resume(
    job: Job,
    data: DataIterator,
    checkpoints: Checkpoints,
    *,
    placed: TrainState,
    shardings: TrainState,
    workdir: pathlib.Path,
    allow_config_change: bool,
) -> _Start:
    """From the last checkpoint, whose config must be the job's, or from nothing."""
    step = checkpoints.latest_step()
    if step is None:
        return _Start(0, begin(job, shardings), {}, job.began_from)
    saved = checkpoints.read_config(step=step)
    check_config(saved, job.config, workdir=workdir, allow_change=allow_config_change)
    restored = _resume(checkpoints, placed, data, step=step, workdir=workdir)
    # It stays, whatever config.init_from says now; older versions kept no note of it.
    began_from = restored.about.get("began_from", job.began_from)
    return _Start(step, restored.state, restored.scores, began_from)


def _resume(
    checkpoints: Checkpoints,
    placed: TrainState,
    data: DataIterator,
    *,
    step: int,
    workdir: pathlib.Path,
) -> Restored:
    """What was saved at a step; the data go on from there."""
    restored = checkpoints.restore(placed, step=step)
    data.set_state(restored.data_state)
    if int(restored.state.step) != step:
        raise UserError(f"{workdir}: checkpoint {step} holds step {int(restored.state.step)}")
    return restored


def jit_step(job: Job, shardings: TrainState) -> Any:
    """The compiled train step: the state is donated, the active phases are static."""
    return jax.jit(
        functools.partial(
            train_step,
            method=job.method,
            optimizers=job.optimizers,
            loss_weights=job.loss_weights,
            ema_decay=job.ema_decay,
        ),
        static_argnames="active_phases",
        donate_argnums=0,
        out_shardings=(shardings, sharding.replicated(job.mesh)),
    )


def check_config(
    saved: Mapping[str, Any],
    now: Mapping[str, Any],
    *,
    workdir: pathlib.Path,
    allow_change: bool,
) -> None:
    """Refuses to go on with another config; settings of `run` (but the seed) may change.

    Raises:
      UserError: naming each key with its old and new value.
    """
    old, new = flat(plain(saved)), flat(plain(now))
    if old["method"] != new["method"]:
        raise UserError(
            f"{workdir}: holds a run of {old['method']}, the config is of {new['method']}; "
            "choose another --workdir"
        )
    changed = [
        f"{key}: {old.get(key, '(absent)')!r} -> {new.get(key, '(absent)')!r}"
        for key in sorted(set(old) | set(new))
        if (key in FIXED_RUN_SETTINGS or not key.startswith("run."))
        and (key not in old or key not in new or old[key] != new[key])
    ]
    if changed and not allow_change:
        raise UserError(
            f"{workdir}: the config changed since it was saved: {'; '.join(changed)}; choose "
            "another --workdir, or go on all the same with --allow-config-change"
        )
    if changed:
        print(f"{workdir}: config changed: {'; '.join(changed)}", file=sys.stderr)


def _periodic(hooks: Hooks, settings: RunSettings) -> dict[str, int]:
    """What comes every so many steps, beside the steps."""
    return {
        "validation": settings.validate_every_steps if hooks.validate else 0,
        "pictures": settings.picture_every_steps if hooks.pictures else 0,
        "saving": settings.save_every_steps,
    }


def _due(done: int, every_steps: int) -> bool:
    return every_steps > 0 and done % every_steps == 0


def _show_scores(values: Mapping[str, float]) -> str:
    return "validation  " + "  ".join(f"{name} {value:.4g}" for name, value in values.items())
