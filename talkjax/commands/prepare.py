"""`talkjax prepare`: raw video to a data set; the work is done in data_prep/prepare.py."""

import argparse
import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Any

from data_prep.layouts import DEFAULT_FRACTIONS, LAYOUTS, SPLIT_KEYS, WITH_WORDS, Fractions
from data_prep.layouts.folder import SPLIT_BY
from data_prep.prepare import RUNNERS, Prepared, prepare
from data_prep.report import Meter
from data_prep.settings import ON_DEFECT, SEVERAL_FACES, Settings
from data_prep.sync_check import SyncCheck
from data_prep.workfolder import REPORT_NAME
from talkjax.commands.critic_arguments import add_critic_arguments, sync_rules
from talkjax.commands.dataset_arguments import add_writing_arguments
from talkjax.data.index import how_to_hold_out

MAX_NOTES_SHOWN = 5
MAX_REASONS_SHOWN = 4
# What cannot be done without clips of a split.
EMPTY = {
    "train": "nothing can be trained",
    "val": "training stops at its start, as it validates on it",
    "test": "`talkjax evaluate` has nothing to measure",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    defaults = Settings()
    parser.add_argument("source", metavar="SRC", type=Path, help="the data set's folder")
    parser.add_argument("out", metavar="OUT", type=Path, help="folder for shards, index, report")
    parser.add_argument("--layout", required=True, choices=LAYOUTS, help="how the files of SRC lie")
    parser.add_argument(
        "--runner",
        choices=RUNNERS,
        default=RUNNERS[0],
        help="local processes, or an Apache Beam pipeline, extra [beam] (default: %(default)s)",
    )
    parser.add_argument(
        "--beam-option",
        action="append",
        default=[],
        metavar="FLAG",
        help="a flag of Beam's own, e.g. --beam-option=--runner=FlinkRunner; repeat for more "
        "(default: the DirectRunner with --workers processes)",
    )
    add_writing_arguments(parser, changed="settings or sources")
    crops = parser.add_argument_group("crops")
    _add(crops, "--size", defaults.size_px, "size_px", "side of the square crops, pixels")
    _add(crops, "--smooth-sigma-frames", defaults.smooth_sigma_frames, None, "smoothing over time")
    _add(crops, "--jpeg-quality", defaults.jpeg_quality, None, "1 to 100, colour 4:4:4")
    _add(crops, "--detect-every-frames", defaults.detect_every_frames, None, "confirm the face")
    filters = parser.add_argument_group("filters")
    _add(filters, "--min-seconds", defaults.min_seconds, None, "least video of a clip")
    _add(filters, "--max-seconds", defaults.max_seconds, None, "cut longer clips; 0 never")
    _add(filters, "--min-face-px", defaults.min_face_px, None, "least face width in the source")
    _add(filters, "--max-gap-frames", defaults.max_gap_frames, None, "missing face to bridge")
    _add(
        filters, "--min-kept-fraction", defaults.min_kept_fraction, None, "least part left by trim"
    )
    filters.add_argument(
        "--several-faces",
        choices=SEVERAL_FACES,
        default=defaults.several_faces,
        help="follow the largest of the first second, or reject (default: %(default)s)",
    )
    filters.add_argument(
        "--on-defect",
        choices=ON_DEFECT,
        default=defaults.on_defect,
        help="where the face is lost, at cuts and damage: keep the longest good stretch, or "
        "reject the clip (default: %(default)s)",
    )
    add_critic_arguments(parser, can_fix=True)
    splits = parser.add_argument_group("splits, for layouts without published ones")
    _add(splits, "--val-fraction", DEFAULT_FRACTIONS.val, None, "share of val")
    _add(splits, "--test-fraction", DEFAULT_FRACTIONS.test, None, "share of test")
    splits.add_argument(
        "--split-by",
        choices=SPLIT_BY,
        default=SPLIT_BY[0],
        help="layout folder: what is held out together (default: %(default)s)",
    )


def _add(group, flag: str, default: int | float, dest: str | None, text: str) -> None:
    extra = {"dest": dest} if dest else {}
    group.add_argument(
        flag,
        type=type(default),
        default=default,
        metavar="N" if isinstance(default, int) else "X",
        help=f"{text} (default: %(default)s)",
        **extra,
    )


def run(args: argparse.Namespace) -> int:
    names = [field.name for field in dataclasses.fields(Settings)]
    settings = Settings(**{name: getattr(args, name) for name in names})
    done = prepare(
        args.source,
        args.out,
        layout=args.layout,
        settings=settings,
        workers=args.workers,
        runner=args.runner,
        beam_options=args.beam_option,
        shards=args.shards,
        fractions=Fractions(val=args.val_fraction, test=args.test_fraction),
        split_by=args.split_by,
        sync=_sync_check(args, settings),
        overwrite=args.overwrite,
        quiet=args.json,
        meter=Meter(whole_process=True),
    )
    print(
        json.dumps(done.report, indent=1, ensure_ascii=False)
        if args.json
        else _summary(args.out, done)
    )
    return 0


def _sync_check(args: argparse.Namespace, settings: Settings) -> SyncCheck | None:
    """What --critic and its rules ask for; None without them."""
    rules = sync_rules(args)
    if rules is None:
        return None
    # Imported on use: it loads nets, which nothing else here needs.
    from talkjax.commands import listening

    _, identity = listening.find_critic(
        args.critic, crops=settings.as_json(), any_critic=args.any_critic
    )
    return SyncCheck(listening.stored(args.critic, identity), rules, identity)


def _summary(out: Path, done: Prepared) -> str:
    report, index = done.report, done.index
    lines = []
    if done.was_complete:
        lines.append(f"{out} is complete already with these settings and sources: nothing to do.")
    total = report["kept"] + len(report["rejected"])
    lines.append(f"kept {report['kept']} of {total} clips, {report['seconds']:.0f} s of video")
    for split in EMPTY:
        part = index["splits"].get(split)
        lines.append(
            f"  {split:5}  {part['clips']} clips, {part['seconds']:.0f} s, "
            f"{len(part['shards'])} shard{'s' if len(part['shards']) > 1 else ''}"
            if part
            else f"  {split:5}  NO CLIPS"
        )
    moved, cut = report["split"]["moved"], report["cut"]
    if moved:
        moves = ", ".join(f"{key} ({move})" for key, move in moved.items())
        lines.append(f"moved, so that no split is empty: {moves}")
    if cut["clips"]:
        lines.append(f"{cut['clips']} long clips were cut into {cut['parts']} (--max-seconds)")
    if report["rejected"]:
        lines.append(f"rejected {len(report['rejected'])}:")
        lines += [f"  {count:5}  {name}" for name, count in report["filters"].items() if count]
    if any(report["trimmed"].values()):
        lines.append(f"kept but shortened: {_counts(report['trimmed'])}")
    if "sync" in report:
        lines.append(_sync(report["sync"]))
    lines += _left_out(report)
    if not done.was_complete:
        lines.append(_speed(report["speed"]))
    lines.append(f"each reject with its reason: {out / REPORT_NAME}")
    return "\n".join(lines + _warnings(report, index))


def _sync(sync: dict[str, Any]) -> str:
    offsets = ", ".join(f"{count} at {offset}" for offset, count in sync["offsets"].items())
    line = f"lips and sound by the critic: {sync['measured']} clips measured"
    line += f" (frames late: {offsets})" if offsets else ""
    if sync["too_short"]:
        line += f", {sync['too_short']} too short for a verdict and kept"
    return line + (f"; sound of {len(sync['moved'])} moved" if sync["moved"] else "")


def _left_out(report: dict[str, Any]) -> list[str]:
    """Files that are no clips, videos that are not there, and what was noted of the rest."""
    lines = []
    over = Counter(report["passed_over"].values())
    if over:
        lines.append(f"passed over {over.total()} files and folders:")
        shown = over.most_common(MAX_REASONS_SHOWN)
        lines += [f"  {count:5}  {reason}" for reason, count in shown]
        rest = over.total() - sum(count for _, count in shown)
        lines += [f"  {rest:5}  for other reasons"] if rest else []
    missing = report["missing"]
    if missing["count"]:
        lines.append(f"listed but missing: {missing['count']} videos, first {missing['videos'][0]}")
    if report["notes"]:
        lines.append(f"notes on {len(report['notes'])} clips:")
        shown_notes = list(report["notes"].items())[:MAX_NOTES_SHOWN]
        lines += [f"  {source}: {'; '.join(notes)}" for source, notes in shown_notes]
        if len(report["notes"]) > len(shown_notes):
            lines.append(f"  ... and {len(report['notes']) - len(shown_notes)} more")
    return lines


def _speed(speed: dict[str, Any]) -> str:
    return (
        f"{speed['wall_s']:.1f} s with {speed['workers']} workers; real time per core: "
        f"{speed['times_real_time_per_core']}x by CPU time of the whole command, "
        f"{speed['times_real_time_per_core_by_wall']}x by the clock"
    )


def _warnings(report: dict[str, Any], index: dict[str, Any]) -> list[str]:
    layout, keys = index["settings"]["layout"], report["split"]["keys"]
    lines = []
    for split in EMPTY:
        if split not in index["splits"]:
            remedy = how_to_hold_out(split)
            if 0 < keys < len(EMPTY):
                remedy = f"{keys} {SPLIT_KEYS[layout]} were kept in all, want 3 or more; {remedy}"
            lines.append(f"WARNING: split {split} is empty, and {EMPTY[split]}: {remedy}")
    without = report["without_words"]
    if layout in WITH_WORDS and without:
        lines.append(
            f"WARNING: {without} of {report['kept']} clips have no word file, which layout "
            f"{layout} comes with; see the tree in data_prep/README.md, or take --layout folder"
        )
    return lines


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count)
