"""The folder of a preparation under way: what is done, and for which settings and sources.

    OUT/prepare.json             what was asked: layout, settings, sources with size and time
    OUT/.partial/lock            held by the running process
    OUT/.partial/000/0000123.record   a finished clip's record, then
    OUT/.partial/000/0000123.json     its outcome; written last, so it marks the clip as done
    OUT/.partial/000/0000124.0000.record, 0000124.0001.record ...   of a clip that was cut

Each file is written under a temporary name and renamed. OUT/index.json, written last of all,
marks the whole as done; then .partial goes.
"""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from data_prep.layouts.api import Clip
from talkjax.data import schema, writer
from talkjax.data.index import PLAN_NAME
from talkjax.errors import UserError

REPORT_NAME = "report.json"
PARTIAL_NAME = ".partial"
CLIPS_PER_FOLDER = 1000


def write_bytes(path: Path, data: bytes) -> None:
    """Writes a file that is whole or not there."""
    part = path.with_name(f".{path.name}.part-{os.getpid()}")
    try:
        part.write_bytes(data)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def part_suffix(part: int) -> str:
    """End of the name of a part's record."""
    return f".{part:04d}.record"


class WorkFolder:
    """Paths and states of one output folder."""

    def __init__(self, out: Path):
        self.out = out
        self.partial = out / PARTIAL_NAME

    def clip_path(self, number: int, suffix: str) -> Path:
        folder = self.partial / f"{number // CLIPS_PER_FOLDER:03d}"
        return folder / f"{number:07d}{suffix}"

    def is_complete(self) -> bool:
        return (self.out / writer.INDEX_NAME).is_file() and (self.out / REPORT_NAME).is_file()

    def outcome(self, number: int) -> dict[str, Any] | None:
        """The outcome of a clip that is done, else None."""
        try:
            return json.loads(self.clip_path(number, ".json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def save_part(self, number: int, part: int, record: bytes) -> None:
        """Stores one of a clip's records; `save` follows, without a record."""
        path = self.clip_path(number, part_suffix(part))
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, record)

    def save(self, number: int, outcome: dict[str, Any], record: bytes | None) -> None:
        """Stores a clip's result; `record` is None for a rejected one."""
        self.clip_path(number, ".json").parent.mkdir(parents=True, exist_ok=True)
        if record is not None:
            write_bytes(self.clip_path(number, ".record"), record)
        text = json.dumps(outcome, ensure_ascii=False)
        write_bytes(self.clip_path(number, ".json"), text.encode())

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder for one process; the lock goes with the process, however it ends.

        Raises:
          UserError: if another process prepares into the same folder.
        """
        try:
            self.partial.mkdir(parents=True, exist_ok=True)
        except (NotADirectoryError, FileExistsError) as error:
            raise UserError(f"{self.out}: is a file, want a folder to write to") from error
        with open(self.partial / "lock", "w", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UserError(
                    f"{self.out}: another process is preparing into this folder; wait for it or "
                    "give another folder"
                ) from error
            yield

    def clean(self) -> None:
        """Removes what the preparation needed and a reader does not."""
        shutil.rmtree(self.partial, ignore_errors=True)

    def erase(self) -> None:
        """Removes an earlier preparation, the index first, and no other file."""
        (self.out / writer.INDEX_NAME).unlink(missing_ok=True)
        for name in (REPORT_NAME, PLAN_NAME):
            (self.out / name).unlink(missing_ok=True)
        for path in sorted(self.out.glob("*.array_record")):
            if writer.SHARD_NAME.fullmatch(path.name):
                path.unlink()
        for path in sorted(self.partial.glob("[0-9]*")):
            shutil.rmtree(path)


def plan_of(layout: str, settings: dict[str, Any], clips: list[Clip]) -> dict[str, Any]:
    """What was asked for and of which program, as JSON: what a resumed run must match.

    Sources are told apart by size and time of change, not by content: hashing a large set would
    take as long as reading it.
    """
    sources = {}
    for clip in clips:
        for name in (clip.source, clip.audio_source, clip.words_source):
            if name and name not in sources:
                status = os.stat(os.path.join(clip.root, name))
                sources[name] = [status.st_size, status.st_mtime_ns]
    return make_plan(layout, settings, clips, sources)


def make_plan(
    layout: str, settings: dict[str, Any], clips: list[Clip], sources: dict[str, list[int]]
) -> dict[str, Any]:
    """`plan_of` for what has its sources' sizes and times, or no source files at all."""
    listing = [[clip.clip_id, clip.split, clip.start_s, clip.end_s] for clip in clips]
    return {
        "talkjax_version": metadata.version("talkjax"),
        "schema_version": schema.VERSION,
        "layout": layout,
        "settings": settings,
        "clips": listing,
        "sources": sources,
    }


def difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    """The first differences between two plans in words; "" if they are the same."""
    if before.keys() != now.keys():
        return f"by another version of TalkJAX (this is {now['talkjax_version']})"
    for name in ("talkjax_version", "schema_version", "layout"):
        if before[name] != now[name]:
            return f"{name} was {before[name]}, is {now[name]}"
    was, asked = before["settings"], now["settings"]
    if was.keys() != asked.keys():
        return f"other settings exist: {' '.join(sorted(was.keys() ^ asked.keys()))}"
    changed = [
        f"{name} was {was[name]}, is {asked[name]}" for name in was if was[name] != asked[name]
    ]
    if changed:
        return "; ".join(changed)
    old, new = before["sources"], now["sources"]
    for verb, files in (
        ("new", sorted(new.keys() - old.keys())),
        ("gone", sorted(old.keys() - new.keys())),
        ("changed", sorted(name for name in old.keys() & new.keys() if old[name] != new[name])),
    ):
        if files:
            return f"{len(files)} source files are {verb}, first {files[0]}"
    return "" if before["clips"] == now["clips"] else "the list of clips or their splits changed"
