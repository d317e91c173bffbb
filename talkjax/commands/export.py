"""`talkjax export`: one step of a training workdir as a small folder."""

import argparse
from pathlib import Path

from talkjax.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workdir", type=Path, required=True, help="a training workdir")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; must not exist")
    parser.add_argument("--step", type=int, help="checkpoint step (default: best, else latest)")


def run(args: argparse.Namespace) -> int:
    from talkjax.train import checkpoint
    from talkjax.train.trained import is_export

    if is_export(args.workdir):
        raise UserError(
            f"{args.workdir}: found an exported checkpoint, want a training workdir; it can be "
            "used and copied as it is"
        )
    checkpoint.export(args.workdir, args.out, step=args.step)
    size_mb = sum(f.stat().st_size for f in args.out.rglob("*") if f.is_file()) / 1e6
    print(f"wrote {args.out} ({size_mb:.1f} MB)")
    return 0
