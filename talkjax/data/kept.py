"""Decoded pictures kept in memory: a frame is read and decoded once, not once in each epoch.

For sets that fit: a clip of 3 s at 128 px takes 3.7 MB, an hour 4.4 GB. What is kept is never
dropped for another clip: epochs visit all clips in turn, so that the least recently used is the
next to come and a cache that drops it would never be hit. A set twice the budget thus reads half
of its examples from memory.
"""

import dataclasses
import threading
from collections.abc import Callable

import numpy as np
from jaxtyping import Float16, Int, Int16, UInt8

from talkjax.data import schema
from talkjax.data.source import Source

Pictures = UInt8[np.ndarray, "t h w 3"]
Decode = Callable[..., np.ndarray]


class Frames:
    """A clip's decoded frames so far. Threads may fill them at once: they write the same."""

    def __init__(self, num_frames: int, size_px: int):
        self._pictures = np.empty((num_frames, size_px, size_px, 3), np.uint8)
        self._here = np.zeros(num_frames, bool)

    def missing(self, indices: Int[np.ndarray, " t"]) -> Int[np.ndarray, " m"]:
        """What to decode, each frame once; none if all the frames asked for are there.

        Those of them that are not there, or the clip's last few with them, so that nobody has
        to read the whole clip for each of these.
        """
        if self._here[indices].all():
            return np.empty(0, np.intp)
        rest = np.flatnonzero(~self._here)
        return rest if len(rest) <= len(indices) else np.intersect1d(indices, rest)

    def put(self, indices: Int[np.ndarray, " m"], pictures: Pictures) -> None:
        self._pictures[indices] = pictures
        self._here[indices] = True  # after the pictures, so that nobody reads half of one

    def take(self, indices: Int[np.ndarray, " t"]) -> Pictures:
        """Copies of frames that are there."""
        return self._pictures[indices]


@dataclasses.dataclass(frozen=True)
class KeptClip:
    """What the samplers use of a record, its pictures from memory where they are there.

    Attributes:
      mel, audio_i16, words: as in `schema.Record`.
      frames: the kept pictures.
      read: gives the record; called only if a picture is missing.
      decode: `transforms.decode_frames`.
      size_px: side of the kept pictures.
    """

    mel: Float16[np.ndarray, "s 80"]
    audio_i16: Int16[np.ndarray, " n"]
    words: tuple[tuple[float, float, str], ...]
    frames: Frames
    read: Callable[[], schema.Record]
    decode: Decode
    num_frames: int
    size_px: int

    def pictures(self, indices: Int[np.ndarray, " t"]) -> Pictures:
        missing = self.frames.missing(indices)
        if len(missing):
            self.frames.put(missing, self.decode(self.read(), missing, size_px=self.size_px))
        return self.frames.take(indices)


class Keeper:
    """A source that keeps pictures, until `budget_bytes` are promised to clips.

    Args:
      source: where records come from.
      size_px: side of the pictures to keep, that of the sampler.
      budget_bytes: bound of the pictures of all clips, in this process.
      decode: `transforms.decode_frames`.
    """

    def __init__(self, source: Source, *, size_px: int, budget_bytes: int, decode: Decode):
        self.path, self.split, self.clips = source.path, source.split, source.clips
        self._source = source
        self._size_px = size_px
        self._decode = decode
        self._left_bytes = budget_bytes
        self._kept: dict[int, KeptClip] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> schema.Record | KeptClip:
        kept = self._kept.get(index)
        if kept is not None:
            return kept
        record = self._source[index]
        kept = self._keep(index, record)
        # the record is at hand: no need to read it again for its first pictures
        return record if kept is None else dataclasses.replace(kept, read=lambda: record)

    def _keep(self, index: int, record: schema.Record) -> KeptClip | None:
        need_bytes = record.num_frames * self._size_px**2 * 3
        with self._lock:
            if index in self._kept:
                return self._kept[index]
            if need_bytes > self._left_bytes:
                return None
            self._left_bytes -= need_bytes
            self._kept[index] = KeptClip(
                mel=record.mel,
                audio_i16=record.audio_i16,
                words=record.words,
                frames=Frames(record.num_frames, self._size_px),
                read=lambda: self._source[index],
                decode=self._decode,
                num_frames=record.num_frames,
                size_px=self._size_px,
            )
            return self._kept[index]
