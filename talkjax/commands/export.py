"""`talkjax export`: the best step of a training workdir, else the last, as a small folder."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workdir", type=Path, required=True, help="a training workdir")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; must not exist")


def run(args: argparse.Namespace) -> int:
    from talkjax.train import checkpoint

    checkpoint.export(args.workdir, args.out)
    size_mb = sum(f.stat().st_size for f in args.out.rglob("*") if f.is_file()) / 1e6
    print(f"wrote {args.out} ({size_mb:.1f} MB)")
    return 0
