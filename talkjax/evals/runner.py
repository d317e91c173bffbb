"""Measures clips: every row of `baselines` on every clip, in one pass.

Knows functions only (how a clip is loaded, how frames are generated, how landmarks are found),
so that the same code judges a trained model and a stub in a test. A clip that cannot be
measured is kept under `failed` with its reason.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from talkjax.evals import (
    baselines,
    ground_truth,
    image_quality,
    landmarks,
    lip_reading,
    motion,
    sync,
)
from talkjax.evals.landmarks import LipSeries
from talkjax.evals.lip_rows import (
    ClipResult,
    Measured,
    Sound,
    compare_lips,
    judged_frames,
    put,
    see,
)
from talkjax.ops.mel import log_mel

MIN_CLIP_FRAMES = 2 * landmarks.MAX_LAG_FRAMES + 3
# How far landmarks (in worker processes) may lag behind generation.
CLIPS_IN_FLIGHT = 3
SILENCE = "silence"
# Frames of a clip that are driven by digital silence; nothing in the sound tells them apart.
SILENCE_FRAMES = 12


@dataclasses.dataclass(frozen=True)
class EvalClip:
    """One clip of the test split.

    Attributes:
      truth_u8: (t, 128, 128, 3) true crops at the evaluation size, RGB.
      model_u8: (t, size, size, 3) the same at the model's image size.
      mel: (s, m) of its sound.
      audio_i16: (n,) 16 kHz.
      known: what its labels say, None without labels.
      words: (start_s, end_s, word), () without an alignment.
    """

    truth_u8: np.ndarray
    model_u8: np.ndarray
    mel: np.ndarray
    audio_i16: np.ndarray
    known: ground_truth.Known | None = None
    words: lip_reading.Spoken = ()


@dataclasses.dataclass(frozen=True)
class Tools:
    """What a run measures with.

    Attributes:
      generate: (frames_u8 t h w 3, reference_u8 h w 3, mel s m) -> u8 (t, h', w', 3).
      tracker: finds the landmarks.
      critics: by the suffix that their measures carry ("" for a judge).
      linear: the linear map, or None where it could not be fitted.
      sync_stride: every how many frames a face window is embedded.
      hide_from: rows from this fraction of the side down are hidden from the model.
      num_voices: how many other voices each face is given; measures other than those of the lips
        are of the first.
      reader: reads lips, or None.
      lse: scores the rows by SyncNet (`lse.score_rows` with its judge), or None.
    """

    generate: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    tracker: landmarks.LandmarkTracker
    critics: Mapping[str, sync.Critic]
    linear: baselines.LinearLips | None
    sync_stride: int
    hide_from: float
    num_voices: int
    reader: lip_reading.Reader | None = None
    lse: Callable[..., dict[str, dict[str, float]]] | None = None


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """results and failed (reasons) by clip; voices: clip -> the clips whose voices it got."""

    results: dict[str, ClipResult]
    failed: dict[str, str]
    voices: dict[str, tuple[str, ...]]


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
    voices = baselines.pairing(sorted(sounds), seed=seed, num_voices=tools.num_voices)
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
        heard = {voice: sounds[voice] for voice in voices.get(clip_id, ())}
        try:
            clip = load(clip_id)
            wait = start_clip(clip, sounds[clip_id], heard, tools, reference_frame=reference_frame)
        except ValueError as error:
            failed[clip_id] = str(error)
            on_clip_done()
            continue
        pending.append((clip_id, wait))
        finish(CLIPS_IN_FLIGHT - 1)
    finish(0)
    results = {
        clip_id: compare_lips(
            clip_id,
            measured,
            sounds,
            voices.get(clip_id, ()),
            linear=tools.linear,
            reference_frame=reference_frame,
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
            sounds[clip_id] = Sound(
                mel=clip.mel,
                audio_i16=clip.audio_i16,
                silent=silent,
                known=clip.known,
                words=clip.words,
            )
        except ValueError as error:
            failed[clip_id] = str(error)
    return sounds, failed


def start_clip(
    clip: EvalClip,
    sound: Sound,
    voices: Mapping[str, Sound],
    tools: Tools,
    *,
    reference_frame: int,
) -> Callable[[], Measured]:
    """Generates and measures one clip; the returned function waits for the landmarks.

    Frames of a swapped voice are judged only as far as both clips reach.
    """
    reference = clip.model_u8[min(reference_frame, len(clip.model_u8) - 1)]
    rows = {
        "generated": tools.generate(clip.model_u8, reference, clip.mel),
        "ground_truth": clip.model_u8,
        "still_mouth": baselines.still_mouth(clip.model_u8, reference),
        "still_hidden": baselines.still_hidden(clip.model_u8, reference, hide_from=tools.hide_from),
    }
    swapped = {
        clip_id: _sized(tools.generate(clip.model_u8[: len(other.silent)], reference, other.mel))
        for clip_id, other in voices.items()
    }
    frames = {row: _sized(made) for row, made in rows.items()}
    tracked_swapped = {clip_id: tools.tracker.start(made) for clip_id, made in swapped.items()}
    tracked = {row: tools.tracker.start(made) for row, made in frames.items()}
    tracked["truth"] = tools.tracker.start(clip.truth_u8)
    tracked[SILENCE] = tools.tracker.start(_in_digital_silence(clip, tools, reference_frame))
    first = next(iter(voices), None)
    if first is not None:
        frames["shuffled_audio"] = swapped[first]
        tracked["shuffled_audio"] = tracked_swapped[first]
    voice = None if first is None else voices[first]
    values: dict[str, dict[str, float]] = {}
    for row, made in frames.items():
        values[row] = _image_values(made, clip.truth_u8, reference_frame=reference_frame)
    for suffix, critic in tools.critics.items():
        scores = _sync_values(frames, sound, voice, critic=critic, stride=tools.sync_stride)
        for row, score in scores.items():
            values.setdefault(row, {}).update({f"{k}{suffix}": v for k, v in score.items()})
    if tools.lse is not None:
        scores = tools.lse(frames, clip.audio_i16, None if voice is None else voice.audio_i16)
        for row, score in scores.items():
            values.setdefault(row, {}).update(score)
    read: dict[str, tuple[lip_reading.WordRead, ...]] = {}
    if tools.reader is not None:
        shown = frames | {lip_reading.RECORDED: clip.truth_u8}
        said_by_voice = () if voice is None else voice.words
        read = lip_reading.read_rows(tools.reader, shown, sound.words, voice=said_by_voice)
    return lambda: dataclasses.replace(
        _with_landmarks(
            values, tracked, tracked_swapped, sound, voice, reference_frame=reference_frame
        ),
        read=read,
    )


def _sized(frames_u8: np.ndarray) -> np.ndarray:
    return image_quality.resize_frames(frames_u8, image_quality.EVAL_SIZE_PX)


def _in_digital_silence(clip: EvalClip, tools: Tools, reference_frame: int) -> np.ndarray:
    """Some frames, evenly spaced over the clip, with what the model makes of nothing but zeros."""
    judged = np.flatnonzero(judged_frames(len(clip.model_u8), reference_frame))
    places = np.linspace(0, len(judged) - 1, SILENCE_FRAMES).round().astype(int)
    frames = clip.model_u8[judged[places]]
    mel = log_mel(np.zeros(len(frames) * motion.SAMPLES_PER_FRAME, np.float32))
    reference = clip.model_u8[min(reference_frame, len(clip.model_u8) - 1)]
    return _sized(tools.generate(frames, reference, mel))


def _image_values(made: np.ndarray, truth: np.ndarray, *, reference_frame: int) -> dict[str, float]:
    judged = judged_frames(len(made), reference_frame)
    quality = image_quality.image_quality(made[judged], truth[: len(made)][judged])
    values = {name: float(v.mean()) for name, v in dataclasses.asdict(quality).items()}
    jitter = motion.pixel_jitter_ratio(
        image_quality.mouth_region(made), image_quality.mouth_region(truth[: len(made)])
    )
    return values if jitter is None else values | {"jitter_pixels": jitter}


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
    swapped: Mapping[str, Callable[[], np.ndarray]],
    sound: Sound,
    voice: Sound | None,
    *,
    reference_frame: int,
) -> Measured:
    points = {row: wait() for row, wait in tracked.items()}
    points_swapped = {clip_id: wait() for clip_id, wait in swapped.items()}
    for row, found in (points | points_swapped).items():
        if not np.isfinite(found).all():
            raise ValueError(f"landmarks of {row} are not finite")
    at_rest = landmarks.lip_series(points.pop(SILENCE))
    seen = {row: see(found, sound.known) for row, found in points.items()}
    truth, true_lips = points.pop("truth"), seen["truth"].lips
    for row, found in points.items():
        judged = judged_frames(len(found), reference_frame)
        pred, target = found[judged], truth[: len(found)][judged]
        out = values[row]
        out["lmd"] = float(landmarks.landmark_distance(pred, target).mean())
        out["lmd_centred"] = float(landmarks.centred_landmark_distance(pred, target).mean())
        mouths = found[:, landmarks.MOUTH_POINTS], truth[: len(found), landmarks.MOUTH_POINTS]
        put(out, "jitter", motion.jitter_ratio(*mouths))
        if row != "shuffled_audio":  # driven by another sound, see swapped_voice_vs_voice
            put(out, "silence_opening", _in_silence(seen[row].lips, sound.silent, true_lips))
    if voice is not None:
        out = values.setdefault("swapped_voice_vs_voice", {})
        put(
            out,
            "silence_opening",
            _in_silence(seen["shuffled_audio"].lips, voice.silent, true_lips),
        )
    everywhere = np.ones(len(at_rest.opening), dtype=bool)
    put(
        values.setdefault(SILENCE, {}),
        "silence_opening",
        _in_silence(at_rest, everywhere, true_lips),
    )
    return Measured(
        values={row: found for row, found in values.items() if found},
        seen=seen,
        swapped={clip_id: see(found, sound.known) for clip_id, found in points_swapped.items()},
        read={},
    )


def _in_silence(lips: LipSeries, silent: np.ndarray, true_lips: LipSeries) -> float | None:
    both = min(len(lips.opening), len(silent))
    return motion.silence_opening(
        lips.opening[:both], silent[:both], true_opening=true_lips.opening
    )
