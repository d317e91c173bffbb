"""What a layout gives: a sorted list of clips with their split, before anything is decoded.

A layout knows where one public data set keeps its files, its split lists and its word times.
It reads names and small text files only, so that listing a million clips stays cheap.
"""

import dataclasses
import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from talkjax.errors import UserError

SPLITS = ("train", "val", "test")
VIDEO_SUFFIXES = frozenset(
    {".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg"}
    | {".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv"}
)


@dataclasses.dataclass(frozen=True)
class Clip:
    """One clip to prepare: plain strings and numbers, so that it travels between processes.

    Attributes:
      clip_id: unique within the set, e.g. "s1/bbaf2n".
      root: the folder that was listed.
      source: the video file, relative to `root`, with forward slashes.
      identity: who speaks; as far as the data set tells.
      split: "train", "val" or "test".
      start_s, end_s: part of the source, on its own timeline; None means from the start, to
        the end.
      audio_source: file with the sound, relative to `root`, for a video that has none of its
        own; "" means that there is no such file.
      words_source: file with words and times, relative to `root`; "" means none.
      words_format: key of `words.READERS`; "" if there is no file.
      split_key: what the split's hash was taken of; "" where the split is published.
      moved_from: the split that the hash says, where `with_every_split` gave another; else "".
    """

    clip_id: str
    root: str
    source: str
    identity: str
    split: str
    start_s: float | None = None
    end_s: float | None = None
    audio_source: str = ""
    words_source: str = ""
    words_format: str = ""
    split_key: str = ""
    moved_from: str = ""

    @property
    def path(self) -> Path:
        return Path(self.root, self.source)

    @property
    def name(self) -> str:
        """What the report calls the clip: the source, with the cut where there is one."""
        if self.start_s is None and self.end_s is None:
            return self.source
        end = "end" if self.end_s is None else f"{self.end_s:g}"
        return f"{self.source}[{self.start_s or 0:g}-{end}s]"


@dataclasses.dataclass(frozen=True)
class Fractions:
    """Share of the keys that go to val and test; the rest is train. Both in [0, 1)."""

    val: float
    test: float

    def __post_init__(self) -> None:
        if not (self.val >= 0 and self.test >= 0 and self.val + self.test < 1):
            raise UserError(
                f"split fractions: got val {self.val:g} and test {self.test:g}, want both >= 0 "
                "and less than 1 together"
            )

    def split_of(self, key: str) -> str:
        """Split of a key by its SHA-256 alone: adding clips never moves another clip."""
        place = hash_place(key)
        if place < self.test:
            return "test"
        return "val" if place < self.test + self.val else "train"

    @property
    def wanted(self) -> tuple[str, ...]:
        """The splits that shall have clips."""
        held_out = (name for name, share in (("val", self.val), ("test", self.test)) if share)
        return ("train", *held_out)


def hash_place(key: str) -> float:
    """Where a key lies in [0, 1), by its SHA-256."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64


def with_every_split(clips: Iterable[Clip], fractions: Fractions) -> list[Clip]:
    """The clips, so that no wanted split is empty by the luck of a few hashes.

    An empty split gets the key of lowest hash of the split with the most keys. It depends on the
    set of keys alone. With fewer keys than wanted splits, and in published splits, nothing moves.
    """
    clips = list(clips)
    split_of = {clip.split_key: clip.split for clip in clips if clip.split_key}
    if len(split_of) >= len(fractions.wanted):
        for empty in fractions.wanted:
            if empty not in split_of.values():
                counts = Counter(split_of.values())
                fullest = max(SPLITS, key=lambda split: counts[split])
                keys = (key for key, split in split_of.items() if split == fullest)
                split_of[min(keys, key=hash_place)] = empty
    return [
        clip
        if split_of.get(clip.split_key, clip.split) == clip.split
        else dataclasses.replace(
            clip, split=split_of[clip.split_key], moved_from=clip.moved_from or clip.split
        )
        for clip in clips
    ]


def has_video_suffix(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES


def video_files(
    root: Path, patterns: Iterable[str], *, is_video: Callable[[Path], bool] = has_video_suffix
) -> list[Path]:
    """Files under root that match a glob pattern and are videos, sorted.

    Hidden files and folders are left out.

    Args:
      root, patterns: where to look.
      is_video: asked of each file, in sorted order; goes by the suffix unless said otherwise.

    Raises:
      UserError: if root is no folder, nothing matches, or a name is not UTF-8.
    """
    patterns = tuple(patterns)
    _check_name(root.resolve())
    if not root.is_dir():
        found = "a file" if root.exists() else "nothing"
        raise UserError(f"{root}: found {found}, want a folder of videos")
    files = {
        path
        for pattern in patterns
        for path in root.glob(pattern)
        if not any(part.startswith(".") for part in path.relative_to(root).parts) and path.is_file()
    }
    found = [path for path in sorted(files) if is_video(path)]
    if not found:
        raise UserError(
            f"{root}: no clips found; looked for {' and '.join(patterns)} with a video suffix "
            f"({' '.join(sorted(VIDEO_SUFFIXES))}); check the path and --layout"
        )
    for path in found:
        _check_name(path)
    return found


def _check_name(path: Path) -> None:
    """Ids and reports are UTF-8 text; Python reads other names as lone surrogates."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{str(path)!r}: the name is not UTF-8; rename it") from error


def relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def text_lines(path: Path) -> list[str]:
    """Non-empty lines of a small text file, stripped.

    Raises:
      UserError: if it is no UTF-8 text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text file ({error.reason}), want UTF-8 text") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def checked(clips: list[Clip], root: Path) -> list[Clip]:
    """The clips sorted by id.

    Raises:
      UserError: if there are none, or two clips have one id.
    """
    if not clips:
        raise UserError(f"{root}: no clips found; check the path and --layout")
    clips = sorted(clips, key=lambda clip: clip.clip_id)
    for before, after in itertools.pairwise(clips):
        if before.clip_id == after.clip_id:
            raise UserError(
                f"{root}: {before.name} and {after.name} have the same clip id "
                f"{after.clip_id!r}; remove or rename one of them"
            )
    return clips
