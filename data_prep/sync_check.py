"""What a sync critic says of prepared clips, and what follows: keep, reject, or move the sound.

The critic comes from outside as a `CriticSource`: preparation knows no nets, and loads none
unless a critic is asked for. A verdict is an offset, positive when the picture is late, and a
confidence in the critic's own unit.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np

from data_prep.outcome import Kept, Reject
from talkjax.data.schema import FPS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME, Record
from talkjax.errors import UserError
from talkjax.ops.mel import log_mel

FULL_SCALE = 32768
# The search ends at 15: what is best there may lie beyond, so it cannot be put right.
MAX_FIX_FRAMES = 14
# Sound that is less than 4 ms off stays where it is: to move it costs a frame.
LEAST_FIX_FRAMES = 0.1
# How many of the worst a report names.
WORST = 5


@dataclasses.dataclass(frozen=True)
class Heard:
    """The verdict on a clip.

    Attributes:
      offset_frames: the shift that fits best, at 25 fps; positive when the picture is late.
      confidence: how far it stands out, in the critic's distances; 4 decimals, as reported.
      fraction_frames: what is to be added to the offset, -0.5 to 0.5. Cameras and microphones are
        not apart by whole frames: in GRID by half a frame (standard deviation).
    """

    offset_frames: int
    confidence: float
    fraction_frames: float = 0.0

    @property
    def fine_offset_frames(self) -> float:
        """The offset with its fraction, 2 decimals."""
        return round(self.offset_frames + self.fraction_frames, 2)

    def as_json(self) -> dict[str, Any]:
        """What reports say of a clip."""
        return {
            "offset_frames": self.offset_frames,
            "fine_offset_frames": self.fine_offset_frames,
            "confidence": self.confidence,
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "Heard":
        """The inverse of `as_json`."""
        fraction = round(said["fine_offset_frames"] - said["offset_frames"], 2)
        return cls(said["offset_frames"], said["confidence"], fraction)


class Listener(Protocol):
    """A critic at work.

    Attributes:
      least_frames: shorter clips get no verdict.
    """

    least_frames: int

    def __call__(self, record: Record) -> Heard: ...


class CriticSource(Protocol):
    """A stored critic; can be pickled and hashed, so that each process opens it once."""

    def open(self) -> Listener: ...


@dataclasses.dataclass(frozen=True)
class SyncRules:
    """What becomes of a clip by its verdict.

    Attributes:
      min_confidence: with less a clip is rejected (sync_confidence); None rejects none.
      max_offset_frames: further apart it is rejected (sync_offset); None rejects none.
      fix_offset: move the sound of the others by their offset.
    """

    min_confidence: float | None = None
    max_offset_frames: int | None = None
    fix_offset: bool = False

    def __post_init__(self) -> None:
        if self.min_confidence is not None and not self.min_confidence >= 0:
            raise UserError(f"min_confidence: got {self.min_confidence}, want at least 0")
        most = self.max_offset_frames
        if most is not None and not 0 <= most <= MAX_FIX_FRAMES:
            raise UserError(f"max_offset_frames: got {most}, want 0 to {MAX_FIX_FRAMES}")
        if self.fix_offset and self.min_confidence is None:
            raise UserError(
                "fix_offset: got no min_confidence, want one, since a guess would put a good clip "
                "wrong; see with `talkjax doctor --critic` which confidence the good clips have"
            )

    @property
    def offset_limit(self) -> int | None:
        """The largest offset that is not rejected."""
        if self.max_offset_frames is None and self.fix_offset:
            return MAX_FIX_FRAMES
        return self.max_offset_frames


@dataclasses.dataclass(frozen=True)
class SyncCheck:
    """A critic, what follows from its verdicts, and who it is.

    Attributes:
      critic: opened once in each worker.
      rules: see `SyncRules`.
      identity: of the weights, as JSON; other weights make another data set. Where they lie,
        under "checkpoint", does not.
    """

    critic: CriticSource
    rules: SyncRules
    identity: Mapping[str, Any] = dataclasses.field(compare=False)

    def settings(self) -> dict[str, Any]:
        """What decides the records, for plan and index."""
        who = {name: value for name, value in self.identity.items() if name != "checkpoint"}
        return {"critic": who} | dataclasses.asdict(self.rules)


def refusal(heard: Heard, rules: SyncRules) -> tuple[str, str] | None:
    """(filter, what was found and is wanted) of a clip that the rules reject, else None."""
    least, most = rules.min_confidence, rules.offset_limit
    if least is not None and heard.confidence < least:
        return "sync_confidence", (
            f"sync confidence {heard.confidence:.4f} (offset {heard.offset_frames:+d}), want at "
            f"least {least:g}"
        )
    if most is not None and abs(heard.offset_frames) > most:
        return "sync_offset", (
            f"{apart(heard.offset_frames)} (confidence {heard.confidence:.4f}), want at most {most}"
        )
    return None


def apart(offset_frames: float) -> str:
    """An offset in words."""
    count = round(abs(offset_frames), 2)
    late = "picture" if offset_frames > 0 else "sound"
    return f"the {late} is {count:g} frame{'' if count == 1 else 's'} late"


def checked(
    kept: Kept, listener: Listener, rules: SyncRules, *, min_seconds: float
) -> tuple[Kept | Reject, dict[str, Any]]:
    """Asks the critic about a clip.

    Args:
      kept: a clip that passed all other filters.
      min_seconds: what a clip must have left when it was cut.

    Returns:
      What becomes of it, and what was heard (`Heard.as_json`), with "moved_frames"; {} of a
      clip too short for a verdict, which is kept with a note.
    """
    record, about = kept.record, kept.about
    if record.num_frames < listener.least_frames:
        return _noted(kept, _too_short(record.num_frames, listener.least_frames)), {}
    heard = listener(record)
    said = heard.as_json() | {"moved_frames": 0}
    refused = refusal(heard, rules)
    if refused:
        return Reject(*refused, about), said
    offset_frames = heard.fine_offset_frames
    if not rules.fix_offset or abs(offset_frames) < LEAST_FIX_FRAMES:
        return kept, said
    left = record.num_frames - math.ceil(abs(offset_frames))
    if left < min_seconds * FPS:
        detail = f"too short: {left / FPS:.2f} s are left where {apart(offset_frames)}"
        return Reject("too_short", f"{detail}, want at least {min_seconds:g} s", about), said
    note = (
        f"{apart(offset_frames)} (critic, confidence {heard.confidence:.4f}): sound moved, "
        f"{left} of {record.num_frames} frames kept"
    )
    about = dataclasses.replace(about, trimmed=(*about.trimmed, "sync_offset"))
    fixed = Kept(moved(record, offset_frames), about)
    return _noted(fixed, note), said | {"moved_frames": offset_frames}


def _too_short(frames: int, least: int) -> str:
    return f"too short for a verdict of the critic: {frames} frames, want {least}"


def _noted(kept: Kept, note: str) -> Kept:
    about = dataclasses.replace(kept.about, notes=(*kept.about.notes, note))
    return dataclasses.replace(kept, about=about)


def moved(record: Record, offset_frames: float) -> Record:
    """The record with picture and sound in step, cut where one of the two would be missing.

    Args:
      record: without labels, as `prepare` makes it.
      offset_frames: by how much its picture is late; negative: its sound. Fractions count: the
        sound is moved by samples, and the rest of a frame is cut.

    Raises:
      ValueError: if nothing would be left, or there are labels, which have clocks of their own.
    """
    late_samples = round(offset_frames * SAMPLES_PER_FRAME)
    cut_frames = -(-abs(late_samples) // SAMPLES_PER_FRAME)
    left = record.num_frames - cut_frames
    if left < 1 or record.labels:
        raise ValueError(
            f"{record.clip_id}: cannot move the sound by {offset_frames:g} of {record.num_frames} "
            f"frames, with labels {sorted(record.labels)}"
        )
    first_picture = cut_frames if late_samples > 0 else 0
    shown = slice(first_picture, first_picture + left)
    first_sound = first_picture * SAMPLES_PER_FRAME - late_samples
    audio_i16 = record.audio_i16[first_sound : first_sound + left * SAMPLES_PER_FRAME]
    words = _words_within(record.words, first_sound / SAMPLE_RATE_HZ, left / FPS)
    texts = dict(record.texts)
    if len(words) < len(record.words) and "transcript" in texts:
        texts["transcript"] = " ".join(word for _, _, word in words)
    return dataclasses.replace(
        record,
        frames_jpeg=record.frames_jpeg[shown],
        frame_times_s=record.frame_times_s[shown],
        audio_i16=audio_i16,
        mel=log_mel(audio_i16.astype(np.float32) / FULL_SCALE).astype(np.float16),
        landmarks_xy_px=record.landmarks_xy_px[shown],
        box_xyxy_px=record.box_xyxy_px[shown],
        crop_to_source=record.crop_to_source[shown],
        words=words,
        texts=texts,
    )


def _words_within(
    words: tuple[tuple[float, float, str], ...], first_s: float, length_s: float
) -> tuple[tuple[float, float, str], ...]:
    """Words that reach into a stretch of the sound, on its clock."""
    return tuple(
        (max(start - first_s, 0.0), min(end - first_s, length_s), word)
        for start, end, word in words
        if end > first_s and start < first_s + length_s
    )


def sync_summary(
    clips: Mapping[str, Heard | None], rules: SyncRules, *, identity: Mapping[str, Any]
) -> dict[str, Any]:
    """All verdicts of a set, as JSON.

    Args:
      clips: {name: verdict, or None of a clip too short for one}.
      rules: what was asked for.
      identity: of the critic.

    Returns:
      "critic", "rules", "measured", "too_short"; "offsets" {frames: clips}; "fine_offset_frames"
      and "confidence" as quantiles (None without a verdict); "least_confident" and
      "furthest_off", the worst clips; "clips" {name: verdict}.
    """
    heard = {name: verdict for name, verdict in clips.items() if verdict is not None}
    offsets = Counter(verdict.offset_frames for verdict in heard.values())
    doubtful = sorted(heard, key=lambda name: (heard[name].confidence, name))
    far = sorted(
        (name for name in heard if heard[name].offset_frames),
        key=lambda name: (-abs(heard[name].offset_frames), name),
    )
    return {
        "critic": dict(identity),
        "rules": dataclasses.asdict(rules),
        "measured": len(heard),
        "too_short": len(clips) - len(heard),
        "offsets": {f"{offset:+d}": offsets[offset] for offset in sorted(offsets)},
        "fine_offset_frames": spread(verdict.fine_offset_frames for verdict in heard.values()),
        "confidence": spread(verdict.confidence for verdict in heard.values()),
        "least_confident": doubtful[:WORST],
        "furthest_off": far[:WORST],
        "clips": {name: verdict.as_json() for name, verdict in heard.items()},
    }


def spread(values: Iterable[float]) -> dict[str, float] | None:
    """Least, 5, 50, 95 per cent and most; None of nothing."""
    array = np.array(list(values))
    if not len(array):
        return None
    quantiles = np.quantile(array, [0, 0.05, 0.5, 0.95, 1])
    names = ("least", "low_5_percent", "median", "high_5_percent", "most")
    return {name: round(float(value), 3) for name, value in zip(names, quantiles, strict=True)}
