"""The command `talkjax`: one sub-command per module of `talkjax.commands`.

A command module exposes `add_arguments(parser)` and `run(args) -> int`, and is imported only
when it is called, so that `talkjax --help` is quick. A module that passes flags on to another
parser sets `PASSES_UNKNOWN_FLAGS = True` and finds them in `args.unknown_flags`.

Bad input is a `UserError`: one line on stderr, exit code 2. Any other exception is a defect
of this program and keeps its traceback.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import NamedTuple

from talkjax.errors import UserError

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130


class Command(NamedTuple):
    """What `--help` says of a command before its module is imported."""

    summary: str
    example: str


COMMANDS = {
    "prepare": Command(
        "raw video to a data set: crop, align, filter, write ArrayRecord shards",
        "talkjax prepare videos/ data/ --layout folder --workers 4",
    ),
    "doctor": Command(
        "what is in a prepared data set: counts, rejects by reason, sizes, a contact sheet",
        "talkjax doctor data/",
    ),
    "train": Command(
        "train a method as its config says; a second start resumes",
        "talkjax train --config configs/synctalkface_grid.py:cpu --workdir runs/a "
        "--config.data.path=data/",
    ),
    "evaluate": Command(
        "numbers for a checkpoint on held-out clips, beside ground truth and baselines",
        "talkjax evaluate --workdir runs/a --data data/ --split test",
    ),
    "generate": Command(
        "a picture or a video, and any sound, to a lip-synced video",
        "talkjax generate --checkpoint runs/a --face face.mp4 --audio voice.wav --out out.mp4",
    ),
    "inspect": Command(
        "what a trained net has learned: what each memory slot holds and which words use it",
        "talkjax inspect memory --checkpoint runs/a --data data/ --split test --out memory/",
    ),
    "export": Command(
        "a training workdir to a small checkpoint folder that generates and evaluates",
        "talkjax export --workdir runs/a --out models/a",
    ),
    "bench": Command(
        "speed and memory of the parts, as JSON",
        "talkjax bench data",
    ),
    "env": Command(
        "versions and devices, to paste into a report",
        "talkjax env",
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the process's exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv:
        _top_parser().print_help(sys.stderr)
        return EXIT_USER_ERROR
    name = argv[0]
    if name not in COMMANDS:
        _top_parser().parse_args(argv)  # exits: help, version or an error
        raise AssertionError(f"argparse accepted the unknown command {name!r}")
    try:
        return _run(name, argv[1:])
    except UserError as error:
        print(f"talkjax {name}: {_one_line(error)}", file=sys.stderr)
        return EXIT_USER_ERROR
    except KeyboardInterrupt:
        print(f"talkjax {name}: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


def _run(name: str, argv: Sequence[str]) -> int:
    module = importlib.import_module(f"talkjax.commands.{name}")
    parser = command_parser(name)
    module.add_arguments(parser)
    args, unknown = parser.parse_known_args(argv)
    if getattr(module, "PASSES_UNKNOWN_FLAGS", False):
        args.unknown_flags = unknown
    elif unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    return module.run(args)


def command_parser(name: str) -> argparse.ArgumentParser:
    """The parser of a command before the command's module has added its arguments."""
    return argparse.ArgumentParser(
        prog=f"talkjax {name}",
        description=COMMANDS[name].summary[0].upper() + COMMANDS[name].summary[1:] + ".",
        epilog=f"example:\n  {COMMANDS[name].example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _top_parser() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    listing = "\n".join(f"  {name:{width}}  {c.summary}" for name, c in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="talkjax",
        description="Train, judge and run audio-driven talking-face models.",
        epilog=f"commands:\n{listing}\n\n`talkjax COMMAND --help` explains a command.\n\n"
        f"example:\n  {COMMANDS['generate'].example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"talkjax {metadata.version('talkjax')}"
    )
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="see below")
    return parser


def _one_line(error: UserError) -> str:
    return " ".join(str(error).split())


if __name__ == "__main__":
    sys.exit(main())
