"""`talkjax score`: LSE-D, LSE-C and offset of any videos, by SyncNet."""

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from talkjax.errors import UserError

EXIT_VIDEOS_FAILED = 3
# The protocol's two, and the crops of our records.
VARIANTS = ("whole", "track", "aligned")
SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description += (
        " Numbers of different judges cannot be compared, nor those of different variants."
    )
    parser.add_argument(
        "videos", metavar="VIDEO", type=Path, nargs="+", help="video files, or folders of them"
    )
    parser.add_argument(
        "--syncnet",
        type=Path,
        required=True,
        metavar="CKPT",
        help="a SyncNet: imported public weights, or a workdir or export of one trained here",
    )
    parser.add_argument(
        "--variant",
        choices=VARIANTS,
        help="what the judge is shown: the whole frame (videos that are face crops already), a "
        "crop that follows the face, both as in Wav2Lip's evaluation, or the aligned crop of our "
        "records (default: track for public weights, aligned for a judge trained here)",
    )
    parser.add_argument(
        "--min-track",
        type=int,
        metavar="FRAMES",
        help="leave out stretches in which the face is seen less long (default: 25; Wav2Lip's "
        "evaluation drops 100 and less)",
    )
    parser.add_argument(
        "--min-face", type=float, metavar="PX", help="leave out smaller faces (default: 100)"
    )
    parser.add_argument(
        "--boxes",
        type=Path,
        metavar="FILE",
        help="face boxes found elsewhere, by S3FD for instance, instead of dlib's: JSON (for each "
        "frame the list of its faces: [[[x0, y0, x1, y1], ...], ...]) or CSV (columns "
        "frame,x0,y0,x1,y1), px, of frames at 25 fps from 0, up to two more or less than the video "
        "has; for several videos a folder with NAME.json or NAME.csv for each NAME.mp4",
    )
    parser.add_argument(
        "--boxes-by", metavar="WORDS", help="what found the boxes, to stand beside the numbers"
    )
    parser.add_argument("--step", type=int, help="checkpoint step (default: best, else latest)")
    parser.add_argument("--out", type=Path, help="write everything as JSON to this file")
    parser.add_argument(
        "--allow-failures", action="store_true", help="exit 0 although some videos failed"
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(args: argparse.Namespace) -> int:
    paths = find_videos(args.videos)
    from talkjax.commands import syncnet_parts, video_lse
    from talkjax.commands.critic_arguments import MIN_ACCURACY
    from talkjax.evals import report
    from talkjax.media.sync_crops import MEDIAN_FRAMES

    if args.min_track is not None and args.min_track < MEDIAN_FRAMES:
        raise UserError(f"--min-track: got {args.min_track}, want {MEDIAN_FRAMES} or more")
    judge = syncnet_parts.load_judge(args.syncnet, step=args.step)
    given = {
        "min_track_frames": args.min_track,
        "min_face_px": args.min_face,
        "boxes": _box_files(args, paths),
        "boxes_by": args.boxes_by,
    }
    settings = video_lse.Settings(
        variant=args.variant or video_lse.default_variant(judge, boxes=args.boxes is not None),
        **{name: value for name, value in given.items() if value is not None},
    )
    if settings.variant == "aligned" and judge.is_public:
        raise UserError(
            f"{args.syncnet}: public weights say nothing of aligned crops; give --variant track or "
            "whole"
        )
    accuracy = judge.trained.scores.get("accuracy")
    if accuracy is not None and accuracy < MIN_ACCURACY:
        print(
            f"talkjax score: warning: {args.syncnet}: its validation accuracy is {accuracy:.3f}, a "
            "coin's 0.5; its numbers say little",
            file=sys.stderr,
        )
    scored, failed = {}, {}
    for path in paths:
        try:
            scored[str(path)] = found = video_lse.score_video(path, judge, settings)
        except UserError as error:
            if len(paths) == 1:
                raise
            failed[str(path)] = str(error)
            continue
        if len(paths) > 1:  # told at once: a long list that is interrupted has not been for nothing
            told = ", ".join(f"{key} {found[key]:.3f}" for key in video_lse.KEYS)
            print(f"{path}: {told}", file=sys.stderr)
    contents = {
        "judge": judge.identity(),
        "protocol": video_lse.protocol(settings, judge),
        "videos": scored,
        "mean": _means(_heard(scored), video_lse.KEYS),
        "failed": failed,
    }
    if args.out is not None:
        report.write_json(args.out, contents)
    print(json.dumps(contents, indent=2) if args.json else _text(contents, video_lse.KEYS))
    for note in (note for one in scored.values() for note in one["notes"]):
        print(f"talkjax score: {note}", file=sys.stderr)
    for error in failed.values():
        print(f"talkjax score: {error}", file=sys.stderr)
    return EXIT_VIDEOS_FAILED if not scored or (failed and not args.allow_failures) else 0


def _box_files(args: argparse.Namespace, videos: Sequence[Path]) -> dict[Path, Path] | None:
    """The file of face boxes of each video; None without --boxes.

    Raises:
      UserError: if flags contradict each other, or a video has no file of its own.
    """
    from talkjax.evals.face_boxes import SUFFIXES as BOX_SUFFIXES

    if args.boxes is None:
        if args.boxes_by is not None:
            raise UserError("--boxes-by: names what found the boxes of --boxes, which is not given")
        return None
    if args.variant not in (None, "track"):
        raise UserError(f"--boxes: got --variant {args.variant}, want track, which follows boxes")
    if not args.boxes.is_dir():
        if len(videos) > 1:
            raise UserError(
                f"{args.boxes}: got one file of boxes for {len(videos)} videos, want a folder with "
                "NAME.json or NAME.csv for each"
            )
        return {videos[0]: args.boxes}
    names = [video.stem for video in videos]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(
            f"{args.boxes}: several videos are named {twice[0]}, so "
            "their boxes cannot be told apart; score them in several calls"
        )
    return {video: _box_file(args.boxes, video.stem, BOX_SUFFIXES) for video in videos}


def _box_file(folder: Path, name: str, suffixes: Sequence[str]) -> Path:
    """The file of that name that is there; else the first that might be, for reading to say."""
    possible = [folder / f"{name}{suffix}" for suffix in suffixes]
    return next((path for path in possible if path.is_file()), possible[0])


def find_videos(given: Sequence[Path]) -> list[Path]:
    """The files, and the videos in the folders, each once.

    Raises:
      UserError: if one does not exist, or a folder holds no video.
    """
    found: dict[Path, None] = {}
    for path in given:
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
            if not inside:
                raise UserError(f"{path}: no video in this folder; want {', '.join(SUFFIXES)}")
            found |= dict.fromkeys(inside)
        elif path.exists():
            found[path] = None
        else:
            raise UserError(f"{path}: no such file, want a video")
    return list(found)


def _heard(scored: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The videos with a sound; the scores of silence mean nothing."""
    return [one for one in scored.values() if not one["silent"]]


def _means(videos: Sequence[dict[str, Any]], keys: Sequence[str]) -> dict[str, float]:
    """Plain means over the videos, as published scores are; {} if there is none."""
    return {key: math.fsum(one[key] for one in videos) / len(videos) for key in keys if videos}


def _text(contents: dict[str, Any], keys: Sequence[str]) -> str:
    rows = dict(contents["videos"])
    heard = len(_heard(rows))
    if len(rows) > 1 and heard:
        rows[f"mean of {heard}"] = contents["mean"]
    width = max([len("video"), *map(len, rows)])
    protocol = contents["protocol"]
    lines = [
        f"SyncNet: {contents['judge']['label']}",
        f"variant {protocol['variant']}: {protocol['pictures']}",
        f"faces: {protocol['faces']}",
        f"comparable with published LSE: {protocol['comparable']}",
        "",
    ]
    lines.append(f"{'video':{width}}" + "".join(f"  {key:>15}" for key in keys))
    for name, row in rows.items():
        cells = (f"  {row[key]:15.{1 if key == 'lse_offset' else 3}f}" for key in keys)
        lines.append(f"{name:{width}}" + "".join(cells))
    return "\n".join(lines)
