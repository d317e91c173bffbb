"""`talkjax train`: the same as `python -m talkjax.main`, which reads the flags."""

import argparse

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


def run(args: argparse.Namespace) -> int:
    from talkjax import main

    # The config must stand before its overrides.
    argv = [f"--config={args.config}", f"--workdir={args.workdir}"]
    argv += ["--dry_run"] * args.dry_run + ["--multihost"] * args.multihost
    argv += ["--allow_config_change"] * args.allow_config_change
    if args.cpu_devices is not None:
        argv.append(f"--cpu_devices={args.cpu_devices}")
    return main.main([*argv, *args.unknown_flags])
