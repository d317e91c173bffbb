"""Lips of every row against the lips that the row is judged by, on one clip."""

import collections
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from talkjax.arrays import Bool, Float
from talkjax.evals import baselines, ground_truth, landmarks
from talkjax.evals.intervals import SeriesPair
from talkjax.evals.landmarks import LipSeries
from talkjax.evals.lip_reading import Spoken, WordRead

# Rows with a comparison for each voice that the face was given.
PER_VOICE = (
    "swapped_voice_vs_face",
    "swapped_voice_vs_voice",
    "base_rate",
    "linear_swapped_vs_face",
)
NAMES = ("opening", "width")


@dataclasses.dataclass
class ClipResult:
    """values: row -> key -> number; pairs: row -> series, as `report.POOLED` -> (pred, true) of
    each voice (one where the row has but one); read: row -> words, as a lip reader reads them."""

    values: dict[str, dict[str, float]]
    pairs: dict[str, dict[str, list[SeriesPair]]]
    read: dict[str, tuple[WordRead, ...]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Sound:
    """The voice of a clip: mel (s, m), its samples (n,), which of its frames are silent (t,), what
    its labels say, and its words, where an alignment is known."""

    mel: np.ndarray
    audio_i16: np.ndarray
    silent: np.ndarray
    known: ground_truth.Known | None
    words: Spoken = ()


@dataclasses.dataclass(frozen=True)
class Seen:
    """What a face does on some frames.

    lips: over the clip's median eye distance; framewise: over each frame's own.
    labelled: all that the clip has labels for; {} without labels.
    """

    lips: LipSeries
    framewise: LipSeries
    labelled: ground_truth.Series


@dataclasses.dataclass
class Measured:
    """A clip's values so far and what is seen of it.

    seen: by what the frames are: "truth" and the rows that have a picture.
    swapped: by the clip whose voice the face was given.
    read: by row, words as a lip reader reads them; {} without one.
    """

    values: dict[str, dict[str, float]]
    seen: dict[str, Seen]
    swapped: dict[str, Seen]
    read: dict[str, tuple[WordRead, ...]]


def see(landmarks_xy_px: Float[np.ndarray, "t 68 2"], known: ground_truth.Known | None) -> Seen:
    """What the landmarks do, and what the labels of their clip ask for."""
    return Seen(
        lips=landmarks.lip_series(landmarks_xy_px),
        framewise=landmarks.lip_series(landmarks_xy_px, framewise=True),
        labelled={} if known is None else ground_truth.seen(landmarks_xy_px, known),
    )


def judged_frames(count: int, reference_frame: int) -> Bool[np.ndarray, " t"]:
    """All frames but the reference, which the model is given."""
    return np.arange(count) != reference_frame


def put(values: dict[str, float], key: str, value: float | None) -> None:
    """A measure that has no meaning here is left out, never zero."""
    if value is not None:
        values[key] = float(value)


def compare_lips(
    clip_id: str,
    measured: Mapping[str, Measured],
    sounds: Mapping[str, Sound],
    voices: Sequence[str],
    *,
    linear: baselines.LinearLips | None,
    reference_frame: int,
) -> ClipResult:
    """Opening and width of every row against the lips it is judged by, then the labels.

    Args:
      voices: the clips whose voices this clip was given.
    """
    own, sound = measured[clip_id], sounds[clip_id]
    truth = own.seen["truth"]
    asked = collections.defaultdict(list)
    for row, seen in own.seen.items():
        if row != "truth":
            asked[row].append((seen, truth))

    def predicted(heard: Sound) -> Seen:
        lips = linear.predict(heard.mel, len(heard.silent))
        return Seen(lips=lips, framewise=lips, labelled=vars(lips) if sound.known else {})

    if linear is not None:
        asked["linear"].append((predicted(sound), truth))
    for voice in voices:
        asked["swapped_voice_vs_face"].append((own.swapped[voice], truth))
        if linear is not None:
            asked["linear_swapped_vs_face"].append((predicted(sounds[voice]), truth))
        if voice in measured:  # its own truth could be measured
            other = measured[voice].seen["truth"]
            asked["swapped_voice_vs_voice"].append((own.swapped[voice], other))
            asked["base_rate"].append((truth, other))
    values = {row: dict(v) for row, v in own.values.items()}
    result = ClipResult(values=values, pairs={}, read=own.read)
    for row, compared in asked.items():
        _add(result, row, [_compare(*both, reference_frame=reference_frame) for both in compared])
    if sound.known is not None:
        known = [sounds[voice].known for voice in voices]
        for row, found in _labelled(asked, sound.known, known, reference_frame).items():
            _add(result, row, found)
    return result


# Values by key and pairs by series, of one comparison.
_Compared = tuple[dict[str, float], dict[str, SeriesPair]]


def _add(result: ClipResult, row: str, compared: Sequence[_Compared]) -> None:
    """Adds a row's comparisons: the mean of their values, and all their pairs."""
    values, pairs = (list(parts) for parts in zip(*compared, strict=True))
    result.values.setdefault(row, {}).update(_gathered(values, lambda v: float(np.mean(v))))
    result.pairs.setdefault(row, {}).update(_gathered(pairs, list))


def _gathered(found: Iterable[Mapping], how: Callable) -> dict:
    lists = collections.defaultdict(list)
    for one in found:
        for key, value in one.items():
            lists[key].append(value)
    return {key: how(values) for key, values in lists.items()}


def _compare(pred: Seen, target: Seen, *, reference_frame: int) -> _Compared:
    """As far as both reach, without the reference frame."""
    both = min(len(pred.lips.opening), len(target.lips.opening))
    judged = judged_frames(both, reference_frame)

    def pair(name: str, one: LipSeries, other: LipSeries) -> SeriesPair:
        return getattr(one, name)[:both][judged], getattr(other, name)[:both][judged]

    values, pairs = {}, {}
    for name in NAMES:
        pairs[name] = pair(name, pred.lips, target.lips)
        followed = landmarks.following(*pairs[name])
        put(values, f"{name}_correlation", followed.correlation)
        values[f"{name}_error"] = followed.error
        framewise = pair(name, pred.framewise, target.framewise)
        pairs[f"{name}_framewise"] = framewise
        put(values, f"{name}_correlation_framewise", landmarks.correlation(*framewise))
    lag = landmarks.lag_frames(pred.lips.opening[:both], target.lips.opening[:both])
    put(values, "lag_ms", None if lag is None else lag * landmarks.MS_PER_FRAME)
    return values, pairs


def _labelled(
    asked: Mapping[str, Sequence[tuple[Seen, Seen]]],
    known: ground_truth.Known,
    voices: Sequence[ground_truth.Known | None],
    reference_frame: int,
) -> dict[str, list[_Compared]]:
    """Every row against the labels, by row."""
    seen = {row: compared[0][0].labelled for row, compared in asked.items() if row not in PER_VOICE}
    seen["truth"] = asked["ground_truth"][0][1].labelled
    found: dict[str, list[_Compared]] = collections.defaultdict(list)
    for place, voice in enumerate(voices or [None]):
        rows = seen if place == 0 else {"truth": seen["truth"]}
        if voices:
            swapped = asked["swapped_voice_vs_face"][place][0]
            rows = rows | {"shuffled_audio": swapped.labelled}
        if "linear_swapped_vs_face" in asked:
            predicted = asked["linear_swapped_vs_face"][place][0]
            rows = rows | {"linear_swapped_vs_face": predicted.labelled}
        values, pairs = ground_truth.compare_rows(
            rows, known, voice, reference_frame=reference_frame
        )
        for row in values:
            if place == 0 or row in PER_VOICE:
                found[row].append((values[row], pairs.get(row, {})))
    return found
