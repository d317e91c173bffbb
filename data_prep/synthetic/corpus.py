"""The corpus: plans -> clips over local processes -> records in shards, or ordinary videos.

Each clip's result is stored as it comes and put in its place in the order of the numbers, as
`prepare` does: so the bytes are the same for any number of workers, and a killed run goes on
where it was.
"""

import dataclasses
import functools
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import cv2
from threadpoolctl import threadpool_limits

from data_prep.assembly import Result, finish, is_same_plan, make_report, results_of
from data_prep.layouts import Clip
from data_prep.pool import Crashed, run_tasks
from data_prep.prepare import Prepared
from data_prep.report import Meter, speed
from data_prep.synthetic import videos
from data_prep.synthetic.camera import make_record
from data_prep.synthetic.identity import sample_identity
from data_prep.synthetic.performance import Performance, perform
from data_prep.synthetic.plan import (
    ClipPlan,
    clip_at,
    identity_name,
    identity_splits,
    plan_clip,
)
from data_prep.synthetic.render import FaceRenderer
from data_prep.synthetic.seeds import generator
from data_prep.synthetic.settings import CorpusSettings
from data_prep.workfolder import REPORT_NAME, WorkFolder, make_plan
from talkjax.data import schema, writer
from talkjax.data.index import PLAN_NAME
from talkjax.errors import UserError
from talkjax.ops.mel import mel_basis
from talkjax.progress import Progress

FORMS = ("records", "video")
LAYOUT = "synthetic"
CLIPS_NAME = "clips.json"
# Faces kept ready in a worker; clips take turns over the faces.
RENDERERS_KEPT = 32


@dataclasses.dataclass(frozen=True)
class Task:
    """One clip for a worker; `form` is one of FORMS."""

    number: int
    settings: CorpusSettings
    form: str
    out: str


def synthesize(
    out: Path,
    *,
    settings: CorpusSettings,
    form: str = "records",
    workers: int = 1,
    shards: int | None = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> Prepared:
    """Makes a corpus, or goes on with one that was begun with the same settings.

    Args:
      out: the folder to write; made if missing.
      settings: what is drawn.
      form: "records": shards as `prepare` writes them, with labels; "video": mp4, wav and json
        of each clip.
      workers: processes.
      shards: about how many for the largest split; None makes them 256 MiB each.
      overwrite: starts again where an earlier run had other settings.
      quiet: no progress.

    Returns:
      The report, and the index of the shards (records) or the list of the clips (video).

    Raises:
      UserError: if `out` holds something else, or a part of the machinery is not installed.
    """
    if workers < 1 or (shards is not None and shards < 1):
        raise UserError(f"workers, shards: got {workers}, {shards}; want at least 1")
    if form not in FORMS:
        raise UserError(f"form: got {form!r}, want one of {' '.join(FORMS)}")
    meter = Meter()
    clips = [clip_at(settings, number) for number in range(settings.clips)]
    made_by = {"speech": _speech_version(), "program": _program_version()}
    asked = settings.as_json() | {"form": form, "shards": shards} | made_by
    plan = make_plan(LAYOUT, asked, clips, {})
    work = CorpusFolder(out, form)
    same = is_same_plan(work, plan, overwrite=overwrite)
    if same and work.is_complete():
        report, index = (_read(out / name) for name in (REPORT_NAME, work.last_name))
        work.clean()
        return Prepared(report, index, was_complete=True)
    with work.locked():
        if not same:
            work.erase()
            writer.write_json(out / PLAN_NAME, plan)
        tasks = [Task(number, settings, form, str(out)) for number in range(settings.clips)]
        todo = [task for task in tasks if work.outcome(task.number) is None]
        _run(work, todo, workers=workers, quiet=quiet, total=len(tasks))
        how = {"fresh": {task.number for task in todo}, "workers": workers, "runner": "local"}

        def more(results: list[Result]) -> dict[str, Any]:
            return {"speed": speed(results, meter, **how)}

        done = finish if form == "records" else _finish_videos
        about = {"missing": [], "speed": {}}
        report, index = done(work, clips, plan, shards=shards, about=about, more=more)
        work.clean()
    return Prepared(report, index, was_complete=False)


class CorpusFolder(WorkFolder):
    """The folder of a corpus: `last_name` is the file that marks it as done."""

    def __init__(self, out: Path, form: str):
        super().__init__(out)
        self.last_name = writer.INDEX_NAME if form == "records" else CLIPS_NAME

    def is_complete(self) -> bool:
        return (self.out / self.last_name).is_file() and (self.out / REPORT_NAME).is_file()

    def erase(self) -> None:
        """Also the videos that an earlier plan names."""
        (self.out / CLIPS_NAME).unlink(missing_ok=True)
        if (self.out / PLAN_NAME).is_file():
            plan = _read(self.out / PLAN_NAME)
            named = plan["clips"] if plan["layout"] == LAYOUT else ()
            for clip_id, *_ in named:
                for suffix in videos.SUFFIXES:
                    (self.out / clip_id).with_suffix(suffix).unlink(missing_ok=True)
        super().erase()


def run_task(task: Task) -> int:
    """Makes one clip and stores its result; returns the clip's number. Runs in a worker."""
    cpu_s = time.process_time()
    settings = task.settings
    plan, performance, face = _ready(settings, task.number)
    work = CorpusFolder(Path(task.out), task.form)
    record = None
    if task.form == "records":
        record = schema.encode(make_record(plan.clip, performance, face, settings))
    else:
        part = work.clip_path(task.number, "")
        part.parent.mkdir(parents=True, exist_ok=True)
        videos.write_clip(part, plan.clip, performance, face, settings)
        videos.publish(part, work.out, plan.clip)
    outcome = {
        "frames": performance.num_frames,
        "sha256": "" if record is None else hashlib.sha256(record).hexdigest(),
        "notes": [],
        "video_s": performance.num_frames / schema.FPS,
        "fps": schema.FPS,
        "audio_rate_hz": schema.SAMPLE_RATE_HZ,
        "transcript": performance.texts["transcript"],
        "cpu_s": time.process_time() - cpu_s,
    }
    work.save(task.number, outcome, record)
    return task.number


def clip_record(settings: CorpusSettings, number: int) -> schema.Record:
    """The record of one clip: a pure function of the arguments."""
    plan, performance, face = _ready(settings, number)
    return make_record(plan.clip, performance, face, settings)


def _ready(settings: CorpusSettings, number: int) -> tuple[ClipPlan, Performance, FaceRenderer]:
    plan = plan_clip(settings, number)
    return plan, perform(settings.seed, plan), renderer(settings, plan.identity_number)


def start_worker() -> None:
    """Workers are many, so each keeps to its own core."""
    cv2.setNumThreads(1)
    threadpool_limits(1)
    mel_basis()


@functools.lru_cache(maxsize=RENDERERS_KEPT)
def renderer(settings: CorpusSettings, identity_number: int) -> FaceRenderer:
    """The face of that number, the same for every size of the corpus."""
    name = identity_name(identity_number, identity_splits(settings)[identity_number])
    rng = generator(settings.seed, "identity", identity_number)
    return FaceRenderer(sample_identity(rng, name))


def _speech_version() -> str:
    """What speaks: another version may speak otherwise, so a begun corpus would not match."""
    try:
        return f"espeakng-loader {metadata.version('espeakng-loader')}"
    except metadata.PackageNotFoundError as error:
        raise UserError(
            "espeakng-loader is not installed, want it for the speech; pip install 'talkjax[synth]'"
        ) from error


def _program_version() -> str:
    """A hash of what draws and moves: a corpus must not be half of one and half of another."""
    here = Path(__file__).parent
    code = hashlib.sha256()
    for path in sorted(here.rglob("*.py")):
        code.update(path.relative_to(here).as_posix().encode() + b"\0" + path.read_bytes())
    return code.hexdigest()[:16]


def _run(work: CorpusFolder, todo: list[Task], *, workers: int, quiet: bool, total: int) -> None:
    workers, done = min(workers, len(todo) or 1), total - len(todo)
    with Progress(total, label="synth", done=done, at_once=workers, shown=not quiet) as progress:
        for result in _results(todo, workers):
            if isinstance(result, Crashed):
                raise UserError(
                    f"{work.out}: clip {result.task.number}: its process died twice (out of "
                    "memory?); run the same command again, with fewer --workers"
                )
            progress.step()


def _results(todo: list[Task], workers: int) -> Iterator[Any]:
    """As `pool.run_tasks`; a single worker is this process, which has all loaded already."""
    if workers > 1:
        yield from run_tasks(run_task, todo, workers=workers, initializer=start_worker)
        return
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with threadpool_limits(1):
            yield from map(run_task, todo)
    finally:
        cv2.setNumThreads(threads)


def _finish_videos(
    work: CorpusFolder,
    clips: list[Clip],
    plan: dict[str, Any],
    *,
    shards: int | None,  # of records only
    about: dict[str, Any],
    more: Callable[[list[Result]], dict[str, Any]],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The report, then the list of the clips, which says that all are there."""
    results = list(results_of(work, clips))
    outcomes = [result.outcome for result in results]
    report = make_report(clips, outcomes, about) | more(results)
    writer.write_json(work.out / REPORT_NAME, report)
    listing = {
        "settings": {"layout": plan["layout"]} | plan["settings"],
        "clips": [
            {
                "clip_id": clip.clip_id,
                "identity": clip.identity,
                "split": clip.split,
                "frames": outcome["frames"],
                "transcript": outcome["transcript"],
            }
            for clip, outcome in zip(clips, outcomes, strict=True)
        ],
    }
    writer.write_json(work.out / CLIPS_NAME, listing)
    return report, listing


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))
