"""The index of a dataset folder: read and checked without opening a shard.

It imports little, so that a wrong path is said at once.
"""

import json
import os
import pathlib
import re
from typing import Any

from talkjax.data import schema
from talkjax.errors import UserError

INDEX_NAME = "index.json"
# What `talkjax prepare` writes first of all; without an index it is not finished.
PLAN_NAME = "prepare.json"
# What `talkjax synth --as video` writes last.
VIDEOS_NAME = "clips.json"


def read_index(path: str | os.PathLike) -> dict[str, Any]:
    """The index of a dataset folder, as `writer.write_dataset` wrote it.

    Raises:
      UserError: if it is missing, no JSON, no index, or of another schema version.
    """
    folder = pathlib.Path(path)
    if not folder.exists():
        raise UserError(
            f"{folder}: no such folder; give a folder made by `talkjax prepare` "
            f"(looked at {folder.resolve()})"
        )
    file = folder / INDEX_NAME
    if not file.is_file():
        raise UserError(_without_index(folder))
    try:
        index = json.loads(file.read_text(encoding="utf-8"))
        version = index["schema_version"]
        index["clips"], index["splits"]
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{file}: is no index ({error}); prepare the data again") from error
    if version != schema.VERSION:
        raise UserError(
            f"{file}: schema version: got {version}, want {schema.VERSION}; prepare the data again"
        )
    return index


def part_of_split(split: str) -> tuple[str, int | None]:
    """ "train" -> ("train", None); "train[:50]", its first 50 clips -> ("train", 50).

    Raises:
      UserError: if it is neither.
    """
    match = re.fullmatch(r"([^\[\]]+)(?:\[:([1-9]\d*)\])?", split)
    if not match:
        raise UserError(f"split: got {split!r}, want a name such as 'train', or 'train[:50]'")
    return match[1], int(match[2]) if match[2] else None


def check_split(path: str | os.PathLike, index: dict[str, Any], split: str) -> None:
    """Raises UserError if the index has no clips of this split, or fewer than are asked for."""
    whole, (split, wanted) = split, part_of_split(split)
    if split not in index["splits"] or not index["splits"][split]["clips"]:
        counts = ", ".join(f"{k}: {v['clips']}" for k, v in sorted(index["splits"].items()))
        raise UserError(
            f"{path}: split {split!r} has no clips (its splits: {counts or 'none'}); choose "
            f"another split, or prepare the data again: {how_to_hold_out(split)}"
        )
    there = index["splits"][split]["clips"]
    if wanted and there < wanted:
        raise UserError(
            f"{path}: split {whole!r}: it has {there} clips; ask for {split}[:{there}] where it is "
            "named: --config.data.split and --config.validation.split of a training, --split of "
            "`talkjax evaluate`"
        )


def how_to_hold_out(split: str) -> str:
    """What to add to `talkjax prepare` so that a split gets clips."""
    if split in ("val", "test"):
        return (
            f"the same `talkjax prepare` with --overwrite and a larger --{split}-fraction "
            "(0.3, say), or more videos (3 people, or 3 sentences of GRID, give each split some)"
        )
    return "`talkjax prepare` with --overwrite and more videos, or smaller fractions held out"


def _without_index(folder: pathlib.Path) -> str:
    if (folder / VIDEOS_NAME).is_file():
        return (
            f"{folder}: holds videos (`talkjax synth --as video`); prepare them with "
            f"`talkjax prepare {folder} OUT --layout folder`, then give that OUT"
        )
    if (folder / PLAN_NAME).is_file():
        return (
            f"{folder}: its preparation is not finished (no {INDEX_NAME}); run the same "
            "`talkjax prepare` again, it goes on where it stopped"
        )
    return (
        f"{folder}: is no prepared data set (no {INDEX_NAME}); prepare it with "
        f"`talkjax prepare {folder} OUT --layout folder` (or another layout), then give that "
        "OUT"
    )
