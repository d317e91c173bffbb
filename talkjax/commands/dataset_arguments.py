"""Options that `talkjax prepare` and `talkjax synth` share: how a data set is written."""

import argparse
import os


def add_writing_arguments(parser: argparse.ArgumentParser, *, changed: str) -> None:
    """--workers, --shards, --overwrite and --json; `changed`: what makes a begun set another."""
    parser.add_argument(
        "--workers",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="processes; the bytes are the same for any number (default: %(default)s)",
    )
    parser.add_argument(
        "--shards",
        type=int,
        metavar="K",
        help="about how many for the largest split (256 MiB each)",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help=f"start again if {changed} have changed"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
