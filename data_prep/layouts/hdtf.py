"""Layout `hdtf`: High-definition Talking Face (Zhang et al. 2021), videos from YouTube.

    SRC/RD_video_url.txt       lines "Radio11 https://..."           (RD, WDA, WRA)
    SRC/RD_annotion_time.txt   lines "Radio11.mp4 0:30-1:00 2:10-2:45"
    SRC/videos/RD_Radio11.mp4  or Radio11.mp4, in SRC or any folder below: the downloaded video

The lists are the authors' (they are not spelled here by mistake); each annotated interval is
one clip, cut by time. Without lists, clips that are cut already and named RD_Radio11_000.mp4 are
taken as they are. The published crop boxes (*_crop_wh.txt) are not needed: the face is tracked.

The set has no published split: it is a hash of the person. Identity is the video's name
without the subset; WDA and WRA number the videos of one politician, so there the trailing digits
go ("KellyAyotte0" -> "KellyAyotte"); in RD they tell people apart and stay.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from data_prep.layouts.api import (
    Clip,
    Fractions,
    checked,
    relative,
    text_lines,
    video_files,
    with_every_split,
)
from talkjax.errors import UserError

SUBSETS = ("RD", "WDA", "WRA")
PATTERNS = ("**/*",)
_CUT_NAME = re.compile(r"(RD|WDA|WRA)_(.+)_(\d{3})")


def list_clips(root: Path, *, fractions: Fractions) -> list[Clip]:
    """One clip per annotated interval whose video is there.

    Raises:
      UserError: if neither lists nor cut clips are there, or a line cannot be read, or no
        video of the lists is there, or two videos have one name.
    """
    files = _by_stem(root)
    annotations = _annotations(root)
    if not annotations:
        return _cut_clips(root, files, fractions)
    clips = []
    for subset, name, intervals in _listed(annotations):
        path = _video(files, subset, name)
        if path is None:
            continue  # Many of the videos are gone; `missing` says which.
        for number, text in enumerate(intervals):
            start_s, end_s = _interval(text, annotations[subset])
            clips.append(
                _clip(root, path, (subset, name, number), fractions, start_s=start_s, end_s=end_s)
            )
    if not clips:
        raise UserError(
            f"{root}: no clips found; none of the {len(files)} videos is named as in "
            f"{' '.join(path.name for path in annotations.values())} (e.g. RD_Radio11.mp4)"
        )
    return checked(with_every_split(clips, fractions), root)


def missing(root: Path) -> list[str]:
    """The videos that the lists name and that are not there, e.g. "RD_Radio11", in their order."""
    files = _by_stem(root)
    return [
        f"{subset}_{name}"
        for subset, name, _ in _listed(_annotations(root))
        if _video(files, subset, name) is None
    ]


def _annotations(root: Path) -> dict[str, Path]:
    """The list of each subset that has one."""
    return {
        subset: path
        for subset in SUBSETS
        for path in sorted(root.glob(f"**/{subset}_annotion_time.txt"))[:1]
    }


def _listed(annotations: dict[str, Path]) -> Iterator[tuple[str, str, list[str]]]:
    """(subset, name, intervals as text) of each line."""
    for subset, path in annotations.items():
        for line in text_lines(path):
            name, *intervals = line.split()
            yield subset, name.removesuffix(".mp4"), intervals


def _by_stem(root: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in video_files(root, PATTERNS):
        twin = files.setdefault(path.stem, path)
        if twin is not path:
            raise UserError(
                f"{root}: {relative(twin, root)} and {relative(path, root)} have the same name "
                f"{path.stem!r}, which is all that the lists tell; remove or rename one of them"
            )
    return files


def _video(files: dict[str, Path], subset: str, name: str) -> Path | None:
    return files.get(f"{subset}_{name}", files.get(name))


def seconds(text: str) -> float:
    """ "1:02:03" or "2:03" or "45.5" as seconds."""
    total = 0.0
    for part in text.split(":"):
        total = total * 60 + float(part)
    return total


def _interval(text: str, path: Path) -> tuple[float, float]:
    try:
        start_s, end_s = (seconds(side) for side in text.split("-"))
    except ValueError as error:
        raise UserError(f"{path}: found {text!r}, want a time such as 0:30-1:05") from error
    if not start_s < end_s:
        raise UserError(f"{path}: found {text!r}, want a start before its end")
    return start_s, end_s


def _cut_clips(root: Path, files: dict[str, Path], fractions: Fractions) -> list[Clip]:
    clips = []
    for stem, path in files.items():
        found = _CUT_NAME.fullmatch(stem)
        if found:
            subset, name, number = found.groups()
            clips.append(_clip(root, path, (subset, name, int(number)), fractions))
    if not clips:
        raise UserError(
            f"{root}: no clips found; looked for *_annotion_time.txt with the downloaded videos, "
            "and for clips named as RD_Radio11_000.mp4"
        )
    return checked(with_every_split(clips, fractions), root)


def _clip(
    root: Path,
    path: Path,
    place: tuple[str, str, int],
    fractions: Fractions,
    *,
    start_s: float | None = None,
    end_s: float | None = None,
) -> Clip:
    subset, name, number = place
    identity = name if subset == "RD" else name.rstrip("0123456789")
    return Clip(
        clip_id=f"{subset}_{name}_{number:03d}",
        root=str(root),
        source=relative(path, root),
        identity=identity,
        split=fractions.split_of(identity),
        split_key=identity,
        start_s=start_s,
        end_s=end_s,
    )
