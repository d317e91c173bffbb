"""Measures clips: every row of `baselines` on every clip, in one pass.

Knows functions only (how a clip is loaded, how frames are generated, how landmarks are found),
so that the same code judges a trained model and a stub in a test. A clip that cannot be
measured is kept under `failed` with its reason.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from talkjax.evals import baselines, ground_truth, image_quality, landmarks, motion, sync
from talkjax.evals.intervals import SeriesPair
from talkjax.evals.landmarks import LipSeries

MIN_CLIP_FRAMES = 2 * landmarks.MAX_LAG_FRAMES + 3
# How far landmarks (in worker processes) may lag behind generation.
CLIPS_IN_FLIGHT = 3


@dataclasses.dataclass(frozen=True)
class EvalClip:
    """One clip of the test split.

    Attributes:
      truth_u8: (t, 128, 128, 3) true crops at the evaluation size, RGB.
      model_u8: (t, size, size, 3) the same at the model's image size.
      mel: (s, m) of its sound.
      audio_i16: (n,) 16 kHz.
      known: what its labels say, None without labels.
    """

    truth_u8: np.ndarray
    model_u8: np.ndarray
    mel: np.ndarray
    audio_i16: np.ndarray
    known: ground_truth.Known | None = None


@dataclasses.dataclass(frozen=True)
class Tools:
    """What a run measures with.

    Attributes:
      generate: (frames_u8 t h w 3, reference_u8 h w 3, mel s m) -> u8 (t, h', w', 3).
      tracker: finds the landmarks.
      critics: by the suffix that their measures carry ("" for a judge).
      linear: the linear map, or None where it could not be fitted.
      sync_stride: every how many frames a face window is embedded.
    """

    generate: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    tracker: landmarks.LandmarkTracker
    critics: Mapping[str, sync.Critic]
    linear: baselines.LinearLips | None
    sync_stride: int


@dataclasses.dataclass
class ClipResult:
    """values: row -> key -> number; pairs: row -> series -> (pred, true), as `report.POOLED`."""

    values: dict[str, dict[str, float]]
    pairs: dict[str, dict[str, SeriesPair]]


@dataclasses.dataclass(frozen=True)
class Sound:
    """The voice of a clip: mel (s, m), which of its frames are silent (t,), what its labels say."""

    mel: np.ndarray
    silent: np.ndarray
    known: ground_truth.Known | None


@dataclasses.dataclass
class Measured:
    """A clip's values so far and what its lips do, by what the frames are.

    lips: "truth" and the rows "ground_truth", "generated", "shuffled_audio", "still_mouth".
    seen: all that these rows do that the clip has labels for; {} without labels.
    """

    values: dict[str, dict[str, float]]
    lips: dict[str, LipSeries]
    seen: dict[str, ground_truth.Series]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """results and failed (reasons) by clip; voices: clip -> the clip whose voice it got."""

    results: dict[str, ClipResult]
    failed: dict[str, str]
    voices: dict[str, str]


def evaluate_clips(
    clip_ids: Sequence[str],
    load: Callable[[str], EvalClip],
    tools: Tools,
    *,
    seed: int,
    reference_frame: int,
    on_clip_done: Callable[[], None],
) -> Evaluation:
    """Measures every clip; clips that cannot be read or measured are in `failed`."""
    sounds, failed = _read_sounds(clip_ids, load)
    for _ in failed:
        on_clip_done()
    voices = baselines.pairing(sorted(sounds), seed=seed)
    measured: dict[str, Measured] = {}
    pending: list[tuple[str, Callable[[], Measured]]] = []

    def finish(count_left: int) -> None:
        while len(pending) > count_left:
            clip_id, wait = pending.pop(0)
            try:
                measured[clip_id] = wait()
            except ValueError as error:
                failed[clip_id] = str(error)
            on_clip_done()

    for clip_id in sorted(sounds):
        voice = sounds[voices[clip_id]] if clip_id in voices else None
        try:
            clip = load(clip_id)
            wait = start_clip(clip, sounds[clip_id], voice, tools, reference_frame=reference_frame)
        except ValueError as error:
            failed[clip_id] = str(error)
            on_clip_done()
            continue
        pending.append((clip_id, wait))
        finish(CLIPS_IN_FLIGHT - 1)
    finish(0)
    results = {
        clip_id: _compare_lips(
            clip_id, measured, sounds, voices, linear=tools.linear, reference_frame=reference_frame
        )
        for clip_id in measured
    }
    return Evaluation(results=results, failed=failed, voices=voices)


def _read_sounds(
    clip_ids: Sequence[str], load: Callable[[str], EvalClip]
) -> tuple[dict[str, Sound], dict[str, str]]:
    """The voices must be known before the first clip, since clips lend them to each other."""
    sounds, failed = {}, {}
    for clip_id in clip_ids:
        try:
            clip = load(clip_id)
            count = len(clip.truth_u8)
            if count < MIN_CLIP_FRAMES:
                raise ValueError(f"clip has {count} frames, want {MIN_CLIP_FRAMES} or more")
            level = motion.frame_level_dbfs(clip.audio_i16)[:count]
            silent = motion.silent_frames(level)
            sounds[clip_id] = Sound(mel=clip.mel, silent=silent, known=clip.known)
        except ValueError as error:
            failed[clip_id] = str(error)
    return sounds, failed


def start_clip(
    clip: EvalClip, sound: Sound, voice: Sound | None, tools: Tools, *, reference_frame: int
) -> Callable[[], Measured]:
    """Generates and measures one clip; the returned function waits for the landmarks.

    Frames of a swapped voice are judged only as far as both clips reach.
    """
    reference = clip.model_u8[min(reference_frame, len(clip.model_u8) - 1)]
    rows = {
        "generated": tools.generate(clip.model_u8, reference, clip.mel),
        "ground_truth": clip.model_u8,
        "still_mouth": baselines.still_mouth(clip.model_u8, reference),
    }
    if voice is not None:
        both = min(len(clip.model_u8), len(voice.silent))
        rows["shuffled_audio"] = tools.generate(clip.model_u8[:both], reference, voice.mel)
    frames = {
        row: image_quality.resize_frames(made, image_quality.EVAL_SIZE_PX)
        for row, made in rows.items()
    }
    tracked = {row: tools.tracker.start(made) for row, made in frames.items()}
    tracked["truth"] = tools.tracker.start(clip.truth_u8)
    values: dict[str, dict[str, float]] = {}
    for row, made in frames.items():
        values[row] = _image_values(made, clip.truth_u8, reference_frame=reference_frame)
    for suffix, critic in tools.critics.items():
        scores = _sync_values(frames, sound, voice, critic=critic, stride=tools.sync_stride)
        for row, score in scores.items():
            values.setdefault(row, {}).update({f"{k}{suffix}": v for k, v in score.items()})
    return lambda: _with_landmarks(values, tracked, sound, voice, reference_frame=reference_frame)


def _image_values(made: np.ndarray, truth: np.ndarray, *, reference_frame: int) -> dict[str, float]:
    judged = _judged(len(made), reference_frame)
    quality = image_quality.image_quality(made[judged], truth[: len(made)][judged])
    values = {name: float(v.mean()) for name, v in dataclasses.asdict(quality).items()}
    jitter = motion.pixel_jitter_ratio(
        image_quality.mouth_region(made), image_quality.mouth_region(truth[: len(made)])
    )
    return values if jitter is None else values | {"jitter_pixels": jitter}


def _judged(count: int, reference_frame: int) -> np.ndarray:
    """All frames but the reference, which the model is given."""
    return np.arange(count) != reference_frame


def _sync_values(
    frames: Mapping[str, np.ndarray],
    sound: Sound,
    voice: Sound | None,
    *,
    critic: sync.Critic,
    stride: int,
) -> dict[str, dict[str, float]]:
    """Sync measures by row; "shuffled_audio" is heard with the face clip's own sound."""

    def heard(of: Sound) -> np.ndarray:
        return critic.sound(of.mel, np.arange(critic.num_windows(len(of.silent))))

    own, other = heard(sound), None if voice is None else heard(voice)
    faces, starts = {}, {}
    for row, made in frames.items():
        starts[row] = np.arange(0, critic.num_windows(len(made)), stride)
        faces[row] = critic.faces(made, starts[row])
    heard_with = {row: (row, own) for row in frames}
    if other is not None:
        heard_with["swapped_voice_vs_voice"] = ("shuffled_audio", other)
        heard_with["ground_truth_shuffled"] = ("ground_truth", other)
    values = {}
    for row, (made, audio) in heard_with.items():
        inside = starts[made] < len(audio)
        shifted = sync.shift_distances(faces[made][inside], audio, starts[made][inside])
        score = sync.sync_score(shifted)
        values[row] = {
            "sync_distance": score.distance,
            "sync_confidence": score.confidence,
            "sync_offset": float(score.offset_frames),
            "sync_distance_unshifted": score.distance_unshifted,
        }
    return values


def _with_landmarks(
    values: dict[str, dict[str, float]],
    tracked: Mapping[str, Callable[[], np.ndarray]],
    sound: Sound,
    voice: Sound | None,
    *,
    reference_frame: int,
) -> Measured:
    points = {row: wait() for row, wait in tracked.items()}
    for row, found in points.items():
        if not np.isfinite(found).all():
            raise ValueError(f"landmarks of {row} are not finite")
    lips = {row: landmarks.lip_series(found) for row, found in points.items()}
    truth = points["truth"]
    for row, found in points.items():
        if row == "truth":
            continue
        judged = _judged(len(found), reference_frame)
        pred, target = found[judged], truth[: len(found)][judged]
        out = values[row]
        out["lmd"] = float(landmarks.landmark_distance(pred, target).mean())
        out["lmd_centred"] = float(landmarks.centred_landmark_distance(pred, target).mean())
        mouths = found[:, landmarks.MOUTH_POINTS], truth[: len(found), landmarks.MOUTH_POINTS]
        _put(out, "jitter", motion.jitter_ratio(*mouths))
        if row != "shuffled_audio":  # driven by another sound, see swapped_voice_vs_voice
            _put(out, "silence_opening", _in_silence(lips[row], sound, lips["truth"]))
    if voice is not None:
        swapped = values.setdefault("swapped_voice_vs_voice", {})
        rest = _in_silence(lips["shuffled_audio"], voice, lips["truth"])
        _put(swapped, "silence_opening", rest)
    known, seen = sound.known, {}
    if known is not None:
        seen = {row: ground_truth.seen(found, known) for row, found in points.items()}
        del seen["truth"]
    return Measured(values=values, lips=lips, seen=seen)


def _in_silence(lips: LipSeries, heard: Sound, true_lips: LipSeries) -> float | None:
    both = min(len(lips.opening), len(heard.silent))
    return motion.silence_opening(
        lips.opening[:both], heard.silent[:both], true_opening=true_lips.opening
    )


def _put(values: dict[str, float], key: str, value: float | None) -> None:
    """A measure that has no meaning here is left out, never zero."""
    if value is not None:
        values[key] = float(value)


def _compare_lips(
    clip_id: str,
    measured: Mapping[str, Measured],
    sounds: Mapping[str, Sound],
    voices: Mapping[str, str],
    *,
    linear: baselines.LinearLips | None,
    reference_frame: int,
) -> ClipResult:
    """Opening and width of every row against the lips it is judged by, then the labels."""
    own = measured[clip_id]
    truth = own.lips["truth"]
    compared = {row: (lips, truth) for row, lips in own.lips.items() if row != "truth"}
    if linear is not None:
        compared["linear"] = (linear.predict(sounds[clip_id].mel, len(truth.opening)), truth)
    voice = voices.get(clip_id)
    if voice is not None:
        compared["swapped_voice_vs_face"] = (own.lips["shuffled_audio"], truth)
        if linear is not None:
            heard = sounds[voice]
            compared["linear_swapped_vs_face"] = (
                linear.predict(heard.mel, len(heard.silent)),
                truth,
            )
        if voice in measured:  # its own truth could be measured
            other = measured[voice].lips["truth"]
            compared["swapped_voice_vs_voice"] = (own.lips["shuffled_audio"], other)
            compared["base_rate"] = (truth, other)
    values = {row: dict(found) for row, found in own.values.items()}
    pairs = {}
    for row, (pred, target) in compared.items():
        both = min(len(pred.opening), len(target.opening))
        judged = _judged(both, reference_frame)
        pred, target = pred.frames(slice(both)), target.frames(slice(both))
        row_values = values.setdefault(row, {})
        pairs[row] = {}
        for name in ("opening", "width"):
            series = getattr(pred, name)[judged], getattr(target, name)[judged]
            pairs[row][name] = series
            followed = landmarks.following(*series)
            _put(row_values, f"{name}_correlation", followed.correlation)
            row_values[f"{name}_error"] = followed.error
        lag = landmarks.lag_frames(pred.opening, target.opening)
        _put(row_values, "lag_ms", None if lag is None else lag * landmarks.MS_PER_FRAME)
    known = sounds[clip_id].known
    if known is not None:
        predicted = [row for row in ("linear", "linear_swapped_vs_face") if row in compared]
        labelled, labelled_pairs = ground_truth.compare_rows(
            own.seen | {row: vars(compared[row][0]) for row in predicted},
            known,
            sounds[voice].known if voice is not None else None,
            reference_frame=reference_frame,
        )
        for row, found in labelled.items():
            values.setdefault(row, {}).update(found)
            pairs.setdefault(row, {}).update(labelled_pairs.get(row, {}))
    return ClipResult(values=values, pairs=pairs)
