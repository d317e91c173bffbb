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
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
import optax
from jax.sharding import Mesh

from talkjax.arrays import Batch, Key, Nets, Tree, UInt8
from talkjax.errors import UserError
from talkjax.methods.api import Method
from talkjax.train import sharding
from talkjax.train.checkpoint import Checkpoints
from talkjax.train.files import flat, plain, write_json
from talkjax.train.metrics import MetricsWriter, Progress, Window
from talkjax.train.pictures import write_png
from talkjax.train.rng import root_key
from talkjax.train.state import TrainState, create_state, evaluation_nets
from talkjax.train.step import active_phases, train_step

STEPS_IN_FLIGHT = 2
# The one setting of config.run that changes the result of the steps still to come.
FIXED_RUN_SETTINGS = ("run.seed",)


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """config.run, whole. `*_every_steps` = 0 means never.

    Attributes:
      best_metric: see `Checkpoints`.
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
    profile_steps: Sequence[int]


@dataclasses.dataclass(frozen=True)
class Job:
    """All that a run is made of, apart from its data and its folder.

    Attributes:
      config: the resolved config as plain values; saved with each checkpoint.
      element_spec: a global batch as `jax.ShapeDtypeStruct`s.
      experts: {name: {"params", "vars"}}, frozen.
      initial: {net: {"params", "vars"}} to begin from, for some of the nets; {} for none.
      data_settings: how the data were prepared, for those who use the model; goes with each
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
    experts: Nets
    initial: Nets = dataclasses.field(default_factory=dict)
    data_settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Hooks:
    """What `fit` calls now and then; each may be None.

    Attributes:
      validate: (params, model_vars) -> named scores over the validation set.
      pictures: (params, model_vars) -> named uint8 RGB pictures.
      warn: named values of a report or a validation -> a warning, or None.
    """

    validate: Callable[[Nets, Nets], Mapping[str, float]] | None = None
    pictures: Callable[[Nets, Nets], Mapping[str, UInt8[np.ndarray, "h w 3"]]] | None = None
    warn: Callable[[Mapping[str, float]], str | None] | None = None


@runtime_checkable
class DataIterator(Protocol):
    """An endless iterator of this process's part of each batch, whose state is JSON."""

    def __next__(self) -> Mapping[str, np.ndarray]: ...

    def get_state(self) -> Any: ...

    def set_state(self, state: Any) -> None: ...


class Stopped(Exception):
    """The run was told to stop and has saved itself; `signal_number` says by what."""

    def __init__(self, message: str, signal_number: int):
        super().__init__(message)
        self.signal_number = signal_number


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
    """
    settings = job.settings
    checkpoints = Checkpoints(
        workdir, keep=settings.keep_checkpoints, best_metric=settings.best_metric
    )
    placed, shardings = placed_state(job)
    start = checkpoints.latest_step()
    if start is None:
        start, scores, state = 0, {}, begin(job, shardings)
    else:
        saved = checkpoints.read_config(step=start)
        check_config(saved, job.config, workdir=workdir, allow_change=allow_config_change)
        restored = checkpoints.restore(placed, step=start)
        data.set_state(restored.data_state)
        state, scores = restored.state, restored.scores
        if int(state.step) != start:
            raise UserError(f"{workdir}: checkpoint {start} holds step {int(state.step)}")
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
    progress.say(f"{workdir}: from step {start} to {settings.steps}")
    window, closed = Window(steps_in_flight=STEPS_IN_FLIGHT), None

    def report(done: int, values: Mapping[str, float]) -> None:
        writer.scalars(done, values)
        warning = hooks.warn(values) if hooks.warn else None
        if warning:
            progress.say(f"WARNING step {done}: {warning}")

    def report_closed() -> None:
        nonlocal closed
        if closed is not None:
            values = closed[1].report()
            progress.report(closed[0], values)
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
        )

    with contextlib.ExitStack() as stack:
        stack.callback(checkpoints.close)
        stack.callback(writer.close)
        stack.callback(progress.close)
        stop = stack.enter_context(_stop_signals())
        profiler = stack.enter_context(_profiler(workdir, settings.profile_steps))
        stack.enter_context(jax.transfer_guard("disallow"))
        for step in range(start, settings.steps):
            profiler(step)
            with window.waiting():
                batch = next(data)
            batch = sharding.put_batch(batch, batch_sharding)
            phases = active_phases(job.method, step)
            # The first call of each set of phases compiles, which is no step time.
            with window.paused() if phases not in compiled else contextlib.nullcontext():
                state, metrics = step_fn(state, batch, experts, root, active_phases=phases)
                compiled.add(phases)
            window.add(step, metrics, examples=examples)
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
                    values = dict(hooks.validate(*evaluation_nets(state)))
                    scores = {"step": done, "values": values}
                    progress.say(f"step {done}  " + _show_scores(values))
                    report(done, {f"eval/val/{name}": value for name, value in values.items()})
                if hooks.pictures and (_due(done, settings.picture_every_steps) or last):
                    for name, picture in hooks.pictures(*evaluation_nets(state)).items():
                        write_png(workdir / "pictures" / f"{name}_{done:08d}.png", picture)
                        writer.picture(done, name, picture)
                stopping = _told_to_stop(stop, checkpoints, done)
                if _due(done, settings.save_every_steps) or last or stopping:
                    save(done)
                if stopping and not last:
                    checkpoints.wait()
                    raise Stopped(
                        f"stopped at step {done} of {settings.steps}, which is saved; "
                        "the same command goes on from there",
                        stop.get("signal", signal.SIGTERM),
                    )
        checkpoints.wait()
    return state


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
    return state


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


def _due(done: int, every_steps: int) -> bool:
    return every_steps > 0 and done % every_steps == 0


def _show_scores(values: Mapping[str, float]) -> str:
    return "validation  " + "  ".join(f"{name} {value:.4g}" for name, value in values.items())


@contextlib.contextmanager
def _stop_signals() -> Iterator[dict[str, int]]:
    """Notes SIGTERM and SIGINT instead of dying; a second one kills as usual."""
    noted: dict[str, int] = {}
    before = {}

    def note(number: int, _frame: Any) -> None:
        noted["signal"] = number
        signal.signal(number, before[number])

    numbers = (signal.SIGTERM, signal.SIGINT)
    if jax.distributed.is_initialized():
        # orbax listens for SIGTERM itself, so that all processes stop at one step.
        numbers = (signal.SIGINT,) if jax.process_count() == 1 else ()
    for number in numbers:
        before[number] = signal.signal(number, note)
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _told_to_stop(noted: Mapping[str, int], checkpoints: Checkpoints, step: int) -> bool:
    if jax.distributed.is_initialized() and checkpoints.reached_preemption(step):
        return True
    return bool(noted)


@contextlib.contextmanager
def _profiler(workdir: pathlib.Path, steps: Sequence[int]) -> Iterator[Callable[[int], None]]:
    """Gives a function to call before each step; traces the steps first..last."""
    if len(steps) not in (0, 2):
        raise UserError(f"config.run.profile_steps: got {list(steps)}, want (first, last) or ()")
    running = False

    def before(step: int) -> None:
        nonlocal running
        if steps and step == steps[0]:
            jax.profiler.start_trace(str(workdir / "profile"))
            running = True
        elif running and step == steps[1] + 1:
            jax.profiler.stop_trace()
            running = False

    try:
        yield before
    finally:
        if running:
            jax.profiler.stop_trace()
