"""Training windows per second and core: the data pipeline against the usual loader.

The usual loader (usual_loader.py) reads, for each item, JPEGs by glob with cv2 and the whole
wav, and computes the mel spectrogram of the whole clip anew. It is measured twice; `DEFINITIONS`
goes into the result and says what each row of it is. All read the same clips (data_layouts.py):
with `--videos`, both copies are made from raw video, as the users of either make them; without,
both from the records of a prepared folder or a toy, which is less work for the usual loader than
what it meets in life.

Speed is given per core-second of this process (user + system time of all threads), because that
is what a training machine has to offer, and per second of wall time. Linear algebra runs in one
thread (idle ones would count as work). Rounds alternate, so that a busy machine is busy for all.
Each round of the pipeline starts with nothing read ahead and ends its threads, so that it gets
nothing for free and leaves no work to the others. The files are in the page cache.
"""

import argparse
import dataclasses
import importlib.util
import math
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import data_layouts, report
from benchmarks.usual_loader import (
    PINNED_RESAMPLER,
    RESAMPLER,
    SAMPLE_RATE_HZ,
    Item,
    UsualLoader,
    network_inputs,
)
from talkjax.errors import UserError

TARGET_RATIO = 20.0
BATCH_SIZE = 16
DEFAULT_SIZE_PX = 128
# Windows of a clip after which all of its pictures have been decoded.
WINDOWS_TO_FILL = 40
SETTINGS = {
    "sampler": "talking",
    "clip_frames": 5,
    "lip_radius_frames": 2,
    "mel_frames": 16,
    "audio_shift_frames": -2,
    "flip": False,
    "reference": "any",
    "reference_min_gap_frames": 0,
    "pose_gap_frames": 0,
    "read_ahead_mb": 64.0,
    "keep_decoded_mb": 0.0,
}
MIN_FRAMES = SETTINGS["clip_frames"] + 2 * SETTINGS["lip_radius_frames"]
DEFINITIONS = {
    "talkjax": "batches of the training pipeline as the train step takes them: uint8 windows "
    "(9 frames around the target, 5 reference frames, the target's again as pose), 5 mel windows "
    "and a mel chunk; conversion to floats and masking happen later, on the device",
    "usual": "whole item as the published loader returns it, stacked: pictures by glob, "
    "cv2.imread and cv2.resize, librosa.load of the wav and mel of the whole clip, then the float "
    "arrays of the nets (masked target and reference, target, five lip windows), on the host",
    "usual_uint8": "the same loader stopped before the float arrays: uint8 windows, mel windows "
    "and mel chunk, the very arrays of talkjax but its pose; the published loader does not offer "
    "this",
    "usual_pinned": "usual with the resampler kaiser_best, default of librosa 0.7.0, which "
    "Wav2Lip's requirements.txt pins, through today's resampy; usual has soxr_hq, librosa's "
    "default now. Only from videos whose sound is not at 16 kHz, and if resampy is installed",
    "talkjax_kept": "talkjax with data.keep_decoded_mb: pictures decoded in earlier epochs come "
    "from memory; the set fits whole and is all there before the first round. A set that does "
    "not fit is read at a speed between talkjax and this",
    "ratio_per_core": "windows per core-second of a talkjax row over those of another, in each "
    "round; the target is for talkjax over usual",
    "from_videos": "records by `talkjax prepare`; folders with face crops at native size (JPEG, "
    "cv2's default quality 95) and the sound at the source's rate and channels, as Wav2Lip's "
    "preprocess.py writes them",
    "from_records": "both copies hold the crops and the 16 kHz mono sound of the records, so the "
    "usual loader need not resize nor resample: easier for it than what it meets in life",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--videos", metavar="DIR", help="raw videos with sound; both layouts are made from them"
    )
    source.add_argument(
        "--data",
        default="fake://16x75?size=128",
        help="without --videos: a prepared folder or a toy, written out in both layouts "
        "(default: %(default)s)",
    )
    parser.add_argument("--split", default="train", help="of --data; default: %(default)s")
    parser.add_argument("--clips", type=int, default=24, help="the first so many (%(default)s)")
    parser.add_argument(
        "--image-size",
        type=int,
        help="side of the pictures; default: that of the crops (with --videos: 128)",
    )
    parser.add_argument("--threads", type=int, default=2, help="read threads of the pipeline")
    parser.add_argument("--workers", type=int, default=2, help="processes that prepare --videos")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds of each loader")
    parser.add_argument("--seconds", type=float, default=2.0, help="wall time of a round, at least")


@dataclasses.dataclass(frozen=True)
class Loader:
    """A loader in the benchmark: what gives a batch, and what comes before and after a round."""

    next_batch: Callable[[], Any]
    before: Callable[[], None] = lambda: None
    after: Callable[[], None] = lambda: None


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measures the loaders in this process; see the module's head."""
    import cv2
    import threadpoolctl

    if min(args.rounds, args.clips, args.workers) < 1 or args.seconds <= 0:
        raise UserError("bench data: --rounds, --clips, --workers and --seconds must be positive")
    with tempfile.TemporaryDirectory(prefix="talkjax_bench_data_") as scratch:
        report.say(
            f"writing up to {args.clips} clips of {args.videos or args.data} in both layouts"
        )
        layouts = _layouts(pathlib.Path(scratch), args)
        settings = SETTINGS | {
            "path": str(layouts.records),
            "split": layouts.split,
            "image_size": args.image_size or layouts.size_px,
            "read_threads": args.threads,
        }
        cv2.setNumThreads(1)
        with threadpoolctl.threadpool_limits(1):
            rounds = _alternate(_loaders(layouts, settings), args.rounds, args.seconds)
    return {
        "data": args.videos or args.data,
        "layouts": layouts.as_json(),
        "image_size_px": settings["image_size"],
        "frames_per_window": MIN_FRAMES + SETTINGS["clip_frames"],
        "batch_size": BATCH_SIZE,
        "read_threads": args.threads,
        "rounds": args.rounds,
        "seconds_per_round": args.seconds,
    } | _result(rounds)


def _layouts(scratch: pathlib.Path, args: argparse.Namespace) -> data_layouts.Layouts:
    if args.videos is None:
        return data_layouts.from_records(
            args.data, args.split, scratch, clips=args.clips, min_frames=MIN_FRAMES
        )
    return data_layouts.from_videos(
        args.videos,
        scratch,
        clips=args.clips,
        size_px=args.image_size or DEFAULT_SIZE_PX,
        workers=args.workers,
    )


def _loaders(layouts: data_layouts.Layouts, settings: dict[str, Any]) -> dict[str, Loader]:
    report.say("decoding every picture once, for talkjax_kept")
    picture_mb = settings["image_size"] ** 2 * 3 / 2**20
    keeping = settings | {"keep_decoded_mb": layouts.frames * picture_mb}
    rng = np.random.default_rng(0)

    def usual_loader(resampler: str, finish: Callable[[Item], Item]) -> Loader:
        usual = UsualLoader(layouts.folders, settings, resampler=resampler)
        return Loader(lambda: usual.batch(BATCH_SIZE, rng, finish=finish))

    loaders = {
        "talkjax": _pipeline_loader(settings, first_windows=0),
        "talkjax_kept": _pipeline_loader(keeping, first_windows=layouts.clips * WINDOWS_TO_FILL),
        "usual": usual_loader(RESAMPLER, network_inputs),
        "usual_uint8": usual_loader(RESAMPLER, lambda item: item),
    }
    if layouts.audio_rate_hz != SAMPLE_RATE_HZ and importlib.util.find_spec("resampy"):
        loaders["usual_pinned"] = usual_loader(PINNED_RESAMPLER, network_inputs)
    return loaders


def _pipeline_loader(settings: dict[str, Any], *, first_windows: int) -> Loader:
    """The training pipeline, after it has given so many windows."""
    from talkjax.data import pipeline

    batches = pipeline.make_train(settings, batch_size=BATCH_SIZE, seed=0)
    spec = pipeline.batch_spec(settings, batch_size=BATCH_SIZE).values()
    batch_mb = sum(array.nbytes for array in spec) / pipeline.MIB
    batches_ahead = int(settings["read_ahead_mb"] / batch_mb) + 2

    def take(count: int) -> None:
        for _ in range(count):
            next(batches)

    take(math.ceil(first_windows / BATCH_SIZE))
    batches.close()
    return Loader(lambda: next(batches), lambda: take(batches_ahead), batches.close)


def _alternate(
    loaders: dict[str, Loader], rounds: int, seconds: float
) -> dict[str, list[tuple[float, float]]]:
    """(windows per core-second, windows per second) of each loader in each round."""
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in loaders}
    report.say(f"first batches of the loaders {', '.join(loaders)}")
    for loader in loaders.values():  # imports, first reads
        loader.next_batch()
        loader.after()
    for number in range(1, rounds + 1):
        for name, loader in loaders.items():
            measured[name].append(_time(loader, seconds))
        found = ", ".join(f"{name} {pairs[-1][0]:.0f}" for name, pairs in measured.items())
        report.say(f"round {number} of {rounds}, windows per core-second: {found}")
    return measured


def _time(loader: Loader, seconds: float) -> tuple[float, float]:
    loader.before()
    windows = 0
    cpu_start_s, wall_start_s = time.process_time(), time.perf_counter()
    while time.perf_counter() - wall_start_s < seconds:
        loader.next_batch()
        windows += BATCH_SIZE
    cpu_s, wall_s = time.process_time() - cpu_start_s, time.perf_counter() - wall_start_s
    loader.after()
    return windows / cpu_s, windows / wall_s


def _result(rounds: dict[str, list[tuple[float, float]]]) -> dict[str, Any]:
    per_core = {name: [core for core, _ in pairs] for name, pairs in rounds.items()}
    ratios = {
        f"{ours}_over_{theirs}": _spread(
            [a / b for a, b in zip(per_core[ours], per_core[theirs], strict=True)]
        )
        for ours in ("talkjax", "talkjax_kept")
        for theirs in per_core
        if theirs.startswith("usual")
    }
    return {
        "definitions": DEFINITIONS,
        "windows_per_core_second": {name: _spread(values) for name, values in per_core.items()},
        "windows_per_second": {
            name: _spread([wall for _, wall in pairs]) for name, pairs in rounds.items()
        },
        "ratio_per_core": ratios,
        "target_ratio": TARGET_RATIO,
        "target_met": {name: ratios[name]["median"] >= TARGET_RATIO for name in ratios},
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 1),
        "least": round(min(values), 1),
        "most": round(max(values), 1),
    }
