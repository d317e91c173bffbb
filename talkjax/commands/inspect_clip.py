"""`talkjax inspect clip`: a clip's frames above its sound, phones and lips, as one picture."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from talkjax.errors import UserError

if TYPE_CHECKING:
    from talkjax.data.schema import Record
    from talkjax.infer.clip_picture import Stretch

WIDTH_PX = 1600
LEAST_WIDTH_PX = 400
# Where no split is named, clips are looked for in this order, then in any other split.
SPLITS = ("test", "val", "train")
NAMED_CLIPS = 4
# What a clip may lack, as it is said.
ASKED = {
    "phones": "phones with times",
    "words": "words with times",
    "opening": "true lip opening",
    "width": "true mouth width",
    "blink": "blinks",
    "pitch": "head pose",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of `inspect` that only a clip has."""
    group = parser.add_argument_group("clip")
    group.add_argument("--clip", metavar="ID", help="which clip (default: the first one)")
    group.add_argument(
        "--measure",
        action="store_true",
        help="lips as dlib sees them too (a clip whose lips are not known has them anyway)",
    )
    group.add_argument(
        "--video",
        type=Path,
        help="generated frames of the same clip, of the source's size or square crops: their "
        "mouths and lips are shown beside the true ones",
    )
    group.add_argument("--start", type=float, default=0.0, metavar="S", help="seconds; default: 0")
    group.add_argument("--seconds", type=float, metavar="S", help="how much (default: all)")
    group.add_argument(
        "--every", type=int, metavar="K", help="a picture of each K-th frame (default: what fits)"
    )
    group.add_argument(
        "--width", type=int, default=WIDTH_PX, metavar="PX", help="default: %(default)s"
    )


def run(args: argparse.Namespace) -> int:
    """Draws the clip and prints what is in the picture and what was missing."""
    from talkjax.infer import clip_picture

    data = args.data_set or args.data
    if data is None or args.out is None:
        raise UserError("inspect clip: DATA and --out FILE.png are needed")
    record = find_clip(data, clip_id=args.clip, split=args.split)
    stretch = _stretch(args, record)
    frames_u8 = decoded(record)
    generated_u8, covered = None, 0
    if args.video is not None:
        generated_u8, covered = generated_frames(args.video, record)
    view, facts = look(record, frames_u8, measure=args.measure, generated=(generated_u8, covered))
    clip_picture.save(args.out, view, stretch)
    facts |= {"out": str(args.out), "frames_shown": [stretch.first, stretch.stop]}
    print(json.dumps(facts) if args.json else _text(facts))
    return 0


def find_clip(data: str, *, clip_id: str | None, split: str | None) -> "Record":
    """A clip by its id, or the first one; in one split, or in any.

    Raises:
      UserError: if there is none; some ids that there are are named.
    """
    from talkjax.data.source import open_source

    splits = [split] if split else _splits(data)
    known: list[str] = []
    for name in splits:
        source = open_source(data, name)
        ids = [clip.clip_id for clip in source.clips]
        if clip_id is None and ids:
            return source[0]
        if clip_id in ids:
            return source[ids.index(clip_id)]
        known += ids
    where = f"split {split!r}" if split else "any split"
    some = ", ".join(known[:NAMED_CLIPS])
    raise UserError(f"{data}: no clip {clip_id!r} in {where}; its clips are {some} ...")


def _splits(data: str) -> list[str]:
    """Splits that have clips."""
    from talkjax.data import fake
    from talkjax.data.index import read_index

    if data.startswith(fake.SCHEME):
        return list(SPLITS)
    found = [name for name, row in read_index(data)["splits"].items() if row["clips"]]
    return sorted(found, key=lambda name: (SPLITS.index(name) if name in SPLITS else 9, name))


def decoded(record: "Record") -> np.ndarray:
    """(t, s, s, 3) RGB."""
    import simplejpeg

    return np.stack([simplejpeg.decode_jpeg(f, colorspace="RGB") for f in record.frames_jpeg])


def generated_frames(path: Path, record: "Record") -> tuple[np.ndarray, int]:
    """Crops (t, s, s, 3) of a video over the same clip, and how many of them it has.

    A video of the source's size is cropped as the record was, each frame at its time; any other
    square one is taken for crops from the clip's first frame on. Missing frames are black.

    Raises:
      UserError: if it is no video, of another shape, or over before the clip begins.
    """
    import cv2

    from talkjax.data.schema import FPS
    from talkjax.media import align
    from talkjax.media.reader import FrameReader

    size = record.size_px
    crops_u8 = np.zeros([record.num_frames, size, size, 3], np.uint8)
    places = np.round(record.frame_times_s * FPS).astype(int)
    filled = np.zeros(record.num_frames, bool)
    with FrameReader(path) as reader:
        for frame in reader:
            hw = frame.rgb.shape[:2]
            is_source = hw == tuple(record.source_hw)
            if not is_source and hw[0] != hw[1]:
                raise UserError(
                    f"{path}: is {hw[1]}x{hw[0]}, want {record.source_hw[1]}x"
                    f"{record.source_hw[0]} as the source of {record.clip_id}, or square crops"
                )
            wanted = places if is_source else np.arange(record.num_frames)
            for number in np.flatnonzero(wanted == frame.index).tolist():
                if is_source:
                    crop = align.crop(frame.rgb, record.crop_to_source[number], size)
                else:
                    crop = cv2.resize(frame.rgb, (size, size), interpolation=cv2.INTER_AREA)
                crops_u8[number], filled[number] = crop, True
    covered = int(filled.argmin()) if not filled.all() else len(filled)
    if covered < 2:
        raise UserError(f"{path}: has no frames of {record.clip_id}; want a video over that clip")
    return crops_u8, covered


def look(
    record: "Record",
    frames_u8: np.ndarray,
    *,
    measure: bool = False,
    generated: tuple[np.ndarray | None, int] = (None, 0),
) -> tuple[Any, dict[str, Any]]:
    """What the picture shows, and the facts to print.

    Args:
      measure: run dlib on the true frames although their lips are known.
      generated: crops and how many of them there are.
    """
    from talkjax.commands.inspect import phone_spans
    from talkjax.evals import ground_truth
    from talkjax.infer.clip_picture import PANELS, ClipView
    from talkjax.infer.memory_pictures import mouth

    known = ground_truth.read_known(
        record.labels, record.texts, crop_to_source=record.crop_to_source
    )
    series = known.series if known else {}
    curves = {name: {"known": series[name]} if name in series else {} for name in PANELS}
    if measure or not {"opening", "width"} <= series.keys():
        _add_measured(curves, "measured", frames_u8, total=record.num_frames)
    rows = {"face": frames_u8, "mouth": mouths(frames_u8, mouth)}
    pictures, covered = generated
    if pictures is not None:
        _add_measured(curves, "generated", pictures[:covered], total=record.num_frames)
        rows["generated mouth"] = mouths(pictures, mouth)
    phones = phone_spans(record)
    have = {"phones": phones, "words": record.words} | {n: series.get(n) for n in PANELS}
    missing = [ASKED[name] for name, values in have.items() if values is None or len(values) == 0]
    said = record.texts.get("transcript", "")
    view = ClipView(
        title=f"{record.clip_id}   {record.identity}   {said}",
        rows=rows,
        audio=record.audio_i16.astype(np.float32) / 32768,
        phones=phones,
        words=record.words,
        shaded=[span for span in phones if span[2] in ground_truth.BILABIALS],
        curves=curves,
    )
    facts = {
        "clip": record.clip_id,
        "split": record.split,
        "frames": record.num_frames,
        "missing": missing,
        "opening_correlation": _correlations(curves["opening"], covered),
    }
    return view, facts


def mouths(frames_u8: np.ndarray, mouth) -> np.ndarray:
    """The mouths of all crops."""
    return np.stack([mouth(frame) for frame in frames_u8])


def _add_measured(
    curves: dict[str, dict[str, np.ndarray]], kind: str, frames_u8: np.ndarray, *, total: int
) -> None:
    """dlib's opening and width, NaN behind the last frame."""
    from talkjax.evals import landmarks

    found = landmarks.lip_series(landmarks.dlib_landmarks(frames_u8))
    for name in ("opening", "width"):
        values = np.full(total, np.nan)
        values[: len(frames_u8)] = getattr(found, name)
        curves[name][kind] = values


def _correlations(opening: Mapping[str, np.ndarray], covered: int) -> dict[str, float | None]:
    """Of each measured opening with the first one that there is: known, else the true frames'."""
    from talkjax.evals.landmarks import correlation

    (truth, true), *others = opening.items()
    found = {}
    for kind, values in others:
        count = covered if kind == "generated" else len(values)
        found[f"{kind} with {truth}"] = correlation(values[:count], true[:count])
    return found


def _stretch(args: argparse.Namespace, record: "Record") -> "Stretch":
    from talkjax.data.schema import FPS
    from talkjax.infer.clip_picture import Stretch

    if args.width < LEAST_WIDTH_PX:
        raise UserError(f"--width {args.width}: want at least {LEAST_WIDTH_PX}")
    if args.every is not None and args.every < 1:
        raise UserError(f"--every {args.every}: want 1 or more")
    first = round(args.start * FPS)
    length = record.num_frames if args.seconds is None else round(args.seconds * FPS)
    stop = min(first + length, record.num_frames)
    if args.start < 0 or length < 1 or stop - first < 2:
        raise UserError(
            f"--start {args.start} --seconds {args.seconds}: clip {record.clip_id} lasts "
            f"{record.seconds:.2f} s; want two frames and more inside it"
        )
    return Stretch(first, stop, args.every, args.width)


def _text(facts: Mapping[str, Any]) -> str:
    lines = [f"{facts['clip']} ({facts['split']}), {facts['frames']} frames"]
    for pair, value in facts["opening_correlation"].items():
        lines.append(f"lip opening, {pair}: " + ("constant" if value is None else f"r {value:.2f}"))
    if facts["missing"]:
        lines.append(f"not in this data set: {', '.join(facts['missing'])}")
    return "\n".join([*lines, f"wrote {facts['out']}"])
