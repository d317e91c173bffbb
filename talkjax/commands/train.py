"""`talkjax train`: the same as `python -m talkjax.main`, which reads the flags."""

import argparse
import importlib
import pkgutil
import re

import configs
from talkjax import command_line

PASSES_UNKNOWN_FLAGS = True
HANDLES_SIGTERM = True  # saves, then stops


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", required=True, metavar="FILE[:variant]", help="what to train")
    parser.add_argument("--workdir", required=True, help="folder of the run; resumed if it exists")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print the resolved config, parameter counts, placements and memory; train nothing",
    )
    parser.add_argument(
        "--allow-config-change",
        action="store_true",
        help="go on although the config changed since the last checkpoint",
    )
    parser.add_argument(
        "--multihost", action="store_true", help="join the other processes of this run"
    )
    parser.add_argument(
        "--cpu-devices",
        type=int,
        metavar="N",
        help="split the batch over N CPU devices; about as many as cores (default: 1)",
    )
    parser.usage = (
        "talkjax train --config FILE[:variant] --workdir DIR [--dry-run] "
        "[--allow-config-change] [--multihost] [--cpu-devices N] [--config.a.b=value ...]"
    )
    parser.epilog = f"{OVERRIDES}\n\nconfigs:\n{list_configs()}\n\n{parser.epilog}"


OVERRIDES = """any value of the config:
  --config.a.b=value    sets `b` of block `a`, e.g. --config.run.steps=500,
                        --config.data.batch_size=4, --config.optim.sync.learning_rate=1e-4;
                        --dry-run prints them all"""


def list_configs() -> str:
    """The configs and their variants, a line each, as their docstrings say."""
    names = sorted(info.name for info in pkgutil.iter_modules(configs.__path__))
    lines = []
    for name in names:
        module = importlib.import_module(f"configs.{name}")
        if not hasattr(module, "VARIANTS"):
            continue
        lines.append(f"  configs/{name}.py    {module.__doc__.splitlines()[0]}")
        text = " ".join(module.__doc__.split())
        about = dict(re.findall(r"`(\w+)` \((.*?)\)", text))
        for variant in module.VARIANTS:
            default = " (default)" if variant == module.VARIANTS[0] else ""
            lines.append(f"    :{variant:10}{about[variant]}{default}")
    return "\n".join(lines)


def run(args: argparse.Namespace) -> int:
    # The config must stand before its overrides.
    argv = [f"--config={args.config}", f"--workdir={args.workdir}"]
    argv += ["--dry_run"] * args.dry_run + ["--multihost"] * args.multihost
    argv += ["--allow_config_change"] * args.allow_config_change
    if args.cpu_devices is not None:
        argv.append(f"--cpu_devices={args.cpu_devices}")
    values = command_line.read_and_check([*argv, *args.unknown_flags])
    from talkjax import main  # imports JAX, which takes seconds

    return main.start(values)
