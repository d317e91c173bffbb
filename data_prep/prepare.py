"""The pipeline: list -> prepare_clip over local processes -> shards, index.json, report.json.

Each clip's result is stored as it comes (`workfolder`), then all are copied into shards in the
order of the list. So the shards are the same for any number of workers, a killed run goes on
where it was, and memory does not grow with the set; the price is twice the disk for a moment.
"""

import dataclasses
import functools
import hashlib
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2

from data_prep.clip import Reject, prepare_clip, warm_up
from data_prep.layouts import DEFAULT_FRACTIONS, Clip, Fractions, list_clips, list_missing
from data_prep.pool import Crashed, run_tasks
from data_prep.progress import Progress
from data_prep.settings import Settings
from data_prep.workfolder import PLAN_NAME, REPORT_NAME, WorkFolder, difference, plan_of
from talkjax.data import schema, writer
from talkjax.errors import UserError

RUNNERS = ("local", "beam")
CRASHED = Reject("crashed", "the process that read it died twice; the file breaks the decoder")


@dataclasses.dataclass(frozen=True)
class Task:
    """One clip for a worker."""

    number: int
    clip: Clip
    settings: Settings
    out: str


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What `prepare` did: the report, the index, and whether there was nothing left to do."""

    report: dict[str, Any]
    index: dict[str, Any]
    was_complete: bool


def prepare(
    source: Path,
    out: Path,
    *,
    layout: str,
    settings: Settings,
    workers: int = 1,
    runner: str = "local",
    beam_options: Sequence[str] = (),
    shards: int | None = None,
    fractions: Fractions = DEFAULT_FRACTIONS,
    split_by: str = "identity",
    overwrite: bool = False,
    quiet: bool = False,
) -> Prepared:
    """Prepares a data set, or goes on with one that was begun with the same settings.

    Args:
      source: the data set's folder.
      out: the folder of shards; made if missing.
      layout: how the files lie, one of `layouts.LAYOUTS`.
      settings: how clips are cut and filtered.
      workers: processes.
      runner: "local", or "beam" for an Apache Beam pipeline (`beam_pipeline`).
      beam_options: Beam's own flags, e.g. ["--runner=FlinkRunner", "--flink_master=host:8081"].
      shards: about how many for the largest split; None makes them 256 MiB each.
      fractions, split_by: see `layouts.list_clips`.
      overwrite: starts again where settings or sources differ from an earlier run.
      quiet: no progress.

    Raises:
      UserError: if there are no clips, none is kept, or `out` holds something else.
    """
    if workers < 1 or (shards is not None and shards < 1):
        raise UserError(f"workers, shards: got {workers}, {shards}; want at least 1")
    run = _runner(runner, beam_options)
    clips = list_clips(layout, source, fractions=fractions, split_by=split_by)
    asked = settings.as_json() | {
        "shards": shards,
        "val_fraction": fractions.val,
        "test_fraction": fractions.test,
        "split_by": split_by,
    }
    plan = plan_of(layout, asked, clips)
    work = WorkFolder(out)
    same = _is_same_plan(work, plan, overwrite=overwrite)
    if same and work.is_complete():
        report, index = (
            json.loads((out / name).read_text(encoding="utf-8"))
            for name in (REPORT_NAME, writer.INDEX_NAME)
        )
        work.clean()
        return Prepared(report, index, was_complete=True)
    with work.locked():
        if not same:
            work.erase()
            writer.write_json(out / PLAN_NAME, plan)
        tasks = [Task(number, clip, settings, str(out)) for number, clip in enumerate(clips)]
        start = time.monotonic()
        run(work, tasks, workers=workers, quiet=quiet)
        wall_s = round(time.monotonic() - start, 2)
        about = {
            "missing": list_missing(layout, source),
            "speed": {"workers": workers, "runner": runner, "wall_s": wall_s},
        }
        report, index = _finish(work, clips, plan, shards=shards, about=about)
        work.clean()
    return Prepared(report, index, was_complete=False)


def run_task(task: Task) -> int:
    """Prepares one clip and stores its result; returns the clip's number. Runs in a worker."""
    cpu_s = time.process_time()
    try:
        result = prepare_clip(task.clip, task.settings)
    except BaseException as error:  # a traceback alone does not tell the clip
        error.add_note(f"while preparing {task.clip.path}")
        raise
    record = None
    if isinstance(result, Reject):
        outcome = {"filter": result.filter, "detail": result.detail}
    else:
        record = schema.encode(result.record)
        outcome = {
            "frames": result.record.num_frames,
            "sha256": hashlib.sha256(record).hexdigest(),
        }
    outcome |= dataclasses.asdict(result.about) | {"cpu_s": time.process_time() - cpu_s}
    WorkFolder(Path(task.out)).save(task.number, outcome, record)
    return task.number


def start_worker() -> None:
    """Workers are many, so each keeps to its own core; models are loaded once."""
    cv2.setNumThreads(1)
    warm_up()


def _is_same_plan(work: WorkFolder, plan: dict[str, Any], *, overwrite: bool) -> bool:
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


def _runner(name: str, beam_options: Sequence[str]) -> Callable[..., None]:
    """What runs the clips that are not done yet: `_run_local` or `_run_beam`."""
    if name not in RUNNERS:
        raise UserError(f"runner: got {name!r}, want one of {' '.join(RUNNERS)}")
    if name == "beam":
        return functools.partial(_run_beam, options=beam_options)
    if beam_options:
        raise UserError(f"beam_options: got {' '.join(beam_options)}; want runner beam with them")
    return _run_local


def _todo(work: WorkFolder, tasks: list[Task]) -> list[Task]:
    return [task for task in tasks if work.outcome(task.number) is None]


def _run_beam(
    work: WorkFolder,
    tasks: list[Task],
    *,
    workers: int,
    quiet: bool,  # Beam has a log of its own
    options: Sequence[str],
) -> None:
    # Imported on use: Apache Beam is an extra.
    from data_prep import beam_pipeline

    beam_pipeline.run(_todo(work, tasks), workers=workers, options=options)


def _run_local(work: WorkFolder, tasks: list[Task], *, workers: int, quiet: bool) -> None:
    todo = _todo(work, tasks)
    progress = Progress(len(tasks), done=len(tasks) - len(todo), quiet=quiet)
    for result in run_tasks(
        run_task, todo, workers=min(workers, len(todo) or 1), initializer=start_worker
    ):
        if isinstance(result, Crashed):
            _save_crash(work, result.task)
            progress.update(video_s=0.0, kept=False)
        else:
            outcome = work.outcome(result)
            progress.update(video_s=outcome["video_s"], kept="filter" not in outcome)
    progress.close()


def _save_crash(work: WorkFolder, task: Task) -> None:
    outcome = {"filter": CRASHED.filter, "detail": CRASHED.detail, "cpu_s": 0.0}
    outcome |= dataclasses.asdict(CRASHED.about)
    work.save(task.number, outcome, None)


def _finish(
    work: WorkFolder,
    clips: list[Clip],
    plan: dict[str, Any],
    *,
    shards: int | None,
    about: dict[str, Any],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Report first, then shards and index: the index says that all is there."""
    outcomes = [work.outcome(number) for number in range(len(clips))]
    report = make_report(clips, outcomes, about)
    writer.write_json(work.out / REPORT_NAME, report)
    if not report["kept"]:
        counts = ", ".join(f"{n} {name}" for name, n in report["filters"].items())
        raise UserError(
            f"{work.out}: none of the {len(clips)} clips was kept ({counts}); see {REPORT_NAME}"
        )
    kept = [n for n, outcome in enumerate(outcomes) if "filter" not in outcome]
    index = writer.write_dataset(
        work.out,
        _records(work, clips, outcomes, kept, plan["settings"]["size_px"]),
        settings={"layout": plan["layout"]} | plan["settings"],
        shard_bytes=_shard_bytes(work, clips, kept, shards),
    )
    return report, index


def _records(
    work: WorkFolder,
    clips: list[Clip],
    outcomes: list[dict[str, Any]],
    kept: Iterable[int],
    size_px: int,
) -> Iterator[tuple[bytes, writer.ClipMeta]]:
    for number in kept:
        clip = clips[number]
        yield (
            work.clip_path(number, ".record").read_bytes(),
            writer.ClipMeta(
                clip_id=clip.clip_id,
                source=clip.source,
                identity=clip.identity,
                split=clip.split,
                size_px=size_px,
                frames=outcomes[number]["frames"],
            ),
        )


def _shard_bytes(work: WorkFolder, clips: list[Clip], kept: list[int], shards: int | None) -> int:
    if shards is None:
        return writer.SHARD_BYTES
    filled: Counter[str] = Counter()
    for number in kept:
        filled[clips[number].split] += work.clip_path(number, ".record").stat().st_size
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
            "fps": _histogram(outcome["fps"] for outcome in outcomes),
            "audio_rate_hz": _histogram(outcome["audio_rate_hz"] for outcome in outcomes),
        },
        "speed": about["speed"]
        | {
            "video_s": round(video_s, 2),
            "cpu_s": round(cpu_s, 2),
            "times_real_time_per_core": round(video_s / cpu_s, 2) if cpu_s else None,
        },
    }


def _histogram(values: Iterable[float]) -> dict[str, int]:
    """How often each value is there, as JSON; 0 is what could not be read."""
    return {f"{value:g}": count for value, count in sorted(Counter(values).items())}
