"""`talkjax synth`: a corpus of synthetic talking faces; the work is in data_prep/synthetic/."""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from data_prep.layouts import SPLITS
from data_prep.prepare import Prepared
from data_prep.synthetic.corpus import FORMS, synthesize
from data_prep.synthetic.settings import CorpusSettings
from data_prep.synthetic.voices import LANGUAGES
from data_prep.workfolder import REPORT_NAME
from talkjax.commands.dataset_arguments import add_writing_arguments
from talkjax.data.schema import FPS
from talkjax.errors import UserError

DEFAULTS = {field.name: field.default for field in dataclasses.fields(CorpusSettings)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description += (
        " No data set is needed: voices are espeak-ng's, faces are drawn. Equal arguments give "
        "equal bytes, for any number of workers."
    )
    parser.add_argument("out", metavar="OUT", type=Path, help="folder to write")
    parser.add_argument("--clips", type=int, required=True, metavar="N", help="how many")
    _add(parser, "--seed", "seed", "of every draw")
    parser.add_argument(
        "--as",
        dest="form",
        choices=FORMS,
        default=FORMS[0],
        help="shards to train on, or mp4 + wav + json of each clip, to run `talkjax prepare` on "
        "(default: %(default)s)",
    )
    add_writing_arguments(parser, changed="the settings")
    what = parser.add_argument_group("what is drawn")
    what.add_argument(
        "--identities",
        type=int,
        default=DEFAULTS["identities"],
        metavar="N",
        help="faces (default: one for eight clips, at least ten)",
    )
    _add(what, "--size", "size_px", "side of the crops, pixels; the picture is twice as large")
    what.add_argument(
        "--languages",
        type=_languages,
        default=DEFAULTS["languages"],
        metavar="A,B",
        help=f"of {','.join(LANGUAGES)} (default: {','.join(DEFAULTS['languages'])})",
    )
    _add(what, "--command-fraction", "command_fraction", "share of commands in the English clips")
    _add(what, "--val-fraction", "val_fraction", "share of the faces that go to val")
    _add(what, "--test-fraction", "test_fraction", "share of the faces that go to test")
    _add(what, "--jpeg-quality", "jpeg_quality", "of the crops, 1 to 100, colour 4:4:4")
    _add(what, "--smooth-sigma-frames", "smooth_sigma_frames", "smoothing of the crops over time")


def _add(group, flag: str, name: str, text: str) -> None:
    default = DEFAULTS[name]
    group.add_argument(
        flag,
        dest=name,
        type=type(default),
        default=default,
        metavar="N" if isinstance(default, int) else "X",
        help=f"{text} (default: %(default)s)",
    )


def _languages(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def run(args: argparse.Namespace) -> int:
    settings = CorpusSettings(**{name: getattr(args, name) for name in DEFAULTS})
    unknown = [name for name in settings.languages if name not in LANGUAGES]
    if unknown:
        raise UserError(f"languages: got {unknown[0]!r}, want some of {','.join(LANGUAGES)}")
    done = synthesize(
        args.out,
        settings=settings,
        form=args.form,
        workers=args.workers,
        shards=args.shards,
        overwrite=args.overwrite,
        quiet=args.json,
    )
    print(json.dumps(done.report, indent=1) if args.json else _summary(args, done))
    return 0


def _summary(args: argparse.Namespace, done: Prepared) -> str:
    lines = []
    if done.was_complete:
        lines.append(f"{args.out} is complete already with these settings: nothing to do.")
    clips: list[dict[str, Any]] = done.index["clips"]
    faces = {clip["identity"] for clip in clips}
    lines.append(f"{len(clips)} clips of {len(faces)} faces, {done.report['seconds']:.0f} s")
    for split in SPLITS:
        own = [clip for clip in clips if clip["split"] == split]
        seconds = sum(clip["frames"] for clip in own) / FPS
        lines.append(
            f"  {split:5}  {len(own)} clips of {len({clip['identity'] for clip in own})} faces, "
            f"{seconds:.0f} s"
        )
    speed = done.report["speed"]
    if not done.was_complete:
        lines.append(
            f"{speed['wall_s']:.1f} s, {speed['times_real_time_per_core']}x real time per core "
            f"(CPU time), {speed['workers']} workers"
        )
    lines.append(f"report: {args.out / REPORT_NAME}")
    if args.form == "video":
        lines.append(f"next: talkjax prepare {args.out} OUT --layout folder")
    return "\n".join(lines)
