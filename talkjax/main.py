"""Trains: flags -> config -> fit. `talkjax train` and `python -m talkjax.main` are the same.

A second start with the same workdir goes on where the first one stopped.
"""

import logging
import pathlib
import shlex
import sys
import time
from collections.abc import Sequence

import jax
from absl import flags
from ml_collections import ConfigDict

from talkjax import assemble, dry_run
from talkjax.command_line import check_blocks, read_and_check
from talkjax.errors import UserError
from talkjax.train.damage import read_object
from talkjax.train.files import plain
from talkjax.train.gate import check_gate
from talkjax.train.loop import check_config, fit
from talkjax.train.metrics import show_duration
from talkjax.train.required import RequirementMissed
from talkjax.train.sharding import initialize_distributed
from talkjax.train.stopping import Stopped


def run(config: ConfigDict, workdir: pathlib.Path, *, allow_config_change: bool = False) -> None:
    """Trains what the config says in the workdir, or goes on there.

    Raises:
      UserError: if the config, the data, an expert or the workdir is not as it must be.
      Stopped: when told to stop, after saving.
      RequirementMissed: if it reached its end, but not `config.run.required`.
    """
    check_blocks(config)
    config = assemble.with_vocabulary(config)
    if _has_begun(workdir):
        # Before the data is opened and an expert copied; `fit` checks the checkpoint's own.
        check_config(
            read_object(
                workdir / "config.json", remedy="delete it: each checkpoint keeps the config"
            ),
            plain(config),
            workdir=workdir,
            allow_change=allow_config_change,
        )
    else:
        check_gate(config)
    job = assemble.make_job(config, workdir=workdir, copy_experts=True)
    data = assemble.make_data(config, split=config.data.split, seed=config.run.seed)
    hooks = assemble.make_hooks(config, job)
    workdir.mkdir(parents=True, exist_ok=True)  # nothing was refused
    fit(job, data, workdir=workdir, hooks=hooks, allow_config_change=allow_config_change)


def _has_begun(workdir: pathlib.Path) -> bool:
    return (workdir / "config.json").exists()


def start_devices(*, cpu_devices: int | None, multihost: bool) -> None:
    """Lets JAX look for its devices; before that it can be told how many CPU devices to have.

    Raises:
      UserError: if cpu_devices is given and JAX computes on something else.
    """
    if cpu_devices is not None:
        jax.config.update("jax_num_cpu_devices", cpu_devices)
    initialize_distributed(multihost=multihost)
    if cpu_devices is not None and jax.default_backend() != "cpu":
        raise UserError(
            f"train: --cpu-devices is for CPUs, JAX found {jax.default_backend()}; leave it out, "
            "or set JAX_PLATFORMS=cpu"
        )


def main(argv: Sequence[str]) -> int:
    """The command; returns the exit code (128 + signal when told to stop, 1 when the
    run missed `config.run.required`)."""
    return start(read_and_check(argv))


def start(values: flags.FlagValues) -> int:
    """Trains what the command line says; returns the exit code like `main`."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", force=True)
    logging.getLogger("talkjax").setLevel(logging.INFO)
    start_devices(cpu_devices=values.cpu_devices, multihost=values.multihost)
    workdir = pathlib.Path(values.workdir)
    if values.dry_run:
        config = assemble.with_vocabulary(values.config)
        job = assemble.make_job(config, workdir=workdir, copy_experts=False)
        print(dry_run.describe(job))
        print(_gate_note(config, workdir), end="")
        return 0
    start_s = time.perf_counter()
    try:
        run(values.config, workdir, allow_config_change=values.allow_config_change)
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        return 128 + stopped.signal_number
    except RequirementMissed as missed:
        print(missed, file=sys.stderr)
        return 1
    if jax.process_index() == 0:
        print(summary(values.config, workdir, spent_s=time.perf_counter() - start_s))
    return 0


def _gate_note(config: ConfigDict, workdir: pathlib.Path) -> str:
    """What a dry run says of the run that must come first: "" where nothing is in the way, as in
    the way of a run that has begun."""
    try:
        if not _has_begun(workdir):
            check_gate(config)
    except UserError as error:
        return f"\nwould not begin yet\n  {error}\n"
    return ""


def summary(config: ConfigDict, workdir: pathlib.Path, *, spent_s: float) -> str:
    """What a run that has reached its end says: where it is, how long it took, what comes next."""
    step, took = config.run.steps, show_duration(spent_s)
    # Toys are no folder that could be measured.
    data = "DATA" if config.data.path.startswith("fake://") else config.data.path
    evaluate = ["talkjax", "evaluate", "--workdir", str(workdir), "--data", data]
    generate = ["talkjax", "generate", "--checkpoint", str(workdir)]
    generate += ["--face", "FACE", "--audio", "AUDIO", "--out", "out.mp4"]
    lines = [f"done: {workdir} is at step {step}; this start took {took}", "next:"]
    lines.append("  " + shlex.join(evaluate))
    if config.data.sampler == "talking":
        return "\n".join([*lines, "  " + shlex.join(generate)])
    if config.data.sampler == "words":
        reader = shlex.join(["--lip-reader", str(workdir)])
        return "\n".join([*lines, f"  {reader} of `talkjax evaluate` of a generator"])
    if config.data.sampler == "sync_mfcc":
        judge = shlex.join(["--syncnet", str(workdir)])
        return "\n".join(
            [*lines, f"  {judge} of `talkjax evaluate` of a generator, or of `talkjax score`"]
        )
    expert = shlex.quote(f"--config.experts.sync.checkpoint={workdir}")
    judge = shlex.join(["--judge", str(workdir)])
    lines.append(
        f"  `talkjax train` of a generator with {expert}, or {judge} of `talkjax evaluate`; a "
        "generator refuses a critic whose validation accuracy is below its min_accuracy"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except UserError as error:
        print(f"talkjax train: {error}", file=sys.stderr)
        sys.exit(2)
