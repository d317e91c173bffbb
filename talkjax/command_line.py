"""The command line of `talkjax train`, and what can be told of it at once.

JAX takes seconds to import, so nothing here imports it: a wrong path is said before that.
"""

import os
import pathlib
import warnings
from collections.abc import Mapping, Sequence

from absl import flags
from ml_collections import ConfigDict, config_flags

from talkjax.errors import UserError

TOY_SCHEME = "fake://"
BLOCKS = (
    *("run", "data", "method", "model", "loss_weights", "optim", "ema_decay", "mesh"),
    *("sharding_rules", "experts", "init_from", "validation"),
)
LOOKED_AT = (
    *("data.path", "data.split", "validation.split"),
    *("run.validate_every_steps", "run.picture_every_steps"),
)
SWITCHES = {
    "dry_run": "print the resolved config, sizes, placements and memory; train nothing",
    "allow_config_change": "go on although the config changed since the last checkpoint",
    "multihost": "join the other processes of this run (env TALKJAX_COORDINATOR, or found)",
}
CPU_DEVICES = "split the batch over this many CPU devices; about as many as cores"
QUOTES = "'\""


def read_and_check(argv: Sequence[str]) -> flags.FlagValues:
    """Reads the command line and checks that what it names is there.

    Raises:
      UserError: as `parse` and `check_paths`.
    """
    values = parse(argv)
    check_blocks(values.config)
    check_paths(values.config, pathlib.Path(values.workdir))
    return values


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
        text = _one_line(error)
        # ml_collections hands the reading error on as a flag's error.
        hint = ""
        if "No such file" in text:
            hint = (
                f" from {os.getcwd()}; run from the repository's root or give the file's full path "
                "(`talkjax train --help` lists the configs)"
            )
        raise UserError(f"config: {text}{hint}") from error
    if rest:
        raise UserError(f"unknown arguments {rest}")
    if not present or not values.workdir:
        raise UserError("--config FILE[:variant] and --workdir DIR are needed")
    return values


def check_blocks(config: ConfigDict) -> None:
    """Raises UserError if a config lacks a block."""
    missing = sorted(set(BLOCKS) - set(config))
    if missing:
        raise UserError(f"config: {missing} are missing; a config has {list(BLOCKS)}")


def check_paths(config: ConfigDict, workdir: pathlib.Path) -> None:
    """Looks at the folders of a run without opening what is in them, but the data's index.

    Raises:
      UserError: if one is missing, or a split that the run reads is empty.
    """
    if workdir.exists() and not workdir.is_dir():
        raise UserError(f"--workdir {workdir}: is a file; give a folder, new or of an earlier run")
    _check_data(config)
    for name, block in config.experts.items():
        # What else can be wrong with an expert is said where it is loaded.
        kept = (workdir / "experts" / name).exists()
        complete = "init" in block and "checkpoint" in block
        if not kept and complete and block.init == "checkpoint" and block.checkpoint:
            _check_folder(block.checkpoint, f"config.experts.{name}.checkpoint")
    if config.init_from:
        _check_folder(config.init_from, "config.init_from")


def _check_data(config: ConfigDict) -> None:
    for key in LOOKED_AT:
        block, name = key.split(".")
        if name not in config[block]:
            raise UserError(f"config.{key} is missing")
    if str(config.data.path).startswith(TOY_SCHEME):
        return
    from talkjax.data.index import check_split, read_index

    index = read_index(config.data.path)
    splits = [config.data.split]
    if config.run.validate_every_steps or config.run.picture_every_steps:
        splits.append(config.validation.split)
    for split in splits:
        check_split(config.data.path, index, split)


def _check_folder(path: str, key: str) -> None:
    if not pathlib.Path(path).is_dir():
        raise UserError(
            f"{key}: {path}: no such folder; give the workdir of a run with --{key}=DIR"
        )


def _underscored(word: str, dashed: Mapping[str, str]) -> str:
    name, equals, value = word.partition("=")
    return dashed.get(name, name) + equals + value


def _one_line(error: BaseException) -> str:
    """The last paragraph that says something, without the quotes that KeyError adds."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    text = text.replace("\\n", "\n")
    text = text.replace("\\'", "'")
    text = text[1:-1] if text[:1] in QUOTES and text[-1:] == text[:1] else text
    said = [line.strip() for line in text.splitlines() if line.strip()]
    if len(said) > 1 and said[-1].startswith("Did you mean"):
        return f"there is no key {said[-2].strip(QUOTES)}. {said[-1]}"
    return said[-1].removeprefix("ValueError: ") if said else type(error).__name__
