"""Trains: flags -> config -> fit. `talkjax train` and `python -m talkjax.main` are the same.

A second start with the same workdir goes on where the first one stopped.
"""

import logging
import pathlib
import sys
import warnings
from collections.abc import Mapping, Sequence

import jax
from absl import flags
from ml_collections import ConfigDict, config_flags

from talkjax import assemble, dry_run
from talkjax.errors import UserError
from talkjax.train.files import plain, read_json
from talkjax.train.loop import check_config, fit
from talkjax.train.sharding import initialize_distributed
from talkjax.train.stopping import Stopped

BLOCKS = (
    *("run", "data", "method", "model", "loss_weights", "optim", "ema_decay", "mesh"),
    *("sharding_rules", "experts", "init_from", "validation"),
)


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


def check_blocks(config: ConfigDict) -> None:
    """Raises UserError if a config lacks a block."""
    missing = sorted(set(BLOCKS) - set(config))
    if missing:
        raise UserError(f"config: {missing} are missing; a config has {list(BLOCKS)}")


def parse(argv: Sequence[str]) -> flags.FlagValues:
    """Reads the command line (without the program's name).

    Raises:
      UserError: on an unknown flag or config key, a wrong value, or no config.
    """
    argv = ["train", *argv]
    values = flags.FlagValues()
    config_flags.DEFINE_config_file(
        "config", lock_config=True, flag_values=values, sys_argv=argv, help_string="FILE[:variant]"
    )
    flags.DEFINE_string("workdir", None, "folder of the run", flag_values=values)
    for name, meaning in SWITCHES.items():
        flags.DEFINE_bool(name, False, meaning, flag_values=values)
    flags.DEFINE_integer("cpu_devices", None, CPU_DEVICES, lower_bound=1, flag_values=values)
    ours = (*SWITCHES, "cpu_devices")
    dashed = {"--" + name.replace("_", "-"): "--" + name for name in ours}
    try:
        with warnings.catch_warnings():
            # ml_collections 1.1 loads config files by a deprecated call.
            warnings.filterwarnings("ignore", message="the load_module", category=Warning)
            rest = values([_underscored(word, dashed) for word in argv])[1:]
        config = values["config"].value
        present = config is not None and bool(config.keys())  # keys() raises if not loaded
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        raise UserError(f"config: {_one_line(error)}") from error
    if rest:
        raise UserError(f"unknown arguments {rest}")
    if not present or not values.workdir:
        raise UserError("--config FILE[:variant] and --workdir DIR are needed")
    return values


SWITCHES = {
    "dry_run": "print the resolved config, sizes, placements and memory; train nothing",
    "allow_config_change": "go on although the config changed since the last checkpoint",
    "multihost": "join the other processes of this run (env TALKJAX_COORDINATOR, or found)",
}

CPU_DEVICES = "split the batch over this many CPU devices; about as many as cores"


def _underscored(word: str, dashed: Mapping[str, str]) -> str:
    name, equals, value = word.partition("=")
    return dashed.get(name, name) + equals + value


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


QUOTES = "'\""


def _one_line(error: BaseException) -> str:
    """The last paragraph that says something, without the quotes that KeyError adds."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    text = text.replace("\\n", "\n")
    text = text.replace("\\'", "'")
    text = text[1:-1] if text[:1] in QUOTES and text[-1:] == text[:1] else text
    said = [line.strip() for line in text.splitlines() if line.strip()]
    if len(said) > 1 and said[-1].startswith("Did you mean"):
        return f"there is no key {said[-2].strip(QUOTES)}. {said[-1]}"
    return said[-1] if said else type(error).__name__


def main(argv: Sequence[str]) -> int:
    """The command; returns the exit code (128 + signal when told to stop)."""
    values = parse(argv)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", force=True)
    logging.getLogger("talkjax").setLevel(logging.INFO)
    start_devices(cpu_devices=values.cpu_devices, multihost=values.multihost)
    workdir = pathlib.Path(values.workdir)
    if values.dry_run:
        check_blocks(values.config)
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
