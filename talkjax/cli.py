"""The command `talkjax`: one sub-command per module of `talkjax.commands`.

A command module exposes `add_arguments(parser)` and `run(args) -> int`, and is imported only
when it is called, so that `talkjax --help` is quick. A module that passes flags on to another
parser sets `PASSES_UNKNOWN_FLAGS = True` and finds them in `args.unknown_flags`.

Bad input is a `UserError`: one line on stderr, exit code 2. Any other exception is a defect
of this program and keeps its traceback. SIGTERM unwinds like an exception, so that a stopped
command leaves no half-written file; a module that sees to its signals itself sets
`HANDLES_SIGTERM = True`.
"""

import argparse
import contextlib
import importlib
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from importlib import metadata
from types import ModuleType
from typing import NamedTuple, NoReturn

from talkjax.errors import UserError

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


class Command(NamedTuple):
    """What `--help` says of a command before its module is imported."""

    summary: str
    example: str


COMMANDS = {
    "synth": Command(
        "a corpus of synthetic talking faces, with phones, lips, head and blinks known exactly",
        "talkjax synth data/synthetic --clips 200 --seed 0 --workers 4",
    ),
    "prepare": Command(
        "raw video to a data set: crop, align, filter, write ArrayRecord shards",
        "talkjax prepare raw/grid data/grid --layout grid --workers 4",
    ),
    "doctor": Command(
        "what is in a prepared data set: counts, rejects by reason, sizes, a contact sheet",
        "talkjax doctor data/grid --out doctor/",
    ),
    "train": Command(
        "train a method as its config says; a second start resumes",
        "talkjax train --config configs/sync_critic_grid.py:cpu --workdir runs/critic \\\n"
        "      --config.data.path=data/grid\n"
        "  talkjax train --config configs/synctalkface_grid.py:cpu --workdir runs/lips \\\n"
        "      --config.data.path=data/grid --config.experts.sync.checkpoint=runs/critic",
    ),
    "evaluate": Command(
        "numbers for a checkpoint on held-out clips, beside ground truth and baselines",
        "talkjax evaluate --workdir runs/lips --data data/grid --split test --out report",
    ),
    "score": Command(
        "lip sync of any videos by SyncNet: LSE-D, LSE-C, offset",
        "talkjax score out.mp4 --syncnet runs/syncnet",
    ),
    "generate": Command(
        "a picture or a video, and any sound, to a lip-synced video",
        "talkjax generate --checkpoint runs/lips --face face.mp4 --audio voice.wav --out out.mp4",
    ),
    "inspect": Command(
        "one clip with its sound, phones and lips; what a net's memory holds; where a net is from",
        "talkjax inspect clip data/synthetic --out strip.png\n"
        "  talkjax inspect memory --checkpoint runs/lips --data data/grid --out memory/",
    ),
    "export": Command(
        "a training workdir to a small checkpoint folder that generates and evaluates",
        "talkjax export --workdir runs/lips --out models/lips",
    ),
    "import-weights": Command(
        "public PyTorch weights to a checkpoint; the file is read, never executed",
        "talkjax import-weights wav2lip-expert lipsync_expert.pth models/wav2lip-expert \\\n"
        "      --data data/grid",
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
    except _Terminated:
        print(f"talkjax {name}: terminated", file=sys.stderr)
        return EXIT_TERMINATED


def _run(name: str, argv: Sequence[str]) -> int:
    module = command_module(name)
    parser = command_parser(name)
    module.add_arguments(parser)
    args, unknown = parser.parse_known_args(argv)
    if getattr(module, "PASSES_UNKNOWN_FLAGS", False):
        args.unknown_flags = unknown
    elif unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if getattr(module, "HANDLES_SIGTERM", False):
        return module.run(args)
    with _unwinding_on_sigterm():
        return module.run(args)


def command_module(name: str) -> ModuleType:
    """The module of a command; a dash in its name is an underscore there."""
    return importlib.import_module(f"talkjax.commands.{name.replace('-', '_')}")


class _Terminated(SystemExit):
    """SIGTERM came. Nothing that catches `Exception` catches it."""


@contextlib.contextmanager
def _unwinding_on_sigterm() -> Iterator[None]:
    """SIGTERM raises in the main thread; a second one kills as usual."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return
    before = signal.getsignal(signal.SIGTERM)

    def terminate(number: int, _frame: object) -> None:
        signal.signal(number, before)
        raise _Terminated(EXIT_TERMINATED)

    signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, as all others are; argparse prints the usage first."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USER_ERROR, f"{self.prog}: {message}; see {self.prog} --help\n")


def command_parser(name: str) -> argparse.ArgumentParser:
    """The parser of a command before the command's module has added its arguments."""
    return _Parser(
        prog=f"talkjax {name}",
        description=COMMANDS[name].summary[0].upper() + COMMANDS[name].summary[1:] + ".",
        epilog=f"example:\n  {COMMANDS[name].example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _top_parser() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    listing = "\n".join(f"  {name:{width}}  {c.summary}" for name, c in COMMANDS.items())
    parser = _Parser(
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
