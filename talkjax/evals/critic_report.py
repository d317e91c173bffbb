"""How good a sync critic is, on true clips.

Rows: `ground_truth` (true frames with their own sound) and `ground_truth_shuffled` (with
another clip's, where retrieval must fall to chance). Retrieval asks for the true one of 31
shifts: from one window, from runs of 2 to 26 windows that start one frame after the other, from
a whole clip. Beside it, shifts that are cut into the clip and must be reported. Chance:
retrieval and shifts 1/31, the accuracies and above_shuffled 0.5.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from talkjax.evals import baselines, intervals, sync
from talkjax.evals.runner import ClipResult, EvalClip, Evaluation
from talkjax.ops.mel import SAMPLE_RATE_HZ, log_mel

FPS = 25
SAMPLES_PER_FRAME = SAMPLE_RATE_HZ // FPS
# Windows whose distances are averaged before the nearest shift is looked for.
# With 26, a critic of 0.2 s has seen the 1.2 s that the context-aware one sees at once.
RUNS = {"retrieval_window": 1, **{f"retrieval_{n}": n for n in (2, 4, 8, 26)}}
INJECTED_FRAMES = range(-10, 11)
# A shorter rest would leave the farthest shifts to a few windows, and then any may win.
MIN_WINDOWS = 31
# In a clip's values; not a row of the report, see `injected_shifts`.
REPORTED_OFFSETS = "reported_offsets"
CHANCE = {
    **dict.fromkeys((*RUNS, "retrieval_clip"), 1 / sync.NUM_SHIFTS),
    **dict.fromkeys(("shift_found", "shift_followed"), 1 / sync.NUM_SHIFTS),
    "accuracy_at_half": 0.5,
    "accuracy_ranked": 0.5,
    "above_shuffled": 0.5,
}


@dataclasses.dataclass(frozen=True)
class _Heard:
    """Embeddings of one clip; row i is the window at frame i.

    Attributes:
      offsets: {injected shift: offset that the critic reports}, frames.
    """

    face: np.ndarray
    sound: np.ndarray
    offsets: dict[int, int]


def evaluate_critic(
    clip_ids: Sequence[str],
    load: Callable[[str], EvalClip],
    critic: sync.Critic,
    *,
    seed: int,
    on_clip_done: Callable[[], None],
) -> Evaluation:
    """Measures a critic on every clip; clips it cannot be given are in `failed`."""
    heard, failed = {}, {}
    for clip_id in sorted(clip_ids):
        try:
            heard[clip_id] = _embed(load(clip_id), critic)
        except ValueError as error:
            failed[clip_id] = str(error)
        on_clip_done()
    voices = baselines.pairing(sorted(heard), seed=seed)
    results = {}
    for clip_id, clip in heard.items():
        other = heard[voices[clip_id][0]] if clip_id in voices else None
        results[clip_id] = ClipResult(values=_values(clip, other), pairs={})
    return Evaluation(results=results, failed=failed, voices=voices)


def _embed(clip: EvalClip, critic: sync.Critic) -> _Heard:
    starts = np.arange(critic.num_windows(len(clip.truth_u8)))
    if len(starts) <= sync.FALSE_GAP_FRAMES:
        raise ValueError(f"clip has {len(starts)} windows, want more than {sync.FALSE_GAP_FRAMES}")
    face = critic.faces(clip.truth_u8, starts)
    offsets = {}
    for shift in INJECTED_FRAMES:
        if len(starts) - abs(shift) >= MIN_WINDOWS:
            offsets[shift] = _offset_when_shifted(face, clip.audio_i16, critic, shift=shift)
    return _Heard(face=face, sound=critic.sound(clip.mel, starts), offsets=offsets)


def _offset_when_shifted(
    face: np.ndarray, audio_i16: np.ndarray, critic: sync.Critic, *, shift: int
) -> int:
    """The offset a critic reports of a clip whose picture was made `shift` frames late.

    Both ends are cut, so that nothing is padded, and the mel is that of the sound that is left.
    Mouths need not be embedded again: they do not see the sound.
    """
    cut = abs(shift) * SAMPLES_PER_FRAME
    audio = audio_i16[cut:] if shift > 0 else audio_i16[: len(audio_i16) - cut]
    face = face[: len(face) - shift] if shift > 0 else face[-shift:]
    starts = np.arange(len(face))
    sound = critic.sound(log_mel(audio.astype(np.float32) / 32768), starts)
    return sync.sync_score(sync.shift_distances(face, sound, starts)).offset_frames


def _values(clip: _Heard, other: _Heard | None) -> dict[str, dict[str, float]]:
    starts = np.arange(len(clip.face))
    shifted = sync.shift_distances(clip.face, clip.sound, starts)
    pairs = sync.pair_scores(clip.face, clip.sound)
    truth = _score(shifted) | {
        "retrieval_clip": float(sync.clip_retrieval(shifted)),
        "accuracy_at_half": pairs.at_half,
        "accuracy_ranked": pairs.ranked,
    }
    truth |= _retrieval(shifted)
    truth |= shift_scores(clip.offsets)
    values = {"ground_truth": truth, REPORTED_OFFSETS: reported_offsets(clip.offsets)}
    if other is None:
        return values
    starts = starts[starts < len(other.sound)]
    face = clip.face[starts]
    own = sync.mean_similarity(face, clip.sound, starts)
    shuffled = sync.mean_similarity(face, other.sound, starts)
    truth["above_shuffled"] = float(own > shuffled)
    wrong = sync.shift_distances(face, other.sound, starts)
    return values | {"ground_truth_shuffled": _score(wrong) | _retrieval(wrong)}


def shift_scores(offsets: Mapping[int, int]) -> dict[str, float]:
    """Of {injected shift: reported offset}; {} if the clip was too short for any."""
    if not offsets:
        return {}
    reported, injected = np.array(list(offsets.values())), np.array(list(offsets))
    return {
        "shift_found": float(np.mean(reported == injected)),
        "shift_followed": float(np.mean(reported - offsets[0] == injected)),
        "shift_error": float(np.mean(np.abs(reported - injected))),
    }


def reported_offsets(offsets: Mapping[int, int]) -> dict[str, float]:
    """The same as it goes into a clip's values under REPORTED_OFFSETS."""
    return {str(shift): float(offset) for shift, offset in offsets.items()}


def _retrieval(shifted: np.ndarray) -> dict[str, float]:
    """By the number of windows averaged; absent where a clip has no such run with all shifts."""
    hits = {key: sync.window_retrieval(shifted, windows=n) for key, n in RUNS.items()}
    return {key: float(found.mean()) for key, found in hits.items() if len(found)}


def _score(shifted: np.ndarray) -> dict[str, float]:
    score = sync.sync_score(shifted)
    return {
        "sync_distance": score.distance,
        "sync_confidence": score.confidence,
        "sync_offset": float(score.offset_frames),
        "sync_offset_fine": score.fine_offset_frames,
        "sync_distance_unshifted": score.distance_unshifted,
    }


def offset_histogram(
    evaluation: Evaluation, *, seed: int, key: str = "sync_offset"
) -> dict[str, Any]:
    """Share of clips by offset (frames), with intervals; offsets that no clip has are absent."""
    offsets = np.array([r.values["ground_truth"][key] for r in evaluation.results.values()])
    return {
        f"{int(offset)}": intervals.mean_interval(
            (offsets == offset).astype(np.float64), seed=seed
        ).as_json()
        for offset in np.unique(offsets)
    }


def injected_shifts(evaluation: Evaluation, *, seed: int) -> dict[str, Any]:
    """{injected shift: share of clips whose reported offset is that shift}, with intervals.

    Clips too short for a shift do not count; "clips" says how many do.
    """
    found = {}
    for shift in INJECTED_FRAMES:
        reported = [r.values[REPORTED_OFFSETS] for r in evaluation.results.values()]
        right = [float(of[str(shift)] == shift) for of in reported if str(shift) in of]
        if right:
            share = intervals.mean_interval(np.array(right), seed=seed)
            found[str(shift)] = share.as_json() | {"clips": len(right)}
    return found


def protocol() -> dict[str, Any]:
    """How the numbers of this report were made."""
    return {
        "chance": CHANCE,
        "retrieval": "nearest of 31 shifts; runs of n windows one frame apart, distances averaged; "
        "windows with all shifts inside the clip; retrieval_clip: all windows, shifts inside",
        "shift_found": f"share of shifts {INJECTED_FRAMES[0]} to {INJECTED_FRAMES[-1]} frames, cut "
        "into sound and picture, that are reported exactly; clips with at least "
        f"{MIN_WINDOWS} windows left",
        "shift_followed": "the same of the reported offset less the one of the clip as it is",
        "sync_offset_fine": "offset with its fraction of a frame, by a parabola",
        "shift_error": "mean distance of reported and injected shift, frames",
    }
