"""Encoded clips -> a dataset folder: ArrayRecord shards and one index.json.

The folder holds `{split}-NNNNN-of-MMMMM.array_record` and `index.json`, which names every clip,
its place and its SHA-256. Equal input gives equal bytes. Nothing under its final name is ever
half-written: shards are written under temporary names and renamed, and the index, without which
the folder does not open, is removed before the first rename and comes back last.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from array_record.python import array_record_module

from talkjax.data import schema
from talkjax.data.index import INDEX_NAME
from talkjax.errors import UserError

# Random access does not care for the size; this keeps files easy to copy and count.
SHARD_BYTES = 256 * 2**20
SHARD_NAME = re.compile(r"[a-z]+-\d{5}-of-\d{5}\.array_record")
PART_SUFFIX = ".part"


@dataclasses.dataclass(frozen=True)
class ClipMeta:
    """What the index says of a clip beside its place; the fields are those of `schema.Record`."""

    clip_id: str
    source: str
    identity: str
    split: str
    size_px: int
    frames: int

    @classmethod
    def of(cls, record: schema.Record) -> "ClipMeta":
        return cls(
            clip_id=record.clip_id,
            source=record.source,
            identity=record.identity,
            split=record.split,
            size_px=record.size_px,
            frames=record.num_frames,
        )


def write_dataset(
    out: str | os.PathLike,
    clips: Iterable[tuple[bytes, ClipMeta]],
    *,
    settings: Mapping[str, Any],
    shard_bytes: int = SHARD_BYTES,
) -> dict[str, Any]:
    """Writes a dataset folder in one pass over the clips, in bounded memory.

    Args:
      out: the folder; made if missing. Shards of an earlier run are replaced.
      clips: (record bytes from `schema.encode`, its meta) in any order of splits; their order
        is kept within a split, so a fixed order gives fixed bytes.
      settings: how the clips were made; JSON values, kept in the index.
      shard_bytes: a shard is closed once it holds this much.

    Returns:
      The index, as `json.load` would give it back.

    Raises:
      UserError: if there are no clips, or if two clips have one name.
    """
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    shards = _Shards(out, shard_bytes)
    rows: dict[str, dict[str, Any]] = {}
    try:
        for data, meta in clips:
            if meta.clip_id in rows:
                raise UserError(f"{out}: two clips are named {meta.clip_id}; give them other names")
            number, position = shards.write(meta.split, data)
            rows[meta.clip_id] = dataclasses.asdict(meta) | {
                "seconds": meta.frames / schema.FPS,
                "shard": number,
                "position": position,
                "sha256": hashlib.sha256(data).hexdigest(),
            }
        if not rows:
            raise UserError(f"{out}: got no clips to write; see the report for what was rejected")
        counts = shards.close()
        index = _index(rows.values(), counts, settings)
        _publish(out, counts, index)
    finally:
        shards.discard()
    return index


def shard_name(split: str, number: int, count: int) -> str:
    return f"{split}-{number:05d}-of-{count:05d}.array_record"


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes JSON atomically, with a fixed key order as given."""
    path = pathlib.Path(path)
    part = path.with_name(f".{path.name}{PART_SUFFIX}-{os.getpid()}")
    try:
        part.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


class _Shards:
    """The open shard of each split, under temporary names."""

    def __init__(self, out: pathlib.Path, shard_bytes: int):
        self._out = out
        self._shard_bytes = shard_bytes
        self._writers: dict[str, Any] = {}
        self._filled_bytes: dict[str, int] = {}
        self._records: dict[str, list[int]] = defaultdict(list)

    def part_path(self, split: str, number: int) -> pathlib.Path:
        return self._out / f".{split}-{number:05d}.array_record{PART_SUFFIX}-{os.getpid()}"

    def write(self, split: str, data: bytes) -> tuple[int, int]:
        """Appends a record; returns its shard's number and its position there."""
        if not re.fullmatch(r"[a-z]+", split):
            raise UserError(f"split: got {split!r}, want lower-case letters such as train")
        if split in self._writers and self._filled_bytes[split] >= self._shard_bytes:
            self._writers.pop(split).close()
        if split not in self._writers:
            path = self.part_path(split, len(self._records[split]))
            self._writers[split] = array_record_module.ArrayRecordWriter(
                str(path), schema.WRITER_OPTIONS
            )
            self._records[split].append(0)
            self._filled_bytes[split] = 0
        self._writers[split].write(data)
        position = self._records[split][-1]
        self._records[split][-1] += 1
        self._filled_bytes[split] += len(data)
        return len(self._records[split]) - 1, position

    def close(self) -> dict[str, list[int]]:
        """Closes all shards and reads back how many records each split's shards hold."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()
        for split, counts in self._records.items():
            for number, want in enumerate(counts):
                path = self.part_path(split, number)
                reader = array_record_module.ArrayRecordReader(str(path))
                got = reader.num_records()
                reader.close()
                if got != want:
                    raise UserError(f"{path}: holds {got} records, {want} written; is disk full?")
        return dict(self._records)

    def discard(self) -> None:
        """Removes what was not published."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()
        for split, counts in self._records.items():
            for number in range(len(counts)):
                self.part_path(split, number).unlink(missing_ok=True)


def _index(
    rows: Iterable[dict[str, Any]], counts: Mapping[str, list[int]], settings: Mapping[str, Any]
) -> dict[str, Any]:
    rows = sorted(rows, key=lambda row: (row["split"], row["shard"], row["position"]))
    splits = {}
    for split in sorted(counts):
        frames = sum(row["frames"] for row in rows if row["split"] == split)
        splits[split] = {
            "clips": sum(counts[split]),
            "frames": frames,
            "seconds": frames / schema.FPS,
            "shards": [
                {"file": shard_name(split, number, len(counts[split])), "clips": clips}
                for number, clips in enumerate(counts[split])
            ],
        }
    return {
        "schema_version": schema.VERSION,
        "clips_total": len(rows),
        "seconds_total": sum(row["frames"] for row in rows) / schema.FPS,
        "splits": splits,
        "settings": dict(settings),
        "clips": rows,
    }


def _publish(out: pathlib.Path, counts: Mapping[str, list[int]], index: Mapping[str, Any]) -> None:
    (out / INDEX_NAME).unlink(missing_ok=True)
    kept = set()
    for split, shard_counts in counts.items():
        for number in range(len(shard_counts)):
            name = shard_name(split, number, len(shard_counts))
            part = out / f".{split}-{number:05d}.array_record{PART_SUFFIX}-{os.getpid()}"
            os.replace(part, out / name)
            kept.add(name)
    write_json(out / INDEX_NAME, index)
    for path in out.iterdir():
        if SHARD_NAME.fullmatch(path.name) and path.name not in kept:
            path.unlink()
