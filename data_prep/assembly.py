"""Results of clips in the work folder -> report.json, shards and index.json.

`prepare` and `synth` both end here: each clip's result was stored as it came (`workfolder`), now
all are copied into shards in the order of the list.
"""

import dataclasses
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from data_prep.layouts.api import Clip
from data_prep.workfolder import PLAN_NAME, REPORT_NAME, WorkFolder, difference, part_suffix
from talkjax.data import schema, writer
from talkjax.errors import UserError


def is_same_plan(work: WorkFolder, plan: dict[str, Any], *, overwrite: bool) -> bool:
    """Whether the folder holds this very preparation, done or begun.

    Raises:
      UserError: if it holds another, and that may not be replaced.
    """
    path = work.out / PLAN_NAME
    if path.is_file():
        changed = difference(json.loads(path.read_text(encoding="utf-8")), plan)
        if changed and not overwrite:
            raise UserError(
                f"{work.out}: was prepared differently: {changed}; give another folder, or "
                "--overwrite to start again"
            )
        return not changed
    if (work.out / writer.INDEX_NAME).exists() and not overwrite:
        raise UserError(
            f"{work.out}: holds a data set that `prepare` did not make; give another folder, or "
            "--overwrite to replace it"
        )
    return False


@dataclasses.dataclass(frozen=True)
class Result:
    """What became of a clip, or of a part of one that was cut.

    Attributes:
      number: of the clip in the list.
      clip: with the id and the times of the part.
      outcome: as it was saved.
      record: the file of the record; there if it is kept.
    """

    number: int
    clip: Clip
    outcome: dict[str, Any]
    record: Path

    @property
    def is_kept(self) -> bool:
        return "filter" not in self.outcome


def results_of(work: WorkFolder, clips: Iterable[Clip]) -> Iterator[Result]:
    """In the order of the list, once all is done."""
    for number, clip in enumerate(clips):
        outcome = work.outcome(number)
        if "parts" not in outcome:
            yield Result(number, clip, outcome, work.clip_path(number, ".record"))
            continue
        for place, part in enumerate(outcome["parts"]):
            record = work.clip_path(number, part_suffix(place))
            yield Result(number, dataclasses.replace(clip, **part["clip"]), part, record)


def finish(
    work: WorkFolder,
    clips: list[Clip],
    plan: dict[str, Any],
    *,
    shards: int | None,
    about: dict[str, Any],
    more: Callable[[list[Result]], dict[str, Any]] | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Report first, then shards and index: the index says that all is there.

    Args:
      work, clips, plan, shards: what was prepared, and how.
      about: see `make_report`.
      more: further fields of the report, asked again when the shards are there.
    """
    results = list(results_of(work, clips))
    report = make_report([r.clip for r in results], [r.outcome for r in results], about)
    report |= more(results) if more else {}
    writer.write_json(work.out / REPORT_NAME, report)
    if not report["kept"]:
        counts = ", ".join(f"{n} {name}" for name, n in report["filters"].items() if n)
        raise UserError(
            f"{work.out}: none of the {len(clips)} clips was kept ({counts}); see {REPORT_NAME}"
        )
    kept = [result for result in results if result.is_kept]
    start_s = time.monotonic()
    index = writer.write_dataset(
        work.out,
        _records(kept, plan["settings"]["size_px"]),
        settings={"layout": plan["layout"]} | plan["settings"],
        shard_bytes=_shard_bytes(kept, shards),
    )
    seconds = time.monotonic() - start_s
    megabytes = sum(result.record.stat().st_size for result in kept) / 1e6
    report |= more(results) if more else {}
    report["shards"] = {
        "megabytes": round(megabytes, 2),
        "seconds": round(seconds, 2),
        "megabytes_per_s": round(megabytes / seconds, 1),
    }
    writer.write_json(work.out / REPORT_NAME, report)
    return report, index


def _records(kept: Iterable[Result], size_px: int) -> Iterator[tuple[bytes, writer.ClipMeta]]:
    for result in kept:
        clip = result.clip
        yield (
            result.record.read_bytes(),
            writer.ClipMeta(
                clip_id=clip.clip_id,
                source=clip.source,
                identity=clip.identity,
                split=clip.split,
                size_px=size_px,
                frames=result.outcome["frames"],
            ),
        )


def _shard_bytes(kept: Iterable[Result], shards: int | None) -> int:
    if shards is None:
        return writer.SHARD_BYTES
    filled: Counter[str] = Counter()
    for result in kept:
        filled[result.clip.split] += result.record.stat().st_size
    return max(1, math.ceil(max(filled.values()) / shards))


def make_report(
    clips: list[Clip], outcomes: list[dict[str, Any]], about: dict[str, Any]
) -> dict[str, Any]:
    """`report.json`: what was kept, and each reject with its reason.

    Args:
      clips, outcomes: what was listed, and what became of each.
      about: "missing", the videos that the set's lists name in vain; "speed" of the run.
    """
    kept = [outcome for outcome in outcomes if "filter" not in outcome]
    rejected = {
        clip.name: f"{outcome['filter']}: {outcome['detail']}"
        for clip, outcome in zip(clips, outcomes, strict=True)
        if "filter" in outcome
    }
    video_s = sum(outcome["video_s"] for outcome in outcomes)
    cpu_s = sum(outcome["cpu_s"] for outcome in outcomes)
    return {
        "kept": len(kept),
        "rejected": rejected,
        "seconds": sum(outcome["frames"] for outcome in kept) / schema.FPS,
        "filters": dict(sorted(Counter(o["filter"] for o in outcomes if "filter" in o).items())),
        "notes": {
            clip.name: outcome["notes"]
            for clip, outcome in zip(clips, outcomes, strict=True)
            if outcome["notes"]
        },
        "missing": {"count": len(about["missing"]), "videos": about["missing"]},
        "sources": {
            "fps": histogram(outcome["fps"] for outcome in outcomes),
            "audio_rate_hz": histogram(outcome["audio_rate_hz"] for outcome in outcomes),
        },
        "speed": about["speed"]
        | {
            "video_s": round(video_s, 2),
            "cpu_s": round(cpu_s, 2),
            "times_real_time_per_core": round(video_s / cpu_s, 2) if cpu_s else None,
        },
    }


def histogram(values: Iterable[float]) -> dict[str, int]:
    """How often each value is there, as JSON; 0 is what could not be read."""
    return {f"{value:g}": count for value, count in sorted(Counter(values).items())}
