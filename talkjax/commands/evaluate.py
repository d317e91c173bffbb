"""`talkjax evaluate`: numbers for a checkpoint on clips it has not seen, beside its baselines.

A generator is measured on every row of `evals/baselines.py`; a sync critic or a SyncNet on how
well it hears, a lip reader on how well it reads.
Writes metrics.json, report.md and pictures into the report folder.
"""

import argparse
import datetime
import json
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any

from talkjax.errors import UserError
from talkjax.progress import Progress

EXIT_CLIPS_FAILED = 3
CRITIC_METHOD = "sync_critic"
READER_METHOD = "lip_reader"
SYNCNET_METHOD = "syncnet"
JUDGES = (CRITIC_METHOD, READER_METHOD, SYNCNET_METHOD)
LINEAR_CACHE = "linear_baseline.npz"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--workdir", type=pathlib.Path, help="a training workdir")
    model.add_argument("--checkpoint", type=pathlib.Path, help="a workdir or an export")
    parser.add_argument("--data", required=True, help="a folder made by `talkjax prepare`")
    parser.add_argument("--split", default="test", help="which split (default: %(default)s)")
    parser.add_argument(
        "--judge",
        type=pathlib.Path,
        help="a sync critic that took no part in the training (without one, sync measures carry "
        "the suffix _training_critic or are absent)",
    )
    parser.add_argument(
        "--syncnet",
        type=pathlib.Path,
        help="a SyncNet, public weights or trained here: LSE-D, LSE-C and offset of every row",
    )
    parser.add_argument(
        "--lip-reader",
        type=pathlib.Path,
        help="a lip reader: how many words can be read off the lips (clips with word alignments)",
    )
    parser.add_argument(
        "--out", type=pathlib.Path, default="report", help="report folder (default: %(default)s)"
    )
    parser.add_argument("--clips", type=int, help="measure this many clips, evenly spaced")
    parser.add_argument("--step", type=int, help="checkpoint step (default: best, else latest)")
    parser.add_argument(
        "--batch", type=int, default=25, help="frames per device call (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of pairing and intervals")
    parser.add_argument(
        "--reference-frame",
        type=int,
        default=0,
        help="frame of the clip that shows who it is (default: %(default)s)",
    )
    parser.add_argument(
        "--sync-stride",
        type=int,
        default=3,
        help="judge a window every so many frames; 1 is slowest (default: %(default)s)",
    )
    parser.add_argument(
        "--voices",
        type=int,
        default=3,
        help="other voices that each face is given (default: %(default)s)",
    )
    parser.add_argument(
        "--linear-clips",
        type=int,
        default=128,
        help="training clips that fit the linear row; 0 leaves it out (default: %(default)s)",
    )
    parser.add_argument(
        "--linear-cache",
        type=pathlib.Path,
        help="file that keeps the linear row's fit, for reports to share (default: "
        f"{LINEAR_CACHE} in the report folder)",
    )
    parser.add_argument(
        "--workers", type=int, default=2, help="landmark processes (default: %(default)s)"
    )
    parser.add_argument("--pictures", type=int, default=4, help="clips to show")
    parser.add_argument(
        "--allow-failures", action="store_true", help="exit 0 although some clips failed"
    )
    parser.add_argument("--json", action="store_true", help="print metrics.json's rows")


def run(args: argparse.Namespace) -> int:
    from talkjax.evals import landmarks

    return evaluate(args, track=landmarks.dlib_landmarks)


def evaluate(args: argparse.Namespace, *, track: Callable) -> int:
    """The command with its landmark function given (frames t h w 3 -> points t 68 2)."""
    from talkjax.commands import evaluation_parts as parts
    from talkjax.data.source import data_settings, open_source
    from talkjax.train.checkpoint import load_trained
    from talkjax.train.trained import check_method

    _check(args)
    started_s = time.monotonic()
    path = args.workdir or args.checkpoint
    trained = load_trained(path, step=args.step)
    check_method(trained, path)
    _check_judges(args, trained.config.method, path)
    source = open_source(args.data, args.split)
    image_size = int(trained.config.data.image_size)
    if trained.config.method == SYNCNET_METHOD:
        image_size = 8  # it is shown the crops at the evaluation size, whatever its own
    else:
        parts.check_crops(trained, path, args.data)
    clips = parts.Clips(source, image_size=image_size, limit=args.clips)
    protocol = parts.subject(trained, path=path) | {
        "data": str(args.data),
        "data_settings": data_settings(args.data),
        "split": args.split,
        "clips_chosen": len(clips.ids),
        "record_size_px": clips.record_sizes_px,
    }
    if trained.config.method == CRITIC_METHOD:
        contents = _critic(args, trained, clips, protocol)
        title = f"Sync critic {path} on {args.split}"
    elif trained.config.method == SYNCNET_METHOD:
        contents = _syncnet(args, trained, clips, protocol, path=path)
        title = f"SyncNet {path} on {args.split}"
    elif trained.config.method == READER_METHOD:
        contents = _reader(args, trained, clips, protocol, path=path)
        title = f"Lip reader {path} on {args.split}"
    else:
        contents = _generator(args, trained, clips, protocol, path=path, track=track)
        title = f"{trained.config.method} {path} on {args.split}"
    contents["protocol"] |= parts.provenance() | {
        "evaluated_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - started_s, 1),
    }
    return _write(args, contents, title=title)


def _check(args: argparse.Namespace) -> None:
    least = {
        "clips": 1,
        "batch": 1,
        "reference_frame": 0,
        "sync_stride": 1,
        "voices": 1,
        "linear_clips": 0,
        "workers": 0,
        "pictures": 0,
    }
    for name, low in least.items():
        value = getattr(args, name)
        if value is not None and value < low:
            flag = name.replace("_", "-")
            raise UserError(f"--{flag}: got {value}, want at least {low}")


def _check_judges(args: argparse.Namespace, method: str, path: pathlib.Path) -> None:
    """Raises UserError if judges were given for what is itself a judge."""
    given = {"--judge": args.judge, "--syncnet": args.syncnet, "--lip-reader": args.lip_reader}
    for flag, judge in given.items():
        if judge is not None and method in JUDGES:
            raise UserError(
                f"{path}: holds a {method}, which makes no frames that {flag} could judge; leave "
                "it out, or give the checkpoint of a generator"
            )


def _critic(args: argparse.Namespace, trained: Any, clips: Any, protocol: dict) -> dict[str, Any]:
    from talkjax.commands import evaluation_parts as parts
    from talkjax.commands import labels
    from talkjax.evals import critic_report, report

    critic = parts.make_critic(trained)
    with Progress(len(clips.ids), label="critic") as bar:
        found = critic_report.evaluate_critic(
            clips.ids, clips, critic, seed=args.seed, on_clip_done=bar.step
        )
    protocol |= report.measuring_protocol(
        seed=args.seed, reference_frame=args.reference_frame, sync_stride=1
    )
    protocol |= critic_report.protocol() | {"critic": {"label": labels.critic_label(protocol)}}
    contents = report.metrics(found, protocol=protocol, seed=args.seed)
    contents["offset_histogram"] = critic_report.offset_histogram(found, seed=args.seed)
    contents["injected_shifts"] = critic_report.injected_shifts(found, seed=args.seed)
    return contents


def _syncnet(
    args: argparse.Namespace, trained: Any, clips: Any, protocol: dict, *, path: pathlib.Path
) -> dict[str, Any]:
    from talkjax.commands import syncnet_parts
    from talkjax.evals import critic_report, lse_report, report

    judge = syncnet_parts.make_judge(trained, path)
    syncnet_parts.check_crop_motion(judge, args.data)
    with Progress(len(clips.ids), label="SyncNet") as bar:
        found = lse_report.evaluate_judge(
            clips.ids,
            clips,
            judge.net,
            prepare=judge.prepare,
            seed=args.seed,
            on_clip_done=bar.step,
        )
    protocol |= {"syncnet": judge.identity_on_records(), "seed": args.seed} | lse_report.protocol()
    contents = report.metrics(found, protocol=protocol, seed=args.seed)
    histogram = critic_report.offset_histogram(found, seed=args.seed, key="lse_offset")
    shifts = critic_report.injected_shifts(found, seed=args.seed)
    return contents | {"offset_histogram": histogram, "injected_shifts": shifts}


def _reader(
    args: argparse.Namespace, trained: Any, clips: Any, protocol: dict, *, path: pathlib.Path
) -> dict[str, Any]:
    from talkjax.commands import reader_parts
    from talkjax.evals import report

    reader = reader_parts.make_reader(trained)
    protocol["lip_reader"] = reader_parts.identity(trained, path=path)
    protocol["lip_reader"] |= reader_parts.words_protocol(reader, clips)
    with Progress(len(clips.ids), label="lip reading") as bar:
        found = reader_parts.evaluate_reader(clips.ids, clips, reader, on_clip_done=bar.step)
    return report.metrics(found, protocol=protocol, seed=args.seed)


def _generator(
    args: argparse.Namespace,
    trained: Any,
    clips: Any,
    protocol: dict,
    *,
    path: pathlib.Path,
    track: Callable,
) -> dict[str, Any]:
    from talkjax.commands import evaluation_parts as parts
    from talkjax.evals import landmarks, report, runner
    from talkjax.infer.predict import Predictor

    predictor = Predictor(trained, batch_frames=args.batch)
    judges = parts.find_judges(args.judge, path, trained, data=args.data)
    reader, row_scores, notes = _other_judges(args, trained, clips, path=path)
    with landmarks.tracker(track, workers=args.workers) as tracker:
        linear, linear_notes = parts.linear_lips(
            args.data,
            tracker,
            limit=args.linear_clips,
            cache=args.linear_cache or args.out / LINEAR_CACHE,
        )
        tools = runner.Tools(
            generate=predictor.clip,
            tracker=tracker,
            critics={judge.suffix: judge.critic for judge in judges},
            linear=linear,
            sync_stride=args.sync_stride,
            hide_from=predictor.hide_from,
            num_voices=args.voices,
            reader=reader,
            lse=row_scores,
        )
        with Progress(len(clips.ids), label="evaluate") as bar:
            found = runner.evaluate_clips(
                clips.ids,
                clips,
                tools,
                seed=args.seed,
                reference_frame=args.reference_frame,
                on_clip_done=bar.step,
            )
    protocol |= report.measuring_protocol(
        seed=args.seed, reference_frame=args.reference_frame, sync_stride=args.sync_stride
    )
    protocol |= parts.judges_protocol(judges) | {"linear": linear_notes} | notes
    parts.save_pictures(
        args.out,
        found,
        clips,
        tools,
        count=args.pictures,
        reference_frame=args.reference_frame,
    )
    return report.metrics(found, protocol=protocol, seed=args.seed)


def _other_judges(
    args: argparse.Namespace, trained: Any, clips: Any, *, path: pathlib.Path
) -> tuple[Any, Any, dict[str, Any]]:
    """The lip reader and SyncNet's scores where they were asked for, and who they are."""
    reader, row_scores, notes = None, None, {}
    if args.syncnet is not None:
        from talkjax.commands import syncnet_parts

        syncnet = syncnet_parts.find_judge(
            args.syncnet, path, experts=trained.experts, data=args.data
        )
        row_scores = syncnet_parts.row_scores(syncnet)
        notes["syncnet"] = syncnet.identity_on_records()
    if args.lip_reader is not None:
        from talkjax.commands import reader_parts

        reader, who = reader_parts.find_reader(args.lip_reader, data=args.data)
        notes["lip_reader"] = who | reader_parts.words_protocol(reader, clips)
    return reader, row_scores, notes


def _write(args: argparse.Namespace, contents: dict[str, Any], *, title: str) -> int:
    from talkjax.evals import report, report_tables

    report.write_json(args.out / "metrics.json", contents)
    table = report_tables.markdown(contents, title=title)
    report.write_text(args.out / "report.md", table)
    print(json.dumps(_summary(contents), indent=2) if args.json else table)
    print(f"wrote {args.out / 'metrics.json'}", file=sys.stderr)
    for line in contents["warnings"]:
        print(f"talkjax evaluate: warning: {line}", file=sys.stderr)
    measured = contents["protocol"]["clips_measured"]
    failed = contents["failed"]
    for clip, reason in failed.items():
        print(f"talkjax evaluate: clip {clip} failed: {reason}", file=sys.stderr)
    if not measured or (failed and not args.allow_failures):
        return EXIT_CLIPS_FAILED
    return 0


def _summary(contents: dict[str, Any]) -> dict[str, Any]:
    return {name: part for name, part in contents.items() if name != "clips"}
