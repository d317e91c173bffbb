"""A dataset folder (or a toy) as a random-access source of records.

`open_source` reads the index and checks every shard before the first step: what is wrong with a
data set is said at the start, in one line that names the file and the remedy.
"""

import dataclasses
import hashlib
import os
import pathlib
import threading
from typing import Any, Protocol, runtime_checkable

from array_record.python import array_record_module

from talkjax.data import fake, schema
from talkjax.data.index import check_split, part_of_split, read_index
from talkjax.data.writer import ClipMeta
from talkjax.errors import UserError
from talkjax.ops import geometry

# Without readahead a random read fetches little more than its record; threads are ours.
READER_OPTIONS = "readahead_buffer_size:0,max_parallelism:0"
READER_BUFFER_BYTES = 32768


@dataclasses.dataclass(frozen=True)
class Clip(ClipMeta):
    """A clip's row of the index.

    Attributes:
      clip_id, source, identity, split, size_px: as in `schema.Record`.
      frames: its length, 25 per second.
      shard: number of its shard within the split; 0 for a toy.
      position: its place in the shard.
      sha256: of the record's bytes; "" for a toy.
    """

    shard: int
    position: int
    sha256: str

    @property
    def seconds(self) -> float:
        return self.frames / schema.FPS


@runtime_checkable
class Source(Protocol):
    """Random access to one split.

    Attributes:
      path: as the user wrote it, for messages.
      split: which split this is.
      clips: rows of the index, in order; `source[i]` is the record of `clips[i]`.
    """

    path: str
    split: str
    clips: tuple[Clip, ...]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> schema.Record: ...


def open_source(path: str | os.PathLike, split: str) -> Source:
    """Opens one split of a dataset folder, or of a toy such as "fake://8x75?size=64".

    A split may be cut: "train[:50]" are the first 50 clips of "train".

    Raises:
      UserError: one line, if the folder, its index or a shard is missing, of another schema
        version, or broken, or if the split has no clips.
    """
    if str(path).startswith(fake.SCHEME):
        return ToySource(str(path), split)
    return FolderSource(path, split)


def data_settings(path: str | os.PathLike) -> dict[str, Any]:
    """How a data set was prepared: the settings in its index, and how many people it trains on.

    A toy's say how its crops behave.

    Raises:
      UserError: if there is no data set.
    """
    if str(path).startswith(fake.SCHEME):
        return {
            "layout": "fake",
            "size_px": fake.parse(str(path)).size_px,
            "smooth_sigma_frames": geometry.SMOOTH_SIGMA_FRAMES,
        }
    index = read_index(path)
    people = {row["identity"] for row in index["clips"] if row["split"] == "train"}
    return index["settings"] | {"train_identities": len(people)}


class FolderSource:
    """One split of a prepared folder. Reading is thread-safe; records are decoded on access."""

    def __init__(self, path: str | os.PathLike, split: str):
        self.path = str(path)
        self.split = split
        self._folder = pathlib.Path(path)
        index = read_index(path)
        check_split(path, index, split)
        split, count = part_of_split(split)
        self._shards = [self._folder / row["file"] for row in index["splits"][split]["shards"]]
        self.clips = tuple(
            Clip(**{field.name: row[field.name] for field in dataclasses.fields(Clip)})
            for row in index["clips"]
            if row["split"] == split
        )[:count]
        self._readers = [
            self._open(shard, row["clips"])
            for shard, row in zip(self._shards, index["splits"][split]["shards"], strict=True)
        ]

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> schema.Record:
        """The record of clip `index`.

        Raises:
          UserError: naming the clip, if its bytes are damaged.
        """
        clip = self.clips[index]
        data = self.read_bytes(index)
        try:
            return schema.decode(data)
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(self._damaged(clip, str(error))) from error

    def read_bytes(self, index: int) -> bytes:
        """The encoded record of clip `index`; the file's own checksum is verified."""
        clip = self.clips[index]
        try:
            data = self._readers[clip.shard].read([clip.position])[0]
        except (RuntimeError, IndexError, ValueError) as error:
            raise UserError(self._damaged(clip, str(error))) from error
        return data

    def check(self, index: int) -> None:
        """Raises UserError if the bytes of clip `index` are not those that were written."""
        clip = self.clips[index]
        got = hashlib.sha256(self.read_bytes(index)).hexdigest()
        if got != clip.sha256:
            raise UserError(self._damaged(clip, f"sha256 {got[:12]}, want {clip.sha256[:12]}"))

    def _damaged(self, clip: Clip, reason: str) -> str:
        reason = " ".join(reason.split())
        return (
            f"{self._shards[clip.shard]}: clip {clip.clip_id} (record {clip.position}) cannot be "
            f"read: {reason}; copy the file again or prepare the data again"
        )

    def _open(self, shard: pathlib.Path, want_clips: int) -> Any:
        if not shard.is_file():
            raise UserError(
                f"{shard}: is missing, but the index names it; copy it again or prepare the data "
                "again"
            )
        try:
            reader = array_record_module.ArrayRecordReader(
                str(shard), options=READER_OPTIONS, file_reader_buffer_size=READER_BUFFER_BYTES
            )
            got_clips = reader.num_records()  # a cut-off file says 0, without an error
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{shard}: cannot be opened: {reason}; copy it again") from error
        if got_clips != want_clips:
            raise UserError(
                f"{shard}: holds {got_clips} clips, the index says {want_clips}; the file is cut "
                "off or of another run: copy it again or prepare the data again"
            )
        return reader


class ToySource:
    """The cartoon of `fake`, made on access and kept once made."""

    def __init__(self, path: str, split: str):
        self.path = path
        self.split = split
        self._toy = fake.parse(path)
        self._split, count = part_of_split(split)
        if count and count > self._toy.clips:
            raise UserError(
                f"{path}: split {split!r}: it has {self._toy.clips} clips; ask for fewer"
            )
        self.clips = tuple(
            Clip(
                clip_id=fake.clip_id(self._split, index),
                source=path,
                identity=fake.identity(self._split, index),
                split=self._split,
                size_px=self._toy.size_px,
                frames=self._toy.frames,
                shard=0,
                position=index,
                sha256="",
            )
            for index in range(self._toy.clips)
        )[:count]
        self._records: dict[int, schema.Record] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> schema.Record:
        with self._lock:
            if index not in self._records:
                data = schema.encode(fake.make_record(self._toy, self._split, index))
                self._records[index] = schema.decode(data)
            return self._records[index]
