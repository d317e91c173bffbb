"""What `report.json` of `prepare` says beside what was kept and rejected (`assembly`)."""

import os
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from data_prep.assembly import Result, histogram
from data_prep.outcome import FILTERS, TRIMS
from data_prep.sync_check import Heard, SyncCheck, sync_summary


class Meter:
    """Time that passes: on the wall, and of processors in this process and those it waited for.

    Args:
      whole_process: CPU time counts from the start of the process, not from now.
    """

    def __init__(self, *, whole_process: bool = False):
        self._start_s = time.monotonic()
        self._start_cpu_s = 0.0 if whole_process else _cpu_s()

    def read(self) -> tuple[float, float]:
        """(wall, CPU) seconds so far."""
        return time.monotonic() - self._start_s, _cpu_s() - self._start_cpu_s


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def about_results(results: Sequence[Result]) -> dict[str, Any]:
    """Counts over what became of the clips."""
    kept = [result for result in results if result.is_kept]
    rejects = Counter(result.outcome["filter"] for result in results if not result.is_kept)
    trimmed = Counter(cause for result in kept for cause in result.outcome["trimmed"])
    # A source of many clips is one video.
    sources = {result.clip.source: result.outcome for result in reversed(results)}
    parts = Counter(result.number for result in results)
    return {
        "filters": {name: rejects[name] for name in FILTERS},
        "trimmed": {name: trimmed[name] for name in TRIMS},
        "without_words": sum(not result.clip.words_source for result in kept),
        "cut": {
            "clips": sum(count > 1 for count in parts.values()),
            "parts": sum(count for count in parts.values() if count > 1),
        },
        "sources": {
            name: histogram(outcome[name] for outcome in sources.values())
            for name in ("fps", "audio_rate_hz")
        },
    }


def about_splits(results: Sequence[Result]) -> dict[str, Any]:
    """How many keys of kept clips the split was decided by (0: it is published), what moved."""
    clips = [result.clip for result in results if result.is_kept]
    moved = {c.split_key: f"{c.moved_from} -> {c.split}" for c in clips if c.moved_from}
    return {"keys": len({clip.split_key for clip in clips} - {""}), "moved": moved}


def about_sync(results: Sequence[Result], check: SyncCheck) -> dict[str, Any]:
    """What the critic heard (`sync_summary`), and the clips whose sound was moved, with frames."""
    said = {r.clip.name: r.outcome["sync"] for r in results if "sync" in r.outcome}
    heard = {name: Heard.from_json(verdict) if verdict else None for name, verdict in said.items()}
    moves = {name: verdict["moved_frames"] for name, verdict in said.items() if verdict}
    return sync_summary(heard, check.rules, identity=check.identity) | {
        "moved": {name: frames for name, frames in moves.items() if frames}
    }


def speed(
    results: Sequence[Result], meter: Meter, *, fresh: set[int], workers: int, runner: str
) -> dict[str, Any]:
    """How fast this run was.

    Args:
      results: of all clips.
      meter: of the whole command.
      fresh: numbers of the clips that this run prepared; a resumed run found others done.
      workers, runner: as asked for.
    """
    own = [result.outcome for result in results if result.number in fresh]
    video_s = sum(outcome["video_s"] for outcome in own)
    clips_cpu_s = sum(outcome["cpu_s"] for outcome in own)
    wall_s, cpu_s = meter.read()
    # Workers of Beam may be no children of this process, or on other machines.
    cpu_s = max(cpu_s, clips_cpu_s)
    return {
        "workers": workers,
        "runner": runner,
        "video_s": round(video_s, 2),
        "wall_s": round(wall_s, 2),
        "cpu_s": round(cpu_s, 2),
        "clips_cpu_s": round(clips_cpu_s, 2),
        "times_real_time_per_core": round(video_s / cpu_s, 2),
        "times_real_time_per_core_by_wall": round(video_s / (wall_s * workers), 2),
    }
