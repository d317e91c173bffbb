"""The pipeline: list -> prepare_clip over local processes -> shards, index.json, report.json.

Each clip's result is stored as it comes (`workfolder`), then all are copied into shards in the
order of the list. So the shards are the same for any number of workers, a killed run goes on
where it was, and memory does not grow with the set; the price is twice the disk for a moment.
"""

import dataclasses
import functools
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2

from data_prep.assembly import Result, finish, is_same_plan, results_of
from data_prep.clip import prepare_parts, warm_up
from data_prep.layouts import (
    DEFAULT_FRACTIONS,
    Clip,
    Fractions,
    fill_splits,
    list_clips,
    list_missing,
    passed_over,
)
from data_prep.outcome import Kept, Reject
from data_prep.pool import Crashed, run_tasks
from data_prep.report import Meter, about_results, about_splits, about_sync, speed
from data_prep.settings import Settings
from data_prep.sync_check import CriticSource, Listener, SyncCheck, checked
from data_prep.workfolder import PLAN_NAME, REPORT_NAME, WorkFolder, plan_of, write_bytes
from talkjax.data import schema, writer
from talkjax.errors import UserError
from talkjax.progress import Progress

RUNNERS = ("local", "beam")
CRASHED = Reject("crashed", "the process that read it died twice; the file breaks the decoder")


@dataclasses.dataclass(frozen=True)
class Task:
    """One clip for a worker."""

    number: int
    clip: Clip
    settings: Settings
    out: str
    sync: SyncCheck | None = None


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
    sync: SyncCheck | None = None,
    overwrite: bool = False,
    quiet: bool = False,
    meter: Meter | None = None,
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
      sync: a critic that judges each clip, and what follows; None asks none.
      overwrite: starts again where settings or sources differ from an earlier run.
      quiet: no progress.
      meter: started with the command; None takes the time of this call.

    Raises:
      UserError: if there are no clips, none is kept, or `out` holds something else.
    """
    if workers < 1 or (shards is not None and shards < 1):
        raise UserError(f"workers, shards: got {workers}, {shards}; want at least 1")
    meter = meter or Meter()
    run = _runner(runner, beam_options)
    clips = list_clips(layout, source, fractions=fractions, split_by=split_by)
    asked = settings.as_json() | {
        "shards": shards,
        "val_fraction": fractions.val,
        "test_fraction": fractions.test,
        "split_by": split_by,
    }
    if sync is not None:
        asked |= {"sync": sync.settings()}
    plan = plan_of(layout, asked, clips)
    work = WorkFolder(out)
    same = is_same_plan(work, plan, overwrite=overwrite)
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
        tasks = [Task(number, clip, settings, str(out), sync) for number, clip in enumerate(clips)]
        todo = [task for task in tasks if work.outcome(task.number) is None]
        run(work, todo, workers=workers, quiet=quiet, total=len(tasks))
        unused = passed_over(layout, source, clips)
        clips = _settle_splits(work, layout, clips, fractions)
        how = {"fresh": {task.number for task in todo}, "workers": workers, "runner": runner}

        def more(results: list[Result]) -> dict[str, Any]:
            about = about_results(results) | {"split": about_splits(results)}
            if sync is not None:
                about |= {"sync": about_sync(results, sync)}
            return about | {"passed_over": unused, "speed": speed(results, meter, **how)}

        about = {"missing": list_missing(layout, source), "speed": {}}
        report, index = finish(work, clips, plan, shards=shards, about=about, more=more)
        work.clean()
    return Prepared(report, index, was_complete=False)


def run_task(task: Task) -> int:
    """Prepares one clip and stores its result; returns the clip's number. Runs in a worker."""
    work = WorkFolder(Path(task.out))
    parts: list[dict[str, Any]] = []
    start_s = time.process_time()
    try:
        for clip, result in prepare_parts(task.clip, task.settings):
            result, heard = _hear(result, task)
            if isinstance(result, Reject):
                outcome = {"filter": result.filter, "detail": result.detail}
            else:
                record = schema.encode(result.record)
                sha256 = hashlib.sha256(record).hexdigest()
                outcome = {"frames": result.record.num_frames, "sha256": sha256}
                work.save_part(task.number, len(parts), record)
            part = {"clip_id": clip.clip_id, "start_s": clip.start_s, "end_s": clip.end_s}
            outcome |= dataclasses.asdict(result.about) | {"clip": part} | heard
            now_s = time.process_time()
            parts.append(outcome | {"cpu_s": now_s - start_s})
            start_s = now_s
    except BaseException as error:  # a traceback alone does not tell the clip
        error.add_note(f"while preparing {task.clip.path}")
        raise
    work.save(task.number, {"parts": parts}, None)
    return task.number


def _hear(result: Kept | Reject, task: Task) -> tuple[Kept | Reject, dict[str, Any]]:
    """What the critic makes of a clip, and what the outcome notes of it; no critic, no change."""
    if task.sync is None or isinstance(result, Reject):
        return result, {}
    result, heard = checked(
        result,
        _listener(task.sync.critic),
        task.sync.rules,
        min_seconds=task.settings.min_seconds,
    )
    return result, {"sync": heard}


@functools.cache
def _listener(critic: CriticSource) -> Listener:
    """One per process: loading a critic takes longer than a clip."""
    return critic.open()


def _settle_splits(
    work: WorkFolder, layout: str, clips: list[Clip], fractions: Fractions
) -> list[Clip]:
    """The clips, so that no split is empty because its few clips were rejected.

    Only a small set is touched. The records of what moves are written again.
    """
    kept = [result for result in results_of(work, clips) if result.is_kept]
    numbers = sorted({result.number for result in kept})
    settled = fill_splits(layout, [clips[number] for number in numbers], fractions)
    now = dict(zip(numbers, settled, strict=True))
    for result in kept:
        split = now[result.number].split
        if split != result.clip.split:
            record = schema.decode(result.record.read_bytes())
            write_bytes(result.record, schema.encode(dataclasses.replace(record, split=split)))
    return [now.get(number, clip) for number, clip in enumerate(clips)]


def start_worker() -> None:
    """Workers are many, so each keeps to its own core; models are loaded once."""
    cv2.setNumThreads(1)
    warm_up()


def _runner(name: str, beam_options: Sequence[str]) -> Callable[..., None]:
    """What runs the clips that are not done yet: `_run_local` or `_run_beam`."""
    if name not in RUNNERS:
        raise UserError(f"runner: got {name!r}, want one of {' '.join(RUNNERS)}")
    if name == "beam":
        return functools.partial(_run_beam, options=beam_options)
    if beam_options:
        raise UserError(f"beam_options: got {' '.join(beam_options)}; want runner beam with them")
    return _run_local


def _run_beam(
    work: WorkFolder,
    todo: list[Task],
    *,
    workers: int,
    quiet: bool,  # Beam has a log of its own
    total: int,
    options: Sequence[str],
) -> None:
    # Imported on use: Apache Beam is an extra.
    from data_prep import beam_pipeline

    beam_pipeline.run(todo, workers=workers, options=options)


def _run_local(
    work: WorkFolder, todo: list[Task], *, workers: int, quiet: bool, total: int
) -> None:
    workers, done = min(workers, len(todo) or 1), total - len(todo)
    rejected = 0
    with Progress(total, label="prepare", done=done, at_once=workers, shown=not quiet) as progress:
        for result in run_tasks(run_task, todo, workers=workers, initializer=start_worker):
            if isinstance(result, Crashed):
                _save_crash(work, result.task)
                rejected += 1
            else:
                rejected += sum("filter" in part for part in work.outcome(result)["parts"])
            progress.step(f"{rejected} rejected")


def _save_crash(work: WorkFolder, task: Task) -> None:
    outcome = {"filter": CRASHED.filter, "detail": CRASHED.detail, "cpu_s": 0.0}
    outcome |= dataclasses.asdict(CRASHED.about) | {"clip": {}}
    work.save(task.number, {"parts": [outcome]}, None)
