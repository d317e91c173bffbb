"""Trains: flags -> config -> fit. `talkjax train` and `python -m talkjax.main` are the same.

A second start with the same workdir goes on where the first one stopped.
"""

import logging
import pathlib
import sys
from collections.abc import Sequence

import jax
from absl import flags
from ml_collections import ConfigDict

from talkjax import assemble, dry_run
from talkjax.command_line import check_blocks, read_and_check
from talkjax.errors import UserError
from talkjax.train.files import plain, read_json
from talkjax.train.loop import check_config, fit
from talkjax.train.sharding import initialize_distributed
from talkjax.train.stopping import Stopped


def run(config: ConfigDict, workdir: pathlib.Path, *, allow_config_change: bool = False) -> None:
    """Trains what the config says in the workdir, or goes on there.

    Raises:
      UserError: if the config, the data, an expert or the workdir is not as it must be.
      Stopped: when told to stop, after saving.
    """
    check_blocks(config)
    workdir.mkdir(parents=True, exist_ok=True)
    if (workdir / "config.json").exists():
        # Before the data is opened and an expert copied; `fit` checks the checkpoint's own.
        check_config(
            read_json(workdir / "config.json"),
            plain(config),
            workdir=workdir,
            allow_change=allow_config_change,
        )
    job = assemble.make_job(config, workdir=workdir, copy_experts=True)
    data = assemble.make_data(config, split=config.data.split, seed=config.run.seed)
    hooks = assemble.make_hooks(config, job)
    fit(job, data, workdir=workdir, hooks=hooks, allow_config_change=allow_config_change)


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
    """The command; returns the exit code (128 + signal when told to stop)."""
    return start(read_and_check(argv))


def start(values: flags.FlagValues) -> int:
    """Trains what the command line says; returns the exit code like `main`."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", force=True)
    logging.getLogger("talkjax").setLevel(logging.INFO)
    start_devices(cpu_devices=values.cpu_devices, multihost=values.multihost)
    workdir = pathlib.Path(values.workdir)
    if values.dry_run:
        job = assemble.make_job(values.config, workdir=workdir, copy_experts=False)
        print(dry_run.describe(job))
        return 0
    try:
        run(values.config, workdir, allow_config_change=values.allow_config_change)
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        return 128 + stopped.signal_number
    if jax.process_index() == 0:
        print(f"done: {workdir}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except UserError as error:
        print(f"talkjax train: {error}", file=sys.stderr)
        sys.exit(2)
