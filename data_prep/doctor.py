"""What is in a prepared set, and whether it is whole: the facts behind `talkjax doctor`.

Every record is read, its hash compared with the index and its fields with the schema. What
breaks training is a problem; what a person should look at is a warning.
"""

import dataclasses
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.coarse_sync import ClipFeatures, CoarseSync, clip_features, coarse_sync
from data_prep.layouts import SPLITS, WITH_WORDS
from data_prep.sync_check import Heard, Listener, SyncRules, apart, refusal, spread, sync_summary
from data_prep.workfolder import REPORT_NAME
from talkjax.data import schema
from talkjax.data.source import FolderSource, read_index
from talkjax.errors import UserError

# A frame's sound below this counts as silence; a room with a quiet microphone is louder.
QUIET_DBFS = -50.0
# A clip with more of it has little to learn from.
MOSTLY_QUIET = 0.8
# Lags that a set may have without a warning; the check itself is no finer.
MAX_LAG_FRAMES = 2
# What is read of report.json.
REPORT_KEYS = ("kept", "filters", "notes", "sources")
# Clips for the coarse A/V check; more add time and no certainty.
SYNC_CLIPS = 64


@dataclasses.dataclass(frozen=True)
class ClipFacts:
    """What was measured of one clip.

    Attributes:
      content: SHA-256 of pictures and sound, without the names.
      face_px: median width of the face in the source.
      loudness_dbfs: root mean square of the sound.
      quiet: share of the frames whose sound is below QUIET_DBFS.
      has_words: whether its words or their text are known.
    """

    clip_id: str
    split: str
    identity: str
    seconds: float
    content: str
    face_px: float
    loudness_dbfs: float
    quiet: float
    has_words: bool


@dataclasses.dataclass(frozen=True)
class SyncQuestion:
    """A critic that judges every clip, what is wanted of its verdicts, and who it is."""

    listener: Listener
    rules: SyncRules
    identity: Mapping[str, Any]


@dataclasses.dataclass
class Examination:
    """All facts of a set, collected clip by clip.

    Attributes:
      heard: the critic's verdicts by clip, None of those too short for one; {} without a critic.
      question: what it was asked.
    """

    folder: Path
    index: dict[str, Any]
    clips: list[ClipFacts] = dataclasses.field(default_factory=list)
    problems: list[str] = dataclasses.field(default_factory=list)
    sync_features: list[ClipFeatures] = dataclasses.field(default_factory=list)
    sync: CoarseSync | None = None
    report: dict[str, Any] | None = None
    heard: dict[str, Heard | None] = dataclasses.field(default_factory=dict)
    question: SyncQuestion | None = None


def examine(folder: Path, *, on_record=None, question: SyncQuestion | None = None) -> Examination:
    """Reads a whole set.

    Args:
      folder: the data set.
      on_record: called with each record that can be read, in the order of the index.
      question: for a critic, about each of them; what its rules reject is a problem.

    Raises:
      UserError: if the folder has no readable index, or the report of an older version. What is
        wrong beyond that is a problem in the result.
    """
    found = Examination(folder, read_index(folder), report=_report(folder), question=question)
    total = len(found.index["clips"])
    step = max(1, -(-total // SYNC_CLIPS))
    for number, record in enumerate(_records(found)):
        if record is None:
            continue
        found.clips.append(clip_facts(record))
        if number % step == 0:
            found.sync_features.append(clip_features(record))
        if question is not None:
            _ask(question, record, found)
        if on_record is not None:
            on_record(record)
    found.sync = coarse_sync(found.sync_features)
    found.problems += _repeated_across_splits(found.clips)
    if found.report is not None and found.report["kept"] != total:
        found.problems.append(
            f"{folder / REPORT_NAME}: kept {found.report['kept']} clips, the index has {total}"
        )
    return found


def _ask(question: SyncQuestion, record: schema.Record, found: Examination) -> None:
    is_long = record.num_frames >= question.listener.least_frames
    heard = question.listener(record) if is_long else None
    found.heard[record.clip_id] = heard
    refused = heard and refusal(heard, question.rules)
    if refused:
        found.problems.append(f"{record.clip_id}: {': '.join(refused)}")


def _report(folder: Path) -> dict[str, Any] | None:
    """The report of `prepare`, or None if there is none."""
    file = folder / REPORT_NAME
    if not file.is_file():
        return None
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{file}: is no JSON ({error}); prepare the data again") from error
    missing = [key for key in REPORT_KEYS if key not in report]
    if missing:
        raise UserError(
            f"{file}: has no {' or '.join(missing)}: an older version made this set; prepare it "
            "again"
        )
    return report


def clip_facts(record: schema.Record) -> ClipFacts:
    """Measures one record."""
    content = hashlib.sha256(record.audio_i16.tobytes())
    for jpeg in record.frames_jpeg:
        content.update(jpeg)
    samples = record.audio_i16.astype(np.float64).reshape(record.num_frames, -1) / 32768
    power = (samples**2).mean(axis=1)
    box = record.box_xyxy_px
    return ClipFacts(
        clip_id=record.clip_id,
        split=record.split,
        identity=record.identity,
        seconds=record.seconds,
        content=content.hexdigest(),
        face_px=float(np.median(box[:, 2] - box[:, 0])),
        loudness_dbfs=_dbfs(float(power.mean())),
        quiet=float(np.mean(power < 10 ** (QUIET_DBFS / 10))),
        has_words=bool(record.words) or "transcript" in record.texts,
    )


def summary(found: Examination) -> dict[str, Any]:
    """The facts as JSON: {"ok", "problems", "warnings", ...}."""
    clips = found.clips
    return {
        "folder": str(found.folder),
        "ok": not found.problems,
        "problems": found.problems,
        "warnings": warnings(found),
        "clips": len(clips),
        "seconds": round(sum(clip.seconds for clip in clips), 2),
        "identities": len({clip.identity for clip in clips}),
        "splits": {split: _split_summary(clips, split) for split in SPLITS},
        "settings": found.index["settings"],
        "rejected": None if found.report is None else found.report["filters"],
        "sources": None if found.report is None else found.report["sources"],
        "without_words": sum(not clip.has_words for clip in clips),
        "clips_with_notes": None if found.report is None else len(found.report["notes"]),
        "clip_seconds": spread(clip.seconds for clip in clips),
        "face_px": spread(clip.face_px for clip in clips),
        "loudness_dbfs": spread(clip.loudness_dbfs for clip in clips),
        "quiet_fraction": spread(clip.quiet for clip in clips),
        "duplicates": _duplicates(clips),
        "sync": _sync_summary(found),
        "coarse_sync": None if found.sync is None else dataclasses.asdict(found.sync),
    }


def warnings(found: Examination) -> list[str]:
    """What a person should look at."""
    lines = []
    counts = Counter(clip.split for clip in found.clips)
    lines += [f"split {split} has no clips" for split in SPLITS if not counts[split]]
    lines += [f"{' and '.join(group)} are the same clip" for group in _duplicates(found.clips)]
    quiet = [clip.clip_id for clip in found.clips if clip.quiet > MOSTLY_QUIET]
    if quiet:
        lines.append(
            f"{len(quiet)} clips are silent for more than {MOSTLY_QUIET:.0%}, first {quiet[0]}"
        )
    settings = found.index["settings"]
    wordless = [clip.clip_id for clip in found.clips if not clip.has_words]
    if wordless and "layout" in settings and settings["layout"] in WITH_WORDS:
        lines.append(
            f"{len(wordless)} clips have no words, which layout {settings['layout']} comes with, "
            f"first {wordless[0]}; were their word files found?"
        )
    lines += _shifted_as_a_whole(found.heard)
    sync = found.sync
    if sync is not None and sync.is_clear and abs(sync.lag_frames) > MAX_LAG_FRAMES:
        later = "picture" if sync.lag_frames > 0 else "sound"
        lines.append(
            f"the {later} seems {abs(sync.lag_frames)} frames "
            f"({abs(sync.lag_frames) / schema.FPS:.2f} s) late over the whole set (coarse check)"
        )
    elif sync is not None and not sync.is_clear:
        lines.append(
            "the coarse A/V check finds no clear lag: lips and sound may not belong together"
        )
    return lines


def _shifted_as_a_whole(heard: Mapping[str, Heard | None]) -> list[str]:
    """A warning where most clips have one and the same offset, and it is not zero."""
    offsets = Counter(verdict.offset_frames for verdict in heard.values() if verdict)
    if not offsets:
        return []
    offset, count = offsets.most_common(1)[0]
    if not offset or 2 * count <= offsets.total():
        return []
    return [
        f"by the critic {apart(offset)} in {count} of {offsets.total()} clips: the set seems "
        "shifted as a whole"
    ]


def _sync_summary(found: Examination) -> dict[str, Any] | None:
    question = found.question
    if question is None:
        return None
    return sync_summary(found.heard, question.rules, identity=question.identity)


def _records(found: Examination) -> Iterator[schema.Record | None]:
    """Each clip of the index; None, with a problem noted, for one that cannot be used."""
    for split in found.index["splits"]:
        try:
            source = FolderSource(found.folder, split)
        except UserError as error:
            found.problems.append(str(error))
            continue
        for number, clip in enumerate(source.clips):
            try:
                source.check(number)
                record = source[number]
                schema.validate(record)
                _same_as_index(record, clip)
            except ValueError as error:
                found.problems.append(str(error))
                yield None
            else:
                yield record


def _same_as_index(record: schema.Record, clip: Any) -> None:
    for name, got in (
        ("clip_id", record.clip_id),
        ("split", record.split),
        ("identity", record.identity),
        ("frames", record.num_frames),
    ):
        if got != getattr(clip, name):
            raise UserError(
                f"{clip.clip_id}: {name} is {got}, the index says {getattr(clip, name)}"
            )


def _duplicates(clips: Iterable[ClipFacts]) -> list[list[str]]:
    groups = defaultdict(list)
    for clip in clips:
        groups[clip.content].append(clip.clip_id)
    return [group for group in groups.values() if len(group) > 1]


def _repeated_across_splits(clips: list[ClipFacts]) -> list[str]:
    """A clip that is trained on and tested on makes every number a lie."""
    by_id = {clip.clip_id: clip for clip in clips}
    return [
        f"{' and '.join(group)} are the same clip in different splits; remove one"
        for group in _duplicates(clips)
        if len({by_id[name].split for name in group}) > 1
    ]


def _split_summary(clips: list[ClipFacts], split: str) -> dict[str, Any]:
    own = [clip for clip in clips if clip.split == split]
    elsewhere = {clip.identity for clip in clips if clip.split != split}
    identities = {clip.identity for clip in own}
    return {
        "clips": len(own),
        "seconds": round(sum(clip.seconds for clip in own), 2),
        "identities": len(identities),
        "identities_also_in_other_splits": len(identities & elsewhere),
    }


def _dbfs(power: float) -> float:
    return 10 * float(np.log10(max(power, 1e-12)))
